/**
 * The data half of an AF_PACKET device: bursts between a packet socket and frames of the arena. Hot: no allocation, no
 * throw. Checksums that a sender left to its device, and super-packets, come with their metadata and leave with it.
 */

import type { FramePool, NetdevQueue, PacketBatch, QueueDescriptor, QueueResources } from '@etherloom/core';
import {
  BATCH_SIZE,
  DROP_NO_FRAME,
  DROP_RX_OVERSIZE,
  DROP_RX_RUNT,
  DROP_TX_DOWN,
  DROP_TX_ERROR,
  DROP_TX_FULL,
  DROP_TX_TOO_BIG,
  MAX_PACKET,
  OFFLOAD_GSO,
  QUEUE_RX_BYTES,
  QUEUE_RX_PACKETS,
  QUEUE_TX_BYTES,
  QUEUE_TX_PACKETS,
  SMALL_FRAME_ROOM,
} from '@etherloom/core';
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

// Words of a frame's metadata (native/packet.c).
const OFFLOAD = 0;
const CSUM_START = 1;
const CSUM_OFFSET = 2;
const GSO_SIZE = 3;
const GSO_HEADER = 4;
const META_WORDS = 5;
/** In the first: a super-packet of a kind that the datapath does not know. */
const UNKNOWN = -1;

/** Frames that an idle queue keeps in hand: enough for a lone packet or a short train, little for hundreds of ports. */
const IDLE_FRAMES = 4;

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
  #inHand = 0;
  /** What the binding reads and writes: where frames begin, lengths, metadata, errors. */
  readonly #starts = new Int32Array(BATCH_SIZE);
  readonly #lengths = new Int32Array(BATCH_SIZE);
  readonly #meta = new Int32Array(BATCH_SIZE * META_WORDS);
  readonly #errors = new Int32Array(BATCH_SIZE);
  /** Packets of recent bursts, halved by each that brought fewer: the next one gets ready for twice as many. */
  #recent = 0;
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
    // A frame that takes a large buffer ends the native burst (packet.c says why), and there may be more behind it. The
    // rounds are bounded, since frames that are dropped do not fill the batch.
    for (let round = 0; round < BATCH_SIZE && batch.count < batch.capacity; round++) {
      if (!this.#receiveSome(batch)) break;
    }
    const received = batch.count - before;
    this.#recent = Math.max(received, this.#recent >> 1);
    this.#keep(received === 0 ? IDLE_FRAMES : this.#wanted());
    return received;
  }

  txBurst(batch: PacketBatch): number {
    const { count } = batch;
    batch.count = 0;
    const closed = this.#closed || this.#state[STATE_CLOSED] !== 0;
    const limit = this.#state[STATE_MTU]! + ETH_HEADER;
    let ready = 0;
    let sent = 0;
    for (let i = 0; i < count; i++) {
      const frame = batch.data[i]!;
      const size = batch.length[i]!;
      const offload = batch.offload[i]!;
      // Of a super-packet the segments are held against the MTU.
      const longest = (offload & OFFLOAD_GSO) === 0 ? size : batch.gsoHeader[i]! + batch.gsoSize[i]!;
      if (closed || tooBig(this.#view, frame, longest, limit)) {
        this.#drops[closed ? DROP_TX_DOWN : DROP_TX_TOO_BIG]!++;
        this.#pool.release(frame);
        continue;
      }
      const at = ready * META_WORDS;
      this.#starts[ready] = frame;
      this.#lengths[ready++] = size;
      this.#meta[at + OFFLOAD] = offload;
      this.#meta[at + CSUM_START] = batch.csumStart[i]!;
      this.#meta[at + CSUM_OFFSET] = batch.csumOffset[i]!;
      this.#meta[at + GSO_SIZE] = batch.gsoSize[i]!;
      this.#meta[at + GSO_HEADER] = batch.gsoHeader[i]!;
      if (ready < BATCH_SIZE) continue;
      sent += this.#send(ready);
      ready = 0;
    }
    return sent + (ready > 0 ? this.#send(ready) : 0);
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

  /** One native burst; returns whether it ended at a large frame. */
  #receiveSome(batch: PacketBatch): boolean {
    const pool = this.#pool;
    const frames = this.#frames;
    const starts = this.#starts;
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
    for (let i = 0; i < count; i++) starts[i] = frames[i]!;
    const large = pool.allocLarge();
    const got = this.#native.rxBurst(
      this.pollFd,
      this.#bytes,
      starts,
      this.#lengths,
      this.#meta,
      count,
      SMALL_FRAME_ROOM,
      large,
    );
    const before = batch.count;
    let spilled = false;
    let kept = 0;
    for (let i = 0; i < got; i++) {
      const length = this.#lengths[i]!;
      if (length >= 0) {
        if (!this.#accept(batch, i, length)) frames[kept++] = frames[i]!;
        continue;
      }
      // The last one of the burst: it went on into the large frame, if there was one.
      spilled = true;
      frames[kept++] = frames[i]!;
      if (large < 0) this.#drops[DROP_NO_FRAME]!++;
      else if (!this.#accept(batch, i, -length)) pool.release(large);
    }
    for (let i = Math.max(got, 0); i < this.#inHand; i++) frames[kept++] = frames[i]!;
    this.#inHand = kept;
    if (large >= 0 && !spilled) pool.release(large);
    let bytes = 0;
    for (let i = before; i < batch.count; i++) bytes += batch.length[i]!;
    this.#counters[QUEUE_RX_PACKETS]! += batch.count - before;
    this.#counters[QUEUE_RX_BYTES]! += bytes;
    return spilled;
  }

  /** Appends frame `i` of the native burst, unless it is one that the datapath does not take. */
  #accept(batch: PacketBatch, i: number, length: number): boolean {
    const meta = this.#meta;
    const from = i * META_WORDS;
    const offload = meta[from + OFFLOAD]!;
    if (length < ETH_HEADER || length > MAX_PACKET || offload === UNKNOWN) {
      this.#drops[length < ETH_HEADER ? DROP_RX_RUNT : DROP_RX_OVERSIZE]!++;
      return false;
    }
    const at = batch.count;
    batch.push(this.#starts[i]!, length);
    if (offload === 0) return true;
    batch.offload[at] = offload;
    batch.csumStart[at] = meta[from + CSUM_START]!;
    batch.csumOffset[at] = meta[from + CSUM_OFFSET]!;
    batch.gsoSize[at] = meta[from + GSO_SIZE]!;
    batch.gsoHeader[at] = meta[from + GSO_HEADER]!;
    return true;
  }

  /** Sends the first `count` frames of our arrays and releases them; returns how many went out. */
  #send(count: number): number {
    const errors = this.#errors;
    const starts = this.#starts;
    const lengths = this.#lengths;
    const sent = this.#native.txBurst(this.pollFd, this.#bytes, starts, lengths, this.#meta, count, errors);
    let bytes = 0;
    for (let i = 0; i < count; i++) {
      if (sent < 0) this.#drops[DROP_TX_ERROR]!++;
      else if (errors[i] !== 0) this.#drops[dropReason(errors[i]!)]!++;
      else bytes += lengths[i]!;
      this.#pool.release(starts[i]!);
    }
    if (sent <= 0) return 0;
    this.#counters[QUEUE_TX_PACKETS]! += sent;
    this.#counters[QUEUE_TX_BYTES]! += bytes;
    return sent;
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
