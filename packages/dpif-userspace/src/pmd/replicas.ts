/**
 * The flow table's copies on poll-mode threads, as the control thread sees them: sends each change to all of them, and
 * sums the statistics that they write to shared memory.
 */

import { type FlowStats, type KnownMask, PACKED_WORDS, type PreparedKey, packRow } from '@etherloom/core';
import type { FlowReplicas, FlowTable } from '../flow-table.js';
import { commandWords } from './command-writer.js';
import { Pending } from './pending.js';
import type { PmdThread } from './pmd-thread.js';
import { sumStats } from './stats.js';

export class Replicas implements FlowReplicas {
  /** Threads that have a copy, or are getting one. */
  readonly threads = new Set<PmdThread>();
  readonly #now: () => number;
  readonly #key = new Int32Array(PACKED_WORDS);
  readonly #mask = new Int32Array(PACKED_WORDS);
  /** By flow: the number of the command from which on its statistics count. Slots of threads keep older ones until then. */
  #since = new Float64Array(64);
  #sequence = 0;
  #pending: Pending | undefined;

  /** `now` is the clock of flow statistics. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** A number for the next command, 1, 2, ...; the same for all threads that it goes to. */
  next(): number {
    return ++this.#sequence;
  }

  /** What the last operation still has to learn from the threads; given out once. */
  takePending(): Pending | undefined {
    const pending = this.#pending;
    this.#pending = undefined;
    return pending;
  }

  expect(pending: Pending): void {
    this.#pending = pending;
  }

  created(flow: number, key: PreparedKey, mask: KnownMask, actions: Uint8Array): void {
    const sequence = this.next();
    this.#start(flow, sequence);
    const { packed, length } = key;
    for (const thread of this.threads) {
      if (thread.has(flow))
        thread.commands.put(thread.send(sequence), flow, packed, length, mask.packed, actions);
    }
  }

  modified(flow: number, actions: Uint8Array, own: FlowStats | undefined): void {
    const sequence = this.next();
    const zero = own !== undefined;
    const pending = zero ? new Pending(own) : undefined;
    this.#pending = pending;
    for (const thread of this.threads) {
      if (!thread.has(flow)) continue;
      thread.commands.modify(thread.send(sequence), flow, zero, actions);
      if (pending !== undefined) thread.expect(pending, flow);
    }
    if (zero) this.#start(flow, sequence);
  }

  removed(flow: number, own: FlowStats): void {
    const sequence = this.next();
    const pending = new Pending(own);
    this.#pending = pending;
    for (const thread of this.threads) {
      if (!thread.has(flow)) continue;
      thread.commands.del(thread.send(sequence), flow);
      thread.expect(pending, flow);
    }
  }

  flushed(): void {
    const sequence = this.next();
    for (const thread of this.threads) thread.commands.flush(thread.send(sequence));
  }

  stats(flow: number, own: FlowStats): FlowStats {
    let stats = own;
    const since = this.#since[flow]!;
    for (const thread of this.threads) {
      if (thread.done >= since) stats = sumStats(stats, thread.flowStats(flow));
    }
    // A clock that was stopped or set back is followed a little later by the threads.
    const now = this.#now();
    return stats.used > now ? { ...stats, used: now } : stats;
  }

  /** Forgets a thread that is gone, and keeps in the flow table itself what it counted. */
  retire(thread: PmdThread, table: FlowTable): void {
    this.threads.delete(thread);
    const { classifier, counters } = table;
    for (let flow = 0; flow < classifier.capacity; flow++) {
      if (!classifier.isFlow(flow) || thread.done < this.#since[flow]!) continue;
      const { packets, bytes, used, tcpFlags } = thread.flowStats(flow);
      counters.add(flow, packets, bytes, used, tcpFlags);
    }
  }

  /** Words of the command that `replay` sends. */
  lengthOf(table: FlowTable, flow: number): number {
    return commandWords(table.classifier.isFlow(flow) ? table.actionsOf(flow).length : 0);
  }

  /** Tells a thread that begins of `flow`, when there is one. */
  replay(thread: PmdThread, table: FlowTable, flow: number): void {
    if (!table.classifier.isFlow(flow)) return;
    const key = this.#key;
    const mask = this.#mask;
    const length = packRow(table.keyOf(flow), 0, key);
    const packedMask = mask.subarray(0, packRow(table.classifier.maskOf(flow), 0, mask));
    thread.commands.put(thread.send(this.next()), flow, key, length, packedMask, table.actionsOf(flow));
  }

  #start(flow: number, sequence: number): void {
    if (flow >= this.#since.length) {
      const grown = new Float64Array(Math.max(this.#since.length * 2, flow + 1));
      grown.set(this.#since);
      this.#since = grown;
    }
    this.#since[flow] = sequence;
  }
}
