/**
 * The data half of a TAP device: bursts between a device's descriptor and frames of the arena. Hot: no allocation, no
 * throw. One native call moves a whole burst (a few 100 ns, against some 500 ns of kernel time per frame).
 */

import type {
  FramePool,
  NetdevQueue,
  PacketBatch,
  QueueDescriptor,
  QueueResources,
} from '@etherloom/core/data';
import {
  BATCH_SIZE,
  DROP_BAD_OFFLOAD,
  DROP_NO_FRAME,
  DROP_RX_OVERSIZE,
  DROP_RX_RUNT,
  DROP_TX_DOWN,
  DROP_TX_ERROR,
  DROP_TX_FULL,
  DROP_TX_TOO_BIG,
  MAX_PACKET,
  MAX_SUPER_PACKET,
  OFFLOAD_GSO,
  QUEUE_RX_BYTES,
  QUEUE_RX_PACKETS,
  QUEUE_TX_BYTES,
  QUEUE_TX_PACKETS,
  readVnetHeader,
  SMALL_FRAME_ROOM,
  SMALL_FRAME_SIZE,
  VNET_HEADER,
  writeVnetHeader,
} from '@etherloom/core/data';
import type { TapBursts } from './binding.js';
import { STATE_CLOSED, STATE_MTU, STATE_NO_RING } from './state.hot.js';

/** What a thread needs to open a queue of a TAP device. */
export interface TapQueueDescriptor extends QueueDescriptor {
  /** File descriptor of the queue; the control half closes it. */
  readonly fd: number;
  /** TAP_STATE_WORDS 32-bit words (state.hot.ts), shared by all queues of the device. */
  readonly state: SharedArrayBuffer;
}

// V8 folds a module's own constants into the code, imported ones not.
const BURST = BATCH_SIZE;
const SMALL_ROOM = SMALL_FRAME_ROOM;
const LONGEST = MAX_PACKET;
const GSO = OFFLOAD_GSO;
const FRONT = VNET_HEADER;
const IN_SMALL_FRAME = SMALL_FRAME_SIZE - 1;
const NO_FRAME = DROP_NO_FRAME;
const TX_TOO_BIG = DROP_TX_TOO_BIG;
const RX_PACKETS = QUEUE_RX_PACKETS;
const RX_BYTES = QUEUE_RX_BYTES;

const ETH_HEADER = 14;
const ETHERTYPE_AT = 12;
const VLAN_TAG = 4;
const ETHERTYPE_VLAN = 0x8100;
const ETHERTYPE_QINQ = 0x88a8;

/**
 * Frames that an idle queue keeps in hand: one, so that a lone packet, which somebody waits for, goes on its way before the
 * device is asked for a second, 0.4 us later. A burst may always have twice the frames of the one before, and one more.
 */
const IDLE_FRAMES = 1;
/** Large frames of one native burst: jumbo frames, since super-packets end it before. */
const MOST_LARGE = 8;

// errno numbers that a write to a TAP gives.
const EIO = 5;
const EAGAIN = 11;
const EBADFD = 77;
const EMSGSIZE = 90;
const ENETDOWN = 100;
const ENOBUFS = 105;

export class TapQueue implements NetdevQueue {
  readonly pollFd: number;
  readonly #native: TapBursts;
  readonly #pool: FramePool;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #drops: Float64Array;
  readonly #counters: Float64Array;
  readonly #state: Int32Array;
  /** Frames in hand, `[0, #inHand)`: allocated already, not yet filled. */
  readonly #frames = new Int32Array(BATCH_SIZE);
  readonly #lengths = new Int32Array(BATCH_SIZE);
  readonly #errors = new Int32Array(BATCH_SIZE);
  #inHand = 0;
  /** Packets of recent bursts, halved by each that brought fewer: the next one gets ready for twice as many. */
  #recent = 0;
  /** Large frames for one burst. None are kept in hand: few exist, and each idle port would hold one. */
  readonly #larges = new Int32Array(MOST_LARGE);
  #recentLarge = 0;
  /** Of the device in the thread's io_uring, or negative. */
  readonly #slot: number;
  #closed = false;

