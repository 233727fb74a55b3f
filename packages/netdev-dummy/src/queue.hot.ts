/**
 * The data half of a dummy device: received frames come from the ring that `inject` fills and from a preloaded capture,
 * sent ones go to the ring that the control half empties, or nowhere when nobody looks. Hot: no allocation, no throw.
 */

import {
  DROP_NO_FRAME,
  DROP_RX_OVERSIZE,
  DROP_RX_RUNT,
  DROP_TX_DOWN,
  DROP_TX_FULL,
  DROP_TX_TOO_BIG,
  type FramePool,
  MAX_PACKET,
  type NetdevQueue,
  type PacketBatch,
  QUEUE_RX_BYTES,
  QUEUE_RX_PACKETS,
  QUEUE_TX_BYTES,
  QUEUE_TX_PACKETS,
} from '@etherloom/core/data';
import { copyBlocks } from './copy.hot.js';
import { type FrameRing, RING_TAIL } from './ring.hot.js';

// Words of a device's shared state, written by the control half.
/** Admin state and carrier are both up. */
export const STATE_LINK = 0;
/** Longest frame without VLAN tags: MTU + 14. */
export const STATE_MAX_FRAME = 1;
/** Someone wants to see sent frames. */
export const STATE_OBSERVED = 2;
export const STATE_WORDS = 3;

const ETH_HEADER = 14;
const TPID_8021Q = 0x8100;
const TPID_8021AD = 0x88a8;

/** Frames of a capture that this queue receives, as queue.ts prepared them. */
export interface ReplaySource {
  /** Where the frames lie, on multiples of BLOCK: the capture's own memory. Not looked at when `shared`. */
  readonly words: Int32Array;
  /** Byte offset of each frame in `words`, or in the arena when `shared`. */
  readonly offsets: Int32Array;
  readonly lengths: Int32Array;
  /** The frames stay in the arena, one reference ours, and every time one more is given out. Otherwise copied. */
  readonly shared: boolean;
  /** How often all of them are received; 0 = without end. */
  readonly loops: number;
}

export class DummyQueue implements NetdevQueue {
  readonly pollFd = -1;
  /** Called at the end of a burst that was put into the tx ring, and when it is full; set on the device's own thread. */
  drain: (() => void) | undefined;

  readonly #pool: FramePool;
  readonly #view: DataView;
  readonly #words: Int32Array;
  readonly #drops: Float64Array;
  readonly #counters: Float64Array;
  readonly #state: Int32Array;
  readonly #rx: FrameRing;
  readonly #tx: FrameRing;
  readonly #replay: ReplaySource | undefined;
  /** Next frame of the capture, and how often it may still be run through (-1: without end). */
  #replayAt = 0;
  #replayLeft = 0;
  #wake: (() => void) | undefined;
  /** rxBurst came back empty since the last wake. */
  #armed = true;
  /** Undefined once the queue is closed. */
  #closed: (() => void) | undefined;

  /** `closed` is called once, by `close`. */
  constructor(
    pool: FramePool,
    drops: Float64Array,
    counters: Float64Array,
    state: Int32Array,
    rx: FrameRing,
    tx: FrameRing,
    replay: ReplaySource | undefined,
    closed: () => void,
  ) {
    this.#pool = pool;
    this.#view = pool.arena.view;
    this.#words = new Int32Array(pool.arena.buffer);
    this.#drops = drops;
    this.#counters = counters;
    this.#state = state;
    this.#rx = rx;
    this.#tx = tx;
    this.#replay = replay;
    if (replay !== undefined && replay.offsets.length > 0)
      this.#replayLeft = replay.loops === 0 ? -1 : replay.loops;
    this.#closed = closed;
  }

  setWake(wake: (() => void) | undefined): void {
    this.#wake = wake;
    this.#armed = true;
    // Frames that wait already must not wait forever; the caller may not be ready for a call from inside this one.
    if (wake !== undefined) queueMicrotask(this.kick);
  }

