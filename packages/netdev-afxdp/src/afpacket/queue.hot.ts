/**
 * The data half of an AF_PACKET device: bursts between a packet socket and frames of the arena. Hot: no allocation, no
 * throw. Checksums that a sender left to its device, and super-packets, come with their metadata and leave with it.
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
import type { PacketBinding } from '../binding.js';
import { ETH_HEADER, tooBig } from '../frame.hot.js';
import { STATE_CLOSED, STATE_MTU } from '../state.hot.js';

/** What a thread needs to open the queue of an AF_PACKET device. */
export interface PacketDescriptor extends QueueDescriptor {
  /** The packet socket; the control half closes it. */
  readonly socket: number;
  /** STATE_* words. */
  readonly state: SharedArrayBuffer;
}

// V8 folds a module's own constants into the code, imported ones not.
const BURST = BATCH_SIZE;
const SMALL_ROOM = SMALL_FRAME_ROOM;
const IN_SMALL_FRAME = SMALL_FRAME_SIZE - 1;
const FRONT = VNET_HEADER;
const GSO = OFFLOAD_GSO;

/** Frames that an idle queue keeps in hand: enough for a lone packet or a short train, little for hundreds of ports. */
const IDLE_FRAMES = 4;
/** Large frames of one native burst: jumbo frames, since super-packets end it before. */
const MOST_LARGE = 8;

// errno numbers that sending gives.
const ENXIO = 6;
const ENODEV = 19;
const EMSGSIZE = 90;
const ENETDOWN = 100;
const ENOBUFS = 105;

export class PacketQueue implements NetdevQueue {
  readonly pollFd: number;
  readonly #native: PacketBinding;
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
  #closed = false;

  /** Takes ownership of nothing in `descriptor`; frames in hand return to `resources.pool` at `close`. */
  constructor(native: PacketBinding, descriptor: PacketDescriptor, resources: QueueResources) {
    this.#native = native;
    this.pollFd = descriptor.socket;
    this.#pool = resources.pool;
    this.#bytes = resources.pool.arena.bytes;
    this.#view = resources.pool.arena.view;
    this.#drops = resources.drops;
    this.#counters = new Float64Array(descriptor.counters);
    this.#state = new Int32Array(descriptor.state);
  }

