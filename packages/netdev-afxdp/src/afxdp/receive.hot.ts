/**
 * Reception through an AF_XDP socket: its receive ring and its fill ring. Hot: no allocation, no throw.
 *
 * The fill ring never runs dry for want of frames: the last few packets' frames go up only when fresh ones take their
 * place, else the packet is dropped and its frame lent again. A socket without frames would never become readable, and so
 * nobody would refill it.
 */

import type { FramePool, PacketBatch } from '@etherloom/core/data';
import {
  BATCH_SIZE,
  DROP_NO_FRAME,
  DROP_RX_OVERSIZE,
  DROP_RX_RUNT,
  MAX_PACKET,
  MAX_SUPER_PACKET,
  OFFLOAD_GSO,
  QUEUE_RX_BYTES,
  QUEUE_RX_PACKETS,
} from '@etherloom/core/data';
import type { XskBinding } from '../binding.js';
import { ETH_HEADER } from '../frame.hot.js';
import { STATE_MTU } from '../state.hot.js';
import {
  CONSUMER,
  CONTINUED,
  ENTRIES,
  FILL,
  FILL_SIZE,
  FLAGS,
  NEED_WAKEUP,
  PRODUCER,
  RX,
  RX_SIZE,
  type XskParts,
} from './rings.hot.js';
import { ETHERNET_MTU, markUnfinished } from './unfinished.hot.js';

/** Frames that wait for packets even when there are no others. */
const LEAST_FRAMES = 8;

// V8 folds a module's own constants into the code, imported ones not.
const RX_MASK = RX_SIZE - 1;
const FILL_MASK = FILL_SIZE - 1;
const RUNT = ETH_HEADER;
const MORE = CONTINUED;
const WAKE = NEED_WAKEUP;

export class XskReceiver {
  readonly #native: XskBinding;
  readonly #fd: number;
  readonly #pool: FramePool;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #drops: Float64Array;
  readonly #counters: Float64Array;
  readonly #state: Int32Array;
  readonly #lent: Uint16Array;
  /** Whether packets may come unfinished, and whether super-packets may. */
  readonly #unfinished: boolean;
  readonly #merged: boolean;

  /** Rings' memory as 32-bit words, and where in it the words and entries of each ring are. */
  readonly #ring: Int32Array;
  readonly #rxProducer: number;
  readonly #rxConsumer: number;
  readonly #rxEntries: number;
  readonly #fillProducer: number;
  readonly #fillFlags: number;
  readonly #fillEntries: number;
  // Our side of the indices; those of the kernel are read once a burst.
  #received = 0;
  #filled = 0;

  /** Frames that wait for packets or hold one that we did not take yet, and how many there shall be. */
  #held = 0;
  #target: number;
  /** Frames that are not given up when the pool is empty. */
  readonly #least: number;

  /** Large frame that a packet of several descriptors is gathered in, its length so far; -1: it will be dropped. */
  #gathering = false;
  #gathered = -1;
  #gatheredLength = 0;

  /** Lends the kernel frames for packets to come. `unfinished`: OFFLOAD_* bits of work that packets may come with. */
  constructor(parts: XskParts, unfinished: number) {
    const { pool, layout } = parts;
    this.#native = parts.native;
    this.#fd = parts.fd;
    this.#pool = pool;
    this.#bytes = pool.arena.bytes;
    this.#view = pool.arena.view;
    this.#drops = parts.drops;
    this.#counters = parts.counters;
    this.#state = parts.state;
    this.#lent = parts.lent;
    this.#unfinished = unfinished !== 0;
    this.#merged = (unfinished & OFFLOAD_GSO) !== 0;
    this.#ring = parts.ring;
    this.#rxProducer = layout[RX + PRODUCER]!;
    this.#rxConsumer = layout[RX + CONSUMER]!;
    this.#rxEntries = layout[RX + ENTRIES]!;
    this.#fillProducer = layout[FILL + PRODUCER]!;
    this.#fillFlags = layout[FILL + FLAGS]!;
    this.#fillEntries = layout[FILL + ENTRIES]!;
    this.#least = Math.min(LEAST_FRAMES, pool.free >> 1);
    this.#target = Math.max(this.#least, initialTarget(pool.free));
    this.#lendMore();
  }

