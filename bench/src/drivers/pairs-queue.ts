/** The data half of the pairs devices, on any thread. */

import type { NetdevQueue, PacketBatch, QueueDescriptor, QueueResources } from '@etherloom/core';

/** Words that the control half and the queues share: how many frames may be received at all, and how many were received and sent. */
export const WORD_ALLOWED = 0;
export const WORD_RECEIVED = 1;
export const WORD_SENT = 2;
/** Words of one frame in `frames`. */
export const FRAME_WORDS = 15;

/** Frames on their way from one device to the other: as many as an upcall queue holds. */
const WINDOW = 512;

export interface PairsDescriptor extends QueueDescriptor {
  readonly words: SharedArrayBuffer;
  /** The words of the other device, which sends what this one receives. */
  readonly other: SharedArrayBuffer;
  /** The frames to receive, in order, FRAME_WORDS words each; none for a sink. */
  readonly frames: SharedArrayBuffer;
}

const isPairs = (descriptor: QueueDescriptor): descriptor is PairsDescriptor => 'frames' in descriptor;

/** Queues of this thread that want to be woken, by the words of their devices. */
const wakes = new WeakMap<SharedArrayBuffer, () => void>();

/** Tells a device's queue on this thread that more may be received; without one on this thread nothing happens. */
export function wakeLocal(words: SharedArrayBuffer): void {
  wakes.get(words)?.();
}

export function openQueue(descriptor: QueueDescriptor, { pool }: QueueResources): NetdevQueue {
  if (!isPairs(descriptor)) throw new TypeError(`"${descriptor.netdev}" is no pairs device`);
  return new PairsQueue(descriptor, pool);
}

class PairsQueue implements NetdevQueue {
  readonly pollFd = -1;
  readonly #pool: QueueResources['pool'];
  readonly #shared: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #otherShared: SharedArrayBuffer;
  readonly #other: Int32Array;
  readonly #frames: Int32Array;
  readonly #arena: Int32Array;
  #next = 0;

  constructor(descriptor: PairsDescriptor, pool: QueueResources['pool']) {
    this.#pool = pool;
    this.#shared = descriptor.words;
    this.#words = new Int32Array(descriptor.words);
    this.#otherShared = descriptor.other;
    this.#other = new Int32Array(descriptor.other);
    this.#frames = new Int32Array(descriptor.frames);
    this.#arena = new Int32Array(pool.arena.buffer);
  }

  setWake(wake: (() => void) | undefined): void {
    if (wake === undefined) wakes.delete(this.#shared);
    else wakes.set(this.#shared, wake);
  }

  rxBurst(batch: PacketBatch): number {
    const before = batch.count;
    const allowed = Math.min(
      Atomics.load(this.#words, WORD_ALLOWED),
      Atomics.load(this.#other, WORD_SENT) + WINDOW,
    );
    while (this.#next < allowed && batch.count < batch.capacity) {
      const frame = this.#pool.alloc();
      if (frame < 0) break;
      const from = this.#next++ * FRAME_WORDS;
      for (let i = 0; i < FRAME_WORDS; i++) this.#arena[(frame >> 2) + i] = this.#frames[from + i]!;
      batch.push(frame, FRAME_WORDS * 4);
    }
    const received = batch.count - before;
    if (received > 0) this.#words[WORD_RECEIVED]! += received;
    return received;
  }

  txBurst(batch: PacketBatch): number {
    const { count } = batch;
    this.#pool.releaseAll(batch.data, count);
    batch.count = 0;
    Atomics.add(this.#words, WORD_SENT, count);
    wakeLocal(this.#otherShared);
    return count;
  }

  close(): void {
    wakes.delete(this.#shared);
  }
}
