/**
 * Flow put, get and del (dpif.h "Flow Table", struct dpif_flow_put): the control path over the classifier. Keys and
 * masks come in as Netlink bytes and are kept as packed rows; what goes out is encoded anew, canonical.
 */

import {
  type ActionProgram,
  Classifier,
  type ClassifierOptions,
  DpifError,
  type Flow,
  type FlowCounters,
  type FlowPutOp,
  type FlowStats,
  FP_CREATE,
  FP_MODIFY,
  FP_ZERO_STATS,
  isDpifError,
  NO_STATS,
  type PortView,
  type TupleSearch,
} from '@etherloom/core';
import { KEY_WORDS, RowForms } from '@etherloom/odp-codec';
import { type ActionRules, checkActions, checkActionsOf } from './action-rules.js';
import { ActionTable } from './action-table.js';
import { type FlowMask, FlowReader } from './flow-reader.js';
import type { FlowView } from './pipeline.hot.js';

const ALL_FLAGS = FP_CREATE | FP_MODIFY | FP_ZERO_STATS;

/** Copies of the flow table on other threads. Told of each change when it is done; never refuses one. */
export interface FlowReplicas {
  created(flow: number, key: Int32Array, mask: Int32Array, actions: Uint8Array): void;
  /** `own` are the statistics that the table itself held so far, when they are zeroed. */
  modified(flow: number, actions: Uint8Array, own: FlowStats | undefined): void;
  removed(flow: number, own: FlowStats): void;
  flushed(): void;
  /** `own` and what the copies counted. */
  stats(flow: number, own: FlowStats): FlowStats;
}

export class FlowTable implements FlowView {
  readonly classifier: Classifier;
  readonly ports: PortView;
  readonly search: TupleSearch;
  readonly counters: FlowCounters;
  readonly actions: ActionTable;
  readonly programs: readonly (ActionProgram | undefined)[];
  programOf: Int32Array;
  /** Puts that found the table full, of flows or of masks. */
  refused = 0;
  readonly #forms: RowForms;
  readonly #reader: FlowReader;
  readonly #replicas: FlowReplicas | undefined;
  readonly #key = new Int32Array(KEY_WORDS);
  /**
   * Keys as the client gave them, of flows whose rows do not tell all of it: bits that no packet has, such as a flow label
   * of more than 20. By them the client knows its flows (dpif.h "Flow Table": the original flow is retained).
   */
  readonly #originals = new Map<number, Uint8Array>();

  /** Keys may have up to `vlanLimit` tags, 1 or 2. */
  constructor(options: ClassifierOptions, rules: ActionRules, vlanLimit: number, replicas?: FlowReplicas) {
    this.#forms = new RowForms({ vlanLimit });
    this.#reader = new FlowReader(vlanLimit);
    this.#replicas = replicas;
    this.actions = new ActionTable(rules === 'strict' ? { checkActions, checkActionsOf } : undefined);
    this.classifier = new Classifier(options);
    this.ports = this.classifier.ports;
    this.search = this.classifier.search;
    this.counters = this.classifier.counters;
    this.programs = this.actions.programs;
    this.programOf = new Int32Array(this.classifier.capacity);
  }

  /**
   * Creates or modifies a flow; returns the statistics before. A flow that is modified gets new actions and keeps its
   * mask. Nothing changes on failure: EINVAL for a bad key, mask, action list or flags, EEXIST when the flow is there
   * and may not be modified, or another flow matches its key already, ENOENT when it is not there and may not be
   * created, EFBIG and ENOSPC as in `Classifier.insert`.
   */
  put(op: FlowPutOp): FlowStats {
    const { flags } = op;
    if ((flags & ~ALL_FLAGS) !== 0) {
      throw new DpifError('EINVAL', `flow put flags ${flags} hold unknown bits; known are ${ALL_FLAGS}`);
    }
    const mask = this.#reader.readFlow(op.key, op.mask);
    const { key } = this.#reader;
    const program = this.actions.acquire(op.actions);
    try {
      // A flow with this key matches it: most puts are of new keys, and need not look for the key itself.
      const matched = this.classifier.match(key) >= 0;
      const flow = matched ? this.classifier.find(key) : -1;
      if (flow < 0) {
        this.#create(flags, program, op, mask, matched);
        return NO_STATS;
      }
      if ((flags & FP_MODIFY) === 0)
        throw new DpifError('EEXIST', 'a flow with this key is in the table already');
      this.actions.checkFlow(program, key, this.classifier.maskOf(flow));
      const before = this.#stats(flow);
      this.actions.release(this.programOf[flow]!);
      this.programOf[flow] = program;
      const own = (flags & FP_ZERO_STATS) === 0 ? undefined : this.#own(flow);
      if (own !== undefined) this.counters.zero(flow);
      this.#replicas?.modified(flow, op.actions, own);
      return before;
    } catch (error) {
      this.actions.release(program);
      throw error;
    }
  }

