/** A poll-mode thread's copy of the flow table: what the control thread says, under the same flow ids. */

import {
  type ActionProgram,
  Classifier,
  type ClassifierOptions,
  type FlowCounters,
  type KnownMask,
  type PortView,
  type TupleSearch,
} from '@etherloom/core/data';
import { ActionTable } from '../action-table.js';
import type { FlowView } from '../pipeline.hot.js';

export class Replica implements FlowView {
  readonly classifier: Classifier;
  readonly ports: PortView;
  readonly search: TupleSearch;
  readonly counters: FlowCounters;
  /** The control thread checked that actions fit their flows. */
  readonly actions = new ActionTable();
  readonly programs: readonly (ActionProgram | undefined)[];
  programOf: Int32Array;

  /** Statistics are counted in `statistics`, by flow id. */
  constructor(options: ClassifierOptions, statistics: SharedArrayBuffer) {
    this.classifier = new Classifier({ ...options, replica: statistics });
    this.ports = this.classifier.ports;
    this.search = this.classifier.search;
    this.counters = this.classifier.counters;
    this.programs = this.actions.programs;
    const { capacity, maxFlows } = this.classifier;
    // As the classifier's own: nothing to copy when the table grows.
    this.programOf = new Int32Array(Math.max(capacity, maxFlows));
  }

  put(flow: number, key: Int32Array, mask: KnownMask, actions: Uint8Array): void {
    const { classifier } = this;
    // An id in use would mean that the tables differ, and packets would go wrong ways: better no thread than this one.
    if (classifier.isFlow(flow)) throw new Error(`flow ${flow} is in the thread's copy of the table already`);
    const program = this.actions.acquire(actions);
    classifier.insertReplica(flow, key, 0, mask);
    this.programOf[flow] = program;
  }

  modify(flow: number, zero: boolean, actions: Uint8Array): void {
    this.#demand(flow);
    const program = this.actions.acquire(actions);
    this.actions.release(this.programOf[flow]!);
    this.programOf[flow] = program;
    if (zero) this.counters.zero(flow);
  }

  del(flow: number): void {
    this.#demand(flow);
    this.actions.release(this.programOf[flow]!);
    const { capacity } = this.classifier;
    this.classifier.remove(flow);
    this.#giveBack(capacity);
  }

  /** Removes all flows, however many, in 1 ms: between bursts nothing but flows has actions. */
  flush(): void {
    const { classifier } = this;
    this.actions.clear();
    const { capacity } = classifier;
    classifier.clear();
    this.#giveBack(capacity);
  }

  #demand(flow: number): void {
    if (!this.classifier.isFlow(flow))
      throw new Error(`flow ${flow} is not in the thread's copy of the table`);
  }

  /** The classifier gives its memory back when the last flow is gone. */
  #giveBack(capacity: number): void {
    if (this.classifier.capacity < capacity) this.programOf = new Int32Array(this.programOf.length);
  }
}
