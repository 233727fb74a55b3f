/**
 * A decorator that loses, doubles and damages received frames, the same ones every time for one seed: how users of a
 * driver are tested against a bad wire.
 */

import {
  DROP_RX_FAULT,
  type NetdevProvider,
  type NetdevQueue,
  PacketBatch,
  type QueueResources,
} from '@etherloom/core';
import { decorate } from './decorate.js';

/** Probabilities, 0..1, each 0 by default and drawn for itself per frame. */
export interface FaultOptions {
  /** The frame is lost, counted under DROP_RX_FAULT. */
  readonly drop?: number;
  /** The frame comes twice, sharing one buffer. Not when the receiver's batch has no second slot. */
  readonly duplicate?: number;
  /** One bit of the frame is inverted. */
  readonly corrupt?: number;
  /** Start of the random sequence of each queue, a 32-bit number; default 1. */
  readonly seed?: number;
}

/** `provider` with faults on the receive side of its queues. Throws a `RangeError` for a bad probability or seed. */
export function faults(provider: NetdevProvider, options: FaultOptions): NetdevProvider {
  for (const name of ['drop', 'duplicate', 'corrupt'] as const) {
    const value = options[name] ?? 0;
    if (!(value >= 0 && value <= 1)) throw new RangeError(`${name} ${value} is no probability: give 0 to 1`);
  }
  const seed = options.seed ?? 1;
  if (!Number.isInteger(seed)) throw new RangeError(`seed ${seed} is no whole number`);
  return decorate(provider, (queue, descriptor, resources) => {
    const faulty = new FaultyQueue(queue, options, mix(seed + descriptor.index), resources);
    if (queue.setWake === undefined) return faulty;
    return Object.assign(faulty, { setWake: (wake: (() => void) | undefined) => queue.setWake?.(wake) });
  });
}

class FaultyQueue implements NetdevQueue {
  readonly pollFd: number;
  readonly #queue: NetdevQueue;
  readonly #resources: QueueResources;
  readonly #drop: number;
  readonly #duplicate: number;
  readonly #corrupt: number;
  readonly #received = new PacketBatch();
  #random: number;

  constructor(queue: NetdevQueue, options: FaultOptions, random: number, resources: QueueResources) {
    this.pollFd = queue.pollFd;
    this.#queue = queue;
    this.#resources = resources;
    this.#drop = options.drop ?? 0;
    this.#duplicate = options.duplicate ?? 0;
    this.#corrupt = options.corrupt ?? 0;
    this.#random = random;
  }

  rxBurst(batch: PacketBatch): number {
    const { pool, drops } = this.#resources;
    const from = this.#received;
    const before = batch.count;
    // Until something is left: 0 means that nothing waits.
    while (batch.count === before && batch.count < batch.capacity) {
      // Receive no more than fits doubled. A batch receives into its free slots, so the front ones are declared taken.
      const limit = Math.max(1, Math.min(from.capacity, (batch.capacity - batch.count) >> 1));
      const first = from.capacity - limit;
      from.count = first;
      const received = this.#queue.rxBurst(from);
      if (received === 0) break;
      for (let i = first; i < from.count; i++) {
        // All three are drawn for each frame: one probability does not shift the others' sequence.
        const drop = this.#draw(this.#drop);
        const duplicate = this.#draw(this.#duplicate);
        const corrupt = this.#draw(this.#corrupt);
        if (drop) {
          drops[DROP_RX_FAULT] = drops[DROP_RX_FAULT]! + 1;
          pool.release(from.data[i]!);
          continue;
        }
        if (corrupt) this.#damage(i);
        batch.pushFrom(from, i);
        if (duplicate && batch.count + (from.count - i - 1) < batch.capacity) {
          pool.retain(from.data[i]!);
          batch.pushFrom(from, i);
        }
      }
      from.count = 0;
    }
    return batch.count - before;
  }

  txBurst(batch: PacketBatch): number {
    return this.#queue.txBurst(batch);
  }

  close(): void {
    this.#queue.close();
  }

  /** Inverts a bit of received packet `i`, in a copy when someone else has the frame too; left alone without memory for it. */
  #damage(i: number): void {
    const { pool } = this.#resources;
    const batch = this.#received;
    const length = batch.length[i]!;
    const bit = this.#next() % (length * 8);
    const original = batch.data[i]!;
    if (pool.isShared(original)) {
      const copy = pool.allocFor(length);
      if (copy < 0) return;
      pool.arena.bytes.copyWithin(copy, original, original + length);
      pool.release(original);
      batch.data[i] = copy;
    }
    const at = batch.data[i]! + (bit >> 3);
    pool.arena.bytes[at] = pool.arena.bytes[at]! ^ (1 << (bit & 7));
  }

  #draw(probability: number): boolean {
    return this.#next() < probability * 0x1_0000_0000;
  }

  /** xorshift32 (Marsaglia 2003): 0..2**32-1. */
  #next(): number {
    let x = this.#random;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#random = x;
    return x >>> 0;
  }
}

/** Spreads a seed over 32 bits, never 0: small seeds would start xorshift with small numbers. */
function mix(seed: number): number {
  const x = Math.imul(seed ^ (seed >>> 16), 0x45d9f3b);
  return (x ^ (x >>> 16)) | 0 || 1;
}
