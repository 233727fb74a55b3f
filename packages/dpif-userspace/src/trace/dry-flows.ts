/** The flow table as a trace sees it: the flows of the real one, with no statistics and with actions that are recorded. */

import {
  type ActionProgram,
  compileActions,
  FlowCounters,
  type PortView,
  type Subtable,
  TupleSearch,
} from '@etherloom/core';
import { KEY_WORDS } from '@etherloom/odp-codec';
import type { FlowTable } from '../flow-table.js';
import type { FlowView } from '../pipeline.hot.js';
import type { Recorder } from './recorder.js';

/** What a trace needs of the flow table. */
export type TracedFlows = Pick<FlowTable, 'classifier' | 'read'>;

/** Finds flows of the real table, and gives each a number of its own by the lookups of this trace. */
class DrySearch extends TupleSearch {
  readonly #find: (keys: Int32Array, base: number) => number;

  constructor(find: (keys: Int32Array, base: number) => number) {
    super();
    this.#find = find;
  }

  override lookup(keys: Int32Array, base: number): number {
    return this.#find(keys, base);
  }
}

class NoCounters extends FlowCounters {
  override count(): void {}
}

export class DryFlows implements FlowView {
  readonly ports: PortView;
  readonly search: TupleSearch;
  readonly counters: FlowCounters = new NoCounters(0);
  readonly programs: ActionProgram[] = [];
  programOf = new Int32Array(0);
  readonly #flows: TracedFlows;
  readonly #recorder: Recorder;
  /** Numbers of flows that were found before. */
  readonly #numbers = new Map<number, number>();

  constructor(flows: TracedFlows, recorder: Recorder) {
    this.#flows = flows;
    this.#recorder = recorder;
    // Never used: only what is received in bursts is looked up there.
    this.ports = flows.classifier.ports;
    const { search } = flows.classifier;
    this.search = new DrySearch((keys, base) => this.find(keys, base, search.order));
  }

  /** Begins a pass with the key at `keys[base]`; returns the number in {@link programs} of the flow's program, or -1. */
  find(keys: Int32Array, base: number, subtables: readonly Subtable[]): number {
    const { classifier } = this.#flows;
    const flow = classifier.match(keys, base);
    if (flow < 0) {
      this.#recorder.beginPass(keys, base, subtables.length, subtables.length, undefined);
      return -1;
    }
    const mask = classifier.maskOf(flow);
    const visited = subtables.findIndex((subtable) => sameMask(subtable.mask, mask)) + 1;
    const { key, mask: maskBytes, actions } = this.#flows.read(flow);
    this.#recorder.beginPass(keys, base, subtables.length, visited, { key, mask: maskBytes, actions });
    const known = this.#numbers.get(flow);
    if (known !== undefined) return known;
    const number = this.programs.push(compileActions(actions, { steps: true })) - 1;
    this.programOf = Int32Array.from(this.programs.keys());
    this.#numbers.set(flow, number);
    return number;
  }
}

function sameMask(a: Int32Array, b: Int32Array): boolean {
  for (let word = 0; word < KEY_WORDS; word++) if (a[word] !== b[word]) return false;
  return true;
}
