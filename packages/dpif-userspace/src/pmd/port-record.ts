/** A port as the control thread keeps it for its threads: who polls its queues, who sends, and what was dropped where. */

import { DpifError, DROP_REASON_COUNT, type QueueDescriptor, watchWord } from '@etherloom/core';
import type { NewPort } from '../plane.js';
import { type AssignedQueue, leastLoaded } from './assignment.js';
import type { PmdThread } from './pmd-thread.js';

export interface QueueRecord extends AssignedQueue {
  readonly port: PortRecord;
  readonly descriptor: QueueDescriptor;
}

export class PortRecord {
  readonly portNo: number;
  readonly name: string;
  readonly queues: QueueRecord[] = [];
  /** Threads that know the port, or are being told. */
  readonly threads = new WeakSet<PmdThread>();
  readonly #port: NewPort;
  /** Drops that the control thread counted, and those of threads that are gone. */
  readonly #own = new Float64Array(DROP_REASON_COUNT);
  /** By thread. */
  readonly #drops = new Map<number, Float64Array>();
  /** Transmit halves, by thread. */
  readonly #halves = new Map<number, QueueDescriptor>();
  readonly #unwatch: (() => void)[] = [];

  /** Gives each queue a thread. EINVAL when the port's options pin a queue that it does not have, or to no thread. */
  constructor(port: NewPort, threads: number, others: readonly QueueRecord[]) {
    this.portNo = port.portNo;
    this.name = port.name;
    this.#port = port;
    const { netdev } = port.ref;
    const { rxQueues, txQueues } = netdev.capabilities;
    const count = Math.max(rxQueues, txQueues, 1);
    for (const [queue, thread] of port.affinity) {
      if (queue < count && thread < threads) continue;
      throw new DpifError(
        'EINVAL',
        `port "${port.name}" cannot have queue ${queue} polled by thread ${thread} (pmd-rxq-affinity): it has ${count} queue(s), the datapath ${threads} thread(s), both counted from 0`,
      );
    }
    for (let index = 0; index < count; index++) {
      const pinned = port.affinity.get(index);
      this.queues.push({
        port: this,
        thread: pinned ?? leastLoaded(threads, [...others, ...this.queues]),
        pinned: pinned !== undefined,
        movable: this.sendsAnywhere,
        descriptor: netdev.queueDescriptor(index),
      });
    }
  }

  /** Whether any thread may send through a half of its own. */
  get sendsAnywhere(): boolean {
    return this.#port.ref.netdev.transmitDescriptor !== undefined;
  }

  /** OFFLOAD_* bits that the device takes. */
  get txOffloads(): number {
    return this.#port.ref.netdev.capabilities.txOffloads;
  }

  /** The descriptor of a transmit half of its own for a thread, where the device has such. */
  transmitDescriptor(thread: number): QueueDescriptor | undefined {
    const half = this.#port.ref.netdev.transmitDescriptor?.();
    if (half !== undefined) this.#halves.set(thread, half);
    return half;
  }

  /** The thread that sends for those that cannot. */
  get sender(): number {
    return this.queues[0]!.thread;
  }

  queuesOf(thread: number): QueueRecord[] {
    return this.queues.filter((queue) => queue.thread === thread);
  }

  /** The thread that had these queues, and sent through a half of its own, is gone without closing them. */
  reclaim(thread: number): void {
    const { netdev } = this.#port.ref;
    for (const { descriptor } of this.queuesOf(thread)) netdev.reclaimQueue?.(descriptor.index);
    const half = this.#halves.get(thread);
    if (half !== undefined) netdev.reclaimTransmitter?.(half);
    this.#halves.delete(thread);
  }

  /** Calls `wake` whenever packets wait in a queue whose thread cannot sleep on it. */
  watch(wake: (thread: number) => void): void {
    for (const queue of this.queues) {
      const { ready } = queue.descriptor;
      if (ready === undefined) continue;
      this.#unwatch.push(watchWord(new Int32Array(ready.words), ready.index, () => wake(queue.thread)));
    }
  }

  unwatch(): void {
    for (const stop of this.#unwatch.splice(0)) stop();
  }

  /** New drop counters for a thread, in shared memory. */
  countFor(thread: number): SharedArrayBuffer {
    const memory = new SharedArrayBuffer(DROP_REASON_COUNT * Float64Array.BYTES_PER_ELEMENT);
    this.#drops.set(thread, new Float64Array(memory));
    return memory;
  }

  /** Keeps what a thread counted that is gone. */
  retire(thread: number): void {
    this.#drops.get(thread)?.forEach((count, reason) => {
      this.#own[reason]! += count;
    });
    this.#drops.delete(thread);
  }

  /** Counts packets that the control thread dropped, or found lost. */
  drop(reason: number, count = 1): void {
    this.#own[reason]! += count;
  }

  drops(): Float64Array {
    const sum = this.#own.slice();
    for (const drops of this.#drops.values()) {
      for (let reason = 0; reason < sum.length; reason++) sum[reason]! += drops[reason]!;
    }
    return sum;
  }
}
