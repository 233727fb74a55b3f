/** The data half of the probe devices, on any thread. */

import type { NetdevQueue, PacketBatch, QueueDescriptor, QueueResources } from '@etherloom/core';
import { native } from './native.js';

export const BUCKETS = 100_000;
export const STATE_WORDS = 1;
const LENGTH = 60;
const TIME_AT = 46;

export interface ProbeDescriptor extends QueueDescriptor {
  readonly rate: ArrayBufferLike;
  readonly histogram: ArrayBufferLike;
}

/** Counts one packet that came `late` milliseconds after it was due. */
export function noteLatency(histogram: Int32Array, late: number): void {
  const bucket = (late * 1000) | 0;
  histogram[bucket < BUCKETS ? bucket : BUCKETS - 1]! += 1;
}

export function openQueue(descriptor: QueueDescriptor, { pool }: QueueResources): NetdevQueue {
  if (!isProbe(descriptor)) throw new TypeError(`"${descriptor.netdev}" is no probe device`);
  return new ProbeQueue(descriptor, pool);
}

const isProbe = (descriptor: QueueDescriptor): descriptor is ProbeDescriptor => 'histogram' in descriptor;

class ProbeQueue implements NetdevQueue {
  readonly pollFd = -1;
  readonly #pool: QueueResources['pool'];
  readonly #rate: Int32Array;
  readonly #histogram: Int32Array;
  readonly #clock = native().clock;
  readonly #now = new Float64Array(1);
  #due = 0;

  constructor(descriptor: ProbeDescriptor, pool: QueueResources['pool']) {
    this.#pool = pool;
    this.#rate = new Int32Array(descriptor.rate);
    this.#histogram = new Int32Array(descriptor.histogram);
  }

  rxBurst(batch: PacketBatch): number {
    const rate = this.#rate[0]!;
    if (rate === 0) {
      this.#due = 0;
      return 0;
    }
    this.#clock(this.#now);
    const now = this.#now[0]!;
    const gap = 1000 / rate;
    if (this.#due === 0) this.#due = now;
    const before = batch.count;
    const { view } = this.#pool.arena;
    while (this.#due <= now && batch.count < batch.capacity) {
      const frame = this.#pool.alloc();
      if (frame < 0) break;
      for (let i = 0; i < TIME_AT; i += 4) view.setInt32(frame + i, i === 12 ? 0x88b50000 : 0x02020202);
      view.setFloat64(frame + TIME_AT, this.#due);
      batch.push(frame, LENGTH);
      this.#due += gap;
    }
    return batch.count - before;
  }

  txBurst(batch: PacketBatch): number {
    const { count } = batch;
    const { view } = this.#pool.arena;
    this.#clock(this.#now);
    for (let i = 0; i < count; i++) {
      const frame = batch.data[i]!;
      noteLatency(this.#histogram, this.#now[0]! - view.getFloat64(frame + TIME_AT));
      this.#pool.release(frame);
    }
    batch.count = 0;
    return count;
  }

  close(): void {}
}