  /** Appends what fits of the packets that wait. Returns how many waited: more than were appended when some were dropped. */
  burst(batch: PacketBatch): number {
    const ring = this.#ring;
    const waiting = (Atomics.load(ring, this.#rxProducer) - this.#received) | 0;
    if (waiting > 0) this.#receive(batch, waiting);
    if ((ring[this.#fillFlags]! & WAKE) !== 0) this.#native.wake(this.#fd);
    return waiting;
  }

  /** Whether the kernel may have lacked frames, or room, for packets when `waiting` waited. */
  isTight(waiting: number): boolean {
    return waiting >= this.#held || waiting === RX_SIZE;
  }

  /** Gives up the packet that is being gathered. */
  close(): void {
    if (this.#gathered >= 0) this.#pool.release(this.#gathered);
    this.#gathered = -1;
  }

  /** Takes what fits of the `waiting` descriptors, and gives the kernel frames for those that it had. */
  #receive(batch: PacketBatch, waiting: number): void {
    const ring = this.#ring;
    const { arena } = this.#pool;
    const end = (this.#received + waiting) | 0;
    const counters = this.#counters;
    const before = batch.count;
    let at = this.#received;
    while (at !== end && batch.count < batch.capacity) {
      const entry = this.#rxEntries + ((at & RX_MASK) << 2);
      at = (at + 1) | 0;
      const frame = ring[entry]!;
      const length = ring[entry + 2]!;
      const more = ring[entry + 3]! & MORE;
      if (more !== 0 || this.#gathering) {
        this.#gather(batch, frame, length, more !== 0);
        this.#lend(frame);
        continue;
      }
      const fresh = length < RUNT ? -1 : this.#pool.alloc();
      if (fresh < 0 && (length < RUNT || this.#held <= this.#least)) {
        this.#drops[length < RUNT ? DROP_RX_RUNT : DROP_NO_FRAME]!++;
        this.#lend(frame);
        continue;
      }
      this.#lent[arena.frameIndex(frame)]!--;
      batch.push(frame, length);
      if (fresh < 0) {
        this.#held--;
        continue;
      }
      this.#lent[arena.frameIndex(fresh)]!++;
      this.#lend(fresh);
    }
    this.#received = at;
    let bytes = 0;
    for (let i = before; i < batch.count; i++) bytes += batch.length[i]!;
    if (this.#unfinished) this.#markUnfinished(batch, before);
    counters[QUEUE_RX_PACKETS]! += batch.count - before;
    counters[QUEUE_RX_BYTES]! += bytes;
    // When half of our frames came back with packets since the last burst, the kernel may soon lack some.
    if (waiting > this.#held >> 1) this.#grow();
    this.#lendMore();
    Atomics.store(ring, this.#rxConsumer, at);
  }

  #markUnfinished(batch: PacketBatch, first: number): void {
    const longest = this.#merged ? Math.min(this.#state[STATE_MTU]!, ETHERNET_MTU) : MAX_PACKET;
    for (let i = first; i < batch.count; i++) markUnfinished(this.#view, batch, i, longest);
  }

  /** Whether the last packet of the batch is a super-packet, of which alone {@link MAX_PACKET} is not the limit. */
  #isSuper(batch: PacketBatch): boolean {
    const last = batch.count - 1;
    if (this.#unfinished) this.#markUnfinished(batch, last);
    return (batch.offload[last]! & OFFLOAD_GSO) !== 0;
  }

  /** Appends a piece to the packet that is being gathered; with its last piece the packet goes up. */
  #gather(batch: PacketBatch, frame: number, length: number, more: boolean): void {
    if (!this.#gathering) {
      this.#gathering = true;
      this.#gathered = this.#pool.allocLarge();
      this.#gatheredLength = 0;
    }
    const at = this.#gatheredLength;
    const total = at + length;
    const target = this.#gathered;
    this.#gatheredLength = total;
    if (target >= 0 && total <= MAX_SUPER_PACKET) this.#bytes.copyWithin(target + at, frame, frame + length);
    if (more) return;
    this.#gathering = false;
    this.#gathered = -1;
    if (target >= 0 && total <= MAX_SUPER_PACKET) {
      batch.push(target, total);
      if (total <= MAX_PACKET || this.#isSuper(batch)) return;
      batch.count--;
    }
    this.#drops[target < 0 ? DROP_NO_FRAME : DROP_RX_OVERSIZE]!++;
    if (target >= 0) this.#pool.release(target);
  }

  /** Offers `frame` for a packet; the kernel sees it once the fill ring's producer index is stored. */
  #lend(frame: number): void {
    this.#ring[this.#fillEntries + ((this.#filled & FILL_MASK) << 1)] = frame;
    this.#filled = (this.#filled + 1) | 0;
  }

  /** Lends more frames until there are as many as there shall be. */
  #lendMore(): void {
    const { arena } = this.#pool;
    while (this.#held < this.#target) {
      const frame = this.#pool.alloc();
      if (frame < 0) break;
      this.#lent[arena.frameIndex(frame)]!++;
      this.#held++;
      this.#lend(frame);
    }
    Atomics.store(this.#ring, this.#fillProducer, this.#filled);
  }

  /** Doubles the frames for packets, as long as three times as many stay free for others. */
  #grow(): void {
    const target = Math.min(2 * this.#target, FILL_SIZE);
    if (this.#pool.free >= 4 * (target - this.#target)) this.#target = target;
  }
}

/**
 * Frames to lend at first: a 32nd of what is free, so that dozens of ports leave some for each other; but 80, two bursts
 * and a half, where that would be less; and of small pools all but half a burst.
 */
function initialTarget(free: number): number {
  return Math.min(Math.max(free >> 5, 80), free - BATCH_SIZE / 2, FILL_SIZE);
}