  rxBurst(batch: PacketBatch): number {
    if (this.#closed || this.#state[STATE_CLOSED] !== 0) return 0;
    const before = batch.count;
    // Nothing received means that nothing waits: so again when all that came was dropped, but not for ever.
    for (let round = 0; round < BURST && batch.count === before && before < batch.capacity; round++) {
      if (!this.#receiveSome(batch)) break;
    }
    const received = batch.count - before;
    this.#recent = Math.max(received, this.#recent >> 1);
    this.#keep(received === 0 ? IDLE_FRAMES : this.#wanted());
    return received;
  }

  txBurst(batch: PacketBatch): number {
    const { data, length } = batch;
    const closed = this.#closed || this.#state[STATE_CLOSED] !== 0;
    const limit = this.#state[STATE_MTU]! + ETH_HEADER;
    let count = 0;
    for (let i = 0; i < batch.count; i++) {
      let frame = data[i]!;
      const bytes = length[i]!;
      // Of a super-packet the segments are held against the MTU, since they are what others get to see.
      const gso = (batch.offload[i]! & GSO) !== 0;
      const longest = gso ? Math.min(bytes, batch.gsoHeader[i]! + batch.gsoSize[i]!) : bytes;
      if (closed || tooBig(this.#view, frame, longest, limit)) {
        this.#drops[closed ? DROP_TX_DOWN : DROP_TX_TOO_BIG]!++;
        this.#pool.release(frame);
        continue;
      }
      // Room for the header in front of the packet: always, unless headers were pushed beyond reason.
      if ((frame & IN_SMALL_FRAME) < FRONT) {
        frame = this.#moved(frame, bytes);
        if (frame < 0) {
          this.#drops[DROP_NO_FRAME]!++;
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
      sent += this.#send(data, length, start, Math.min(count - start, BURST));
    }
    return sent;
  }

  close(): void {
    this.#closed = true;
    this.#keep(0);
  }

  /** Frames to have in hand for a burst: a full batch would cost an idle port 64 KiB. */
  #wanted(): number {
    return Math.min(2 * this.#recent + IDLE_FRAMES, BATCH_SIZE);
  }

  /** Returns frames in hand beyond `count` to the pool. */
  #keep(count: number): void {
    while (this.#inHand > count) this.#pool.release(this.#frames[--this.#inHand]!);
  }

  /** One native burst; returns whether anything came. */
  #receiveSome(batch: PacketBatch): boolean {
    const pool = this.#pool;
    const frames = this.#frames;
    const want = Math.min(this.#wanted(), batch.capacity - batch.count);
    while (this.#inHand < want) {
      const frame = pool.alloc();
      if (frame < 0) break;
      frames[this.#inHand++] = frame;
    }
    const count = Math.min(this.#inHand, want);
    if (count === 0) {
      // Left where they are, packets would keep the descriptor readable, and the caller spinning.
      const lost = this.#native.rxDiscard(this.pollFd, want);
      if (lost > 0) this.#drops[DROP_NO_FRAME]! += lost;
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
    const { pollFd } = this;
    const lengths = this.#lengths;
    const got = this.#native.rxBurst(
      pollFd,
      this.#bytes,
      frames,
      lengths,
      count,
      SMALL_ROOM,
      larges,
      offered,
    );
    const before = batch.count;
    let used = 0;
    let bytes = 0;
    for (let i = 0; i < got; i++) {
      const frame = frames[i]!;
      const length = lengths[i]!;
      if (frame >= pool.arena.largeBase) used++;
      const reason = this.#accept(batch, frame, length);
      if (reason < 0) {
        bytes += length;
        continue;
      }
      this.#drops[reason]!++;
      pool.release(frame);
    }
    this.#counters[QUEUE_RX_PACKETS]! += batch.count - before;
    this.#counters[QUEUE_RX_BYTES]! += bytes;
    if (got > 0) {
      this.#recentLarge = Math.max(used, this.#recentLarge >> 1);
      frames.copyWithin(0, got, this.#inHand);
      this.#inHand -= got;
    }
    // Those that were used changed places with small ones.
    for (let i = 0; i < offered; i++) pool.release(larges[i]!);
    return got > 0;
  }

  /** Appends what was received to the batch. Returns a DROP_* reason for what is no packet, or -1. */
  #accept(batch: PacketBatch, frame: number, length: number): number {
    if (length < ETH_HEADER) return DROP_RX_RUNT;
    if (length > SMALL_ROOM && frame < this.#pool.arena.largeBase) return DROP_NO_FRAME;
    if (length > MAX_SUPER_PACKET) return DROP_RX_OVERSIZE;
    const i = batch.count;
    batch.push(frame, length);
    const sound = readVnetHeader(this.#view, frame - FRONT, batch, i);
    if (sound && (length <= MAX_PACKET || (batch.offload[i]! & GSO) !== 0)) return -1;
    batch.count = i;
    return sound ? DROP_RX_OVERSIZE : DROP_BAD_OFFLOAD;
  }

  /** Sends `count` frames from slot `start` on, at most BATCH_SIZE, and releases them; returns how many went out. */
  #send(data: Int32Array, length: Int32Array, start: number, count: number): number {
    const errors = this.#errors;
    const sent = this.#native.txBurst(this.pollFd, this.#bytes, data, length, start, count, errors);
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
    const copy = this.#pool.allocFor(bytes);
    if (copy >= 0) this.#bytes.copyWithin(copy, frame, frame + bytes);
    this.#pool.release(frame);
    return copy;
  }
}

function dropReason(errno: number): number {
  switch (errno) {
    case ENOBUFS:
      return DROP_TX_FULL;
    // The latter two: the device is gone.
    case ENETDOWN:
    case ENXIO:
    case ENODEV:
      return DROP_TX_DOWN;
    case EMSGSIZE:
      return DROP_TX_TOO_BIG;
    default:
      return DROP_TX_ERROR;
  }
}