  /**
   * Takes ownership of nothing in `descriptor`; frames in hand return to `resources.pool` at `close`. Where the kernel has
   * no io_uring for this thread, frames are written one by one, and the device says so.
   */
  constructor(native: TapBursts, descriptor: TapQueueDescriptor, resources: QueueResources) {
    this.#native = native;
    this.pollFd = descriptor.fd;
    this.#pool = resources.pool;
    this.#bytes = resources.pool.arena.bytes;
    this.#view = resources.pool.arena.view;
    this.#drops = resources.drops;
    this.#counters = new Float64Array(descriptor.counters);
    this.#state = new Int32Array(descriptor.state);
    this.#slot = native.joinRing(descriptor.fd);
    if (this.#slot < 0) this.#state[STATE_NO_RING] = -this.#slot;
  }

  rxBurst(batch: PacketBatch): number {
    if (this.#closed || this.#state[STATE_CLOSED] !== 0) return 0;
    const before = batch.count;
    // Nothing received means that nothing waits: so again when all that came was dropped, but not for ever.
    for (let round = 0; round < BURST && batch.count === before && before < batch.capacity; round++) {
      if (!this.#readSome(batch)) break;
    }
    const received = batch.count - before;
    this.#recent = Math.max(received, this.#recent >> 1);
    this.#keep(received === 0 ? IDLE_FRAMES : this.#wanted());
    return received;
  }

  txBurst(batch: PacketBatch): number {
    const { data, length, offload } = batch;
    if (this.#closed || this.#state[STATE_CLOSED] !== 0) {
      this.#drops[DROP_TX_DOWN]! += batch.count;
      for (let i = 0; i < batch.count; i++) this.#pool.release(data[i]!);
      batch.count = 0;
      return 0;
    }
    const limit = this.#state[STATE_MTU]! + ETH_HEADER;
    let count = 0;
    for (let i = 0; i < batch.count; i++) {
      let frame = data[i]!;
      const bytes = length[i]!;
      // Of a super-packet the segments are held against the MTU, since they are what others get to see.
      const longest =
        (offload[i]! & GSO) === 0 ? bytes : Math.min(bytes, batch.gsoHeader[i]! + batch.gsoSize[i]!);
      if (longest > limit && this.#tooBig(frame, longest, limit)) {
        this.#drops[TX_TOO_BIG]!++;
        this.#pool.release(frame);
        continue;
      }
      // Room for the header in front of the packet: always, unless headers were pushed beyond reason.
      if ((frame & IN_SMALL_FRAME) < FRONT) {
        frame = this.#moved(frame, bytes);
        if (frame < 0) {
          this.#drops[NO_FRAME]!++;
          continue;
        }
      }
      // Whoever shares the frame has the same bytes and metadata, or does not care for what is in front of them.
      writeVnetHeader(this.#view, frame - FRONT, batch, i);
      data[count] = frame;
      length[count++] = bytes;
    }
    batch.count = 0;
    let sent = 0;
    for (let start = 0; start < count; start += BURST) {
      sent += this.#write(data, length, start, Math.min(count - start, BURST));
    }
    return sent;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#keep(0);
    if (this.#slot >= 0) this.#native.leaveRing(this.#slot);
  }

  /**
   * Frames to have in hand for a burst. Always a full batch would cost an empty burst 0.2 us for allocating and
   * releasing, or each idle port 64 KiB for holding them.
   */
  #wanted(): number {
    return Math.min(2 * this.#recent + IDLE_FRAMES, BURST);
  }

  /** Returns frames in hand beyond `count` to the pool. */
  #keep(count: number): void {
    while (this.#inHand > count) this.#pool.release(this.#frames[--this.#inHand]!);
  }

  /** One native burst; returns whether anything came. */
  #readSome(batch: PacketBatch): boolean {
    const frames = this.#frames;
    const lengths = this.#lengths;
    const pool = this.#pool;
    const room = batch.capacity - batch.count;
    const want = Math.min(this.#wanted(), room);
    while (this.#inHand < want) {
      const frame = pool.alloc();
      if (frame < 0) break;
      frames[this.#inHand++] = frame;
    }
    const count = Math.min(this.#inHand, want);
    if (count === 0) {
      // Left where they are, packets would keep the descriptor readable, and the caller spinning.
      const lost = this.#native.rxDiscard(this.pollFd, room);
      if (lost > 0) this.#drops[NO_FRAME]! += lost;
      return false;
    }
    const larges = this.#larges;
    const wantLarge = Math.min(2 * this.#recentLarge + 1, MOST_LARGE);
    let offered = 0;
    while (offered < wantLarge) {
      const frame = pool.allocLarge();
      if (frame < 0) break;
      larges[offered++] = frame;
    }
    const got = this.#native.rxBurst(
      this.pollFd,
      this.#bytes,
      frames,
      lengths,
      count,
      SMALL_ROOM,
      larges,
      offered,
    );
    let packets = 0;
    let bytes = 0;
    let kept = 0;
    let used = 0;
    for (let i = 0; i < got; i++) {
      const frame = frames[i]!;
      const length = lengths[i]!;
      const inLarge = length > SMALL_ROOM && offered > 0;
      const small = inLarge ? larges[used++]! : frame;
      const reason = this.#accept(batch, frame, length, offered);
      if (reason < 0) {
        packets++;
        bytes += length;
        if (inLarge) frames[kept++] = small;
      } else {
        this.#drops[reason]!++;
        frames[kept++] = small;
        if (inLarge) pool.release(frame);
      }
    }
    if (got > 0) this.#recentLarge = Math.max(used, this.#recentLarge >> 1);
    for (let i = Math.max(got, 0); i < this.#inHand; i++) frames[kept++] = frames[i]!;
    this.#inHand = kept;
    for (let i = used; i < offered; i++) pool.release(larges[i]!);
    if (packets > 0) {
      this.#counters[RX_PACKETS]! += packets;
      this.#counters[RX_BYTES]! += bytes;
    }
    return got > 0;
  }

  /** Appends what was read to the batch. Returns a DROP_* reason for what is no packet, or -1. */
  #accept(batch: PacketBatch, frame: number, length: number, offered: number): number {
    if (length < ETH_HEADER) return DROP_RX_RUNT;
    if (length > SMALL_ROOM) {
      if (offered === 0) return DROP_NO_FRAME;
      if (length > MAX_SUPER_PACKET) return DROP_RX_OVERSIZE;
    }
    const i = batch.count;
    batch.push(frame, length);
    const sound = readVnetHeader(this.#view, frame - FRONT, batch, i);
    if (sound && (length <= LONGEST || (batch.offload[i]! & GSO) !== 0)) return -1;
    batch.count = i;
    return sound ? DROP_RX_OVERSIZE : DROP_BAD_OFFLOAD;
  }

  /** Writes `count` frames from slot `start` on, at most BATCH_SIZE, and releases them; returns how many went out. */
  #write(data: Int32Array, length: Int32Array, start: number, count: number): number {
    const errors = this.#errors;
    const sent = this.#native.txBurst(
      this.pollFd,
      this.#bytes,
      data,
      length,
      start,
      count,
      errors,
      this.#slot,
    );
    let bytes = 0;
    for (let i = 0; i < count; i++) {
      if (sent < 0) this.#drops[DROP_TX_ERROR]!++;
      else if (errors[i] !== 0) this.#drops[dropReason(errors[i]!)]!++;
      else bytes += length[start + i]!;
      this.#pool.release(data[start + i]!);
    }
    if (sent <= 0) return 0;
    this.#counters[QUEUE_TX_PACKETS]! += sent;
    this.#counters[QUEUE_TX_BYTES]! += bytes;
    return sent;
  }

  /** A packet in a frame of its own, with headroom; -1 when there is none, and the packet is gone. */
  #moved(frame: number, bytes: number): number {
    const pool = this.#pool;
    const copy = pool.allocFor(bytes);
    if (copy >= 0) this.#bytes.copyWithin(copy, frame, frame + bytes);
    pool.release(frame);
    return copy;
  }

  /** Whether `bytes` exceed the limit by more than the frame's VLAN tags, which do not count. */
  #tooBig(frame: number, bytes: number, limit: number): boolean {
    const end = frame + bytes;
    for (let at = frame + ETHERTYPE_AT; at + VLAN_TAG <= end; at += VLAN_TAG) {
      const type = this.#view.getUint16(at);
      if (type !== ETHERTYPE_VLAN && type !== ETHERTYPE_QINQ) return true;
      limit += VLAN_TAG;
      if (bytes <= limit) return false;
    }
    return true;
  }
}

function dropReason(errno: number): number {
  switch (errno) {
    case EAGAIN:
    case ENOBUFS:
      return DROP_TX_FULL;
    // EBADFD: somebody deleted the device.
    case EIO:
    case ENETDOWN:
    case EBADFD:
      return DROP_TX_DOWN;
    case EMSGSIZE:
      return DROP_TX_TOO_BIG;
    default:
      return DROP_TX_ERROR;
  }
}