  /** Something changed: wakes the user when packets wait and it was not told yet. */
  readonly kick = (): void => {
    if (!this.#armed || this.#wake === undefined) return;
    if (this.#rx.next() < 0 && (this.#replayLeft === 0 || this.#state[STATE_LINK] === 0)) return;
    this.#armed = false;
    this.#wake();
  };

  rxBurst(batch: PacketBatch): number {
    // Whoever opened the queue since then consumes the ring now.
    if (this.#closed === undefined) return 0;
    const before = batch.count;
    const capacity = batch.capacity;
    let bytes = 0;
    while (batch.count < capacity) {
      const length = this.#rx.next();
      if (length < 0) break;
      if (length < ETH_HEADER || length > MAX_PACKET) {
        this.#rx.skip();
        this.#drop(length < ETH_HEADER ? DROP_RX_RUNT : DROP_RX_OVERSIZE);
        continue;
      }
      const frame = this.#pool.allocFor(length);
      if (frame < 0) {
        this.#rx.skip();
        this.#drop(DROP_NO_FRAME);
        continue;
      }
      this.#rx.take(this.#view, frame);
      batch.push(frame, length);
      bytes += length;
    }
    if (this.#replayLeft !== 0 && this.#state[STATE_LINK] !== 0) bytes += this.#receiveReplay(batch);
    const received = batch.count - before;
    this.#counters[QUEUE_RX_PACKETS] = this.#counters[QUEUE_RX_PACKETS]! + received;
    this.#counters[QUEUE_RX_BYTES] = this.#counters[QUEUE_RX_BYTES]! + bytes;
    if (received === 0) this.#armed = true;
    return received;
  }

  txBurst(batch: PacketBatch): number {
    const { count, data, length: lengths } = batch;
    const link = this.#closed !== undefined && this.#state[STATE_LINK]! !== 0;
    const maxFrame = this.#state[STATE_MAX_FRAME]!;
    const observed = this.#state[STATE_OBSERVED]! !== 0;
    let sent = 0;
    let bytes = 0;
    for (let i = 0; i < count; i++) {
      const length = lengths[i]!;
      if (!link) this.#drop(DROP_TX_DOWN);
      else if (length > maxFrame && length > maxFrame + this.#tagBytes(data[i]!, length))
        this.#drop(DROP_TX_TOO_BIG);
      else if (observed && !this.#show(data[i]!, length)) this.#drop(DROP_TX_FULL);
      else {
        sent++;
        bytes += length;
      }
    }
    this.#pool.releaseAll(data, count);
    batch.count = 0;
    this.#counters[QUEUE_TX_PACKETS]! += sent;
    this.#counters[QUEUE_TX_BYTES]! += bytes;
    if (observed && sent > 0) {
      if (this.drain !== undefined) this.drain();
      else Atomics.notify(this.#tx.words, RING_TAIL);
    }
    return sent;
  }

  close(): void {
    const closed = this.#closed;
    if (closed === undefined) return;
    this.#closed = undefined;
    this.#wake = undefined;
    this.drain = undefined;
    this.#replayLeft = 0;
    const replay = this.#replay;
    if (replay?.shared === true) for (const offset of replay.offsets) this.#pool.release(offset);
    closed();
  }

  #show(frame: number, length: number): boolean {
    if (this.#tx.push(this.#view, frame, length)) return true;
    if (this.drain === undefined) return false;
    this.drain();
    return this.#tx.push(this.#view, frame, length);
  }

  /** Fills `batch` from the capture; returns the bytes. */
  #receiveReplay(batch: PacketBatch): number {
    const { offsets, lengths, shared, words } = this.#replay!;
    const frames = offsets.length;
    const to = this.#words;
    const pool = this.#pool;
    const { capacity, data: batchData, length: batchLength, offload } = batch;
    let { count } = batch;
    let at = this.#replayAt;
    let bytes = 0;
    while (count < capacity && this.#replayLeft !== 0) {
      const offset = offsets[at]!;
      const length = lengths[at]!;
      if (++at === frames) {
        at = 0;
        if (this.#replayLeft > 0) this.#replayLeft--;
      }
      let frame = offset;
      if (shared) pool.retain(offset);
      else {
        frame = pool.allocFor(length);
        if (frame < 0) {
          // One a call: a capture without end would never get out of here.
          this.#drop(DROP_NO_FRAME);
          break;
        }
        copyBlocks(words, offset >> 2, to, frame >> 2, length);
      }
      batchData[count] = frame;
      batchLength[count] = length;
      offload[count] = 0;
      count++;
      bytes += length;
    }
    batch.count = count;
    this.#replayAt = at;
    return bytes;
  }

  /** 4 for each VLAN tag in front of the frame. */
  #tagBytes(frame: number, length: number): number {
    let tags = 0;
    while (12 + tags + 2 <= length) {
      const tpid = this.#view.getUint16(frame + 12 + tags);
      if (tpid !== TPID_8021Q && tpid !== TPID_8021AD) break;
      tags += 4;
    }
    return tags;
  }

  #drop(reason: number): void {
    this.#drops[reason] = this.#drops[reason]! + 1;
  }
}
