/** The data half of dummy devices that take their thread down, once for each time that they are told to. */

import type { NetdevQueue, PacketBatch, QueueDescriptor, QueueResources } from '@etherloom/core';
import { DummyProvider } from '@etherloom/netdev-dummy';

/** As built: threads cannot load TypeScript. */
export const FRAGILE_MODULE = new URL('../dist/fragile-queue.js', import.meta.url).href;

/** What breaks next: nothing, a receive that brings packets, a send. */
export const CALM = 0;
export const BREAK_RECEIVE = 1;
export const BREAK_SEND = 2;

export interface FragileDescriptor extends QueueDescriptor {
  /** One word, shared by all queues: CALM... */
  readonly breaks: SharedArrayBuffer;
}

const driver = new DummyProvider('fragile');

export function openQueue(descriptor: QueueDescriptor, resources: QueueResources): NetdevQueue {
  if (!isFragile(descriptor)) throw new TypeError(`"${descriptor.netdev}" is not a fragile device`);
  return new FragileQueue(driver.openQueue(descriptor, resources), new Int32Array(descriptor.breaks));
}

const isFragile = (descriptor: QueueDescriptor): descriptor is FragileDescriptor => 'breaks' in descriptor;

class FragileQueue implements NetdevQueue {
  readonly pollFd = -1;
  readonly #queue: NetdevQueue;
  readonly #breaks: Int32Array;

  constructor(queue: NetdevQueue, breaks: Int32Array) {
    this.#queue = queue;
    this.#breaks = breaks;
  }

  rxBurst(batch: PacketBatch): number {
    const count = this.#queue.rxBurst(batch);
    if (count > 0) this.#breakIf(BREAK_RECEIVE);
    return count;
  }

  txBurst(batch: PacketBatch): number {
    this.#breakIf(BREAK_SEND);
    return this.#queue.txBurst(batch);
  }

  close(): void {
    this.#queue.close();
  }

  #breakIf(what: number): void {
    if (Atomics.compareExchange(this.#breaks, 0, what, CALM) === what) throw new Error('on purpose');
  }
}