  /** Removes the flow with exactly this key; returns its final statistics. ENOENT, EINVAL. */
  del(key: Uint8Array): FlowStats {
    const flow = this.#find(key);
    const own = this.#own(flow);
    const stats = this.#replicas?.stats(flow, own) ?? own;
    this.#remove(flow);
    this.#replicas?.removed(flow, own);
    return stats;
  }

  /** ENOENT, EINVAL. */
  get(key: Uint8Array): Flow {
    return this.read(this.#find(key));
  }

  /** A flow that exists, by id. */
  read(flow: number): Flow {
    const key = this.keyOf(flow);
    const mask = this.classifier.maskOf(flow);
    return {
      key: this.#originals.get(flow)?.slice() ?? this.#forms.key(key, 0, mask),
      mask: this.#forms.mask(key, mask),
      actions: this.actionsOf(flow).slice(),
      stats: this.#stats(flow),
    };
  }

  flush(): void {
    const { classifier } = this;
    for (let flow = 0; flow < classifier.capacity; flow++) {
      if (classifier.isFlow(flow)) this.actions.release(this.programOf[flow]!);
    }
    classifier.clear();
    this.#originals.clear();
    this.programOf = new Int32Array(classifier.capacity);
    this.#replicas?.flushed();
  }

  /** The unmasked key of a flow that exists, until the next call. */
  keyOf(flow: number): Int32Array {
    this.classifier.readKey(flow, this.#key);
    return this.#key;
  }

  /** The actions of a flow that exists. Read only. */
  actionsOf(flow: number): Uint8Array {
    return this.programs[this.programOf[flow]!]!.actions;
  }

  #create(flags: number, program: number, op: FlowPutOp, mask: FlowMask, matched: boolean): void {
    if ((flags & FP_CREATE) === 0) {
      throw new DpifError('ENOENT', 'there is no flow with this key to modify; put it with the create flag');
    }
    const { key } = this.#reader;
    if (this.actions.dependsOnFlow(program) && mask.fits !== this.programs[program]) {
      this.actions.checkFlow(program, key, mask.row);
      mask.fits = this.programs[program];
    }
    if (matched) {
      throw new DpifError('EEXIST', 'a flow in the table matches this key already, so the two would overlap');
    }
    const flow = this.#insert(key, mask);
    const { classifier } = this;
    if (classifier.capacity > this.programOf.length) {
      const programOf = new Int32Array(classifier.capacity);
      programOf.set(this.programOf);
      this.programOf = programOf;
    }
    this.programOf[flow] = program;
    if (this.#reader.isLossy(op.key)) this.#originals.set(flow, op.key.slice());
    this.#replicas?.created(flow, key, mask.row, op.actions);
  }

  #insert(key: Int32Array, mask: FlowMask): number {
    try {
      return this.classifier.insertUnmatched(key, 0, mask);
    } catch (error) {
      if (isDpifError(error) && (error.code === 'EFBIG' || error.code === 'ENOSPC')) this.refused++;
      throw error;
    }
  }

  #remove(flow: number): void {
    this.actions.release(this.programOf[flow]!);
    this.#originals.delete(flow);
    this.classifier.remove(flow);
    const { capacity } = this.classifier;
    // The classifier gave its memory back, which it does when the last flow is gone.
    if (capacity < this.programOf.length) this.programOf = new Int32Array(capacity);
  }

  #find(key: Uint8Array): number {
    this.#reader.readKey(key);
    const flow = this.classifier.find(this.#reader.key);
    if (flow < 0) throw new DpifError('ENOENT', 'there is no flow with this key');
    return flow;
  }

  #stats(flow: number): FlowStats {
    const own = this.#own(flow);
    return this.#replicas?.stats(flow, own) ?? own;
  }

  #own(flow: number): FlowStats {
    const { counters } = this;
    const packets = counters.packets(flow);
    if (packets === 0) return NO_STATS;
    return {
      packets,
      bytes: counters.bytes(flow),
      used: counters.used(flow),
      tcpFlags: counters.tcpFlags(flow),
    };
  }
}
