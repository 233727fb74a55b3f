/**
 * Flow put, get and del (dpif.h "Flow Table", struct dpif_flow_put): the control path over the classifier. Keys and
 * masks come in as Netlink bytes and are kept as packed rows; what goes out is encoded anew, canonical.
 */

import {
  type ActionProgram,
  Classifier,
  type ClassifierOptions,
  DpifError,
  type DpifOp,
  type Flow,
  type FlowCounters,
  type FlowDelOp,
  type FlowGetOp,
  type FlowPutOp,
  type FlowStats,
  FP_CREATE,
  FP_MODIFY,
  FP_ZERO_STATS,
  isDpifError,
  type KnownMask,
  NO_STATS,
  type PortView,
  type PreparedKey,
  type TupleSearch,
} from '@etherloom/core';
import { KEY_WORDS, RowForms } from '@etherloom/odp-codec';
import { type ActionRules, checkActions, checkActionsOf } from './action-rules.js';
import { ActionTable } from './action-table.js';
import { FlowKey, type FlowMask, FlowReader } from './flow-reader.js';
import type { FlowView } from './pipeline.hot.js';

/** Operations that are read ahead at a time, a power of two: their keys stay in the first of the processor's caches. */
export const AHEAD = 32;

const ALL_FLAGS = FP_CREATE | FP_MODIFY | FP_ZERO_STATS;

/** Copies of the flow table on other threads. Told of each change when it is done; never refuses one. */
export interface FlowReplicas {
  created(flow: number, key: PreparedKey, mask: KnownMask, actions: Uint8Array): void;
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
  /** Where what was only touched goes, so that it is not optimized away. */
  touched = 0;
  readonly #forms: RowForms;
  readonly #reader: FlowReader;
  readonly #replicas: FlowReplicas | undefined;
  readonly #row = new Int32Array(KEY_WORDS);
  /** The key of an operation that was not read ahead. */
  readonly #key = new FlowKey();
  /** Those of operations that were, by place in their list modulo their number. */
  readonly #ahead = Array.from({ length: AHEAD }, () => new FlowKey());
  /** The same without gaps: of puts, and of gets and deletions. */
  readonly #inserts: FlowKey[] = [];
  readonly #finds: FlowKey[] = [];
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
   * Reads the next {@link AHEAD} operations from `first` on, and brings closer what they will look at: at a million flows
   * they wait for memory half of their time otherwise. Changes nothing, and leaves out what is not as simple as most.
   */
  expect(ops: readonly DpifOp[], first: number): void {
    for (const key of this.#ahead) key.op = undefined;
    const end = Math.min(first + AHEAD, ops.length);
    // Two are faster together than one by one already; one has nothing to wait for memory with.
    if (end - first < 2) return;
    const inserts = this.#inserts;
    const finds = this.#finds;
    let [insert, find, touched] = [0, 0, 0];
    // The operations themselves lie anywhere, too.
    for (let at = first; at < end; at++) {
      const op = ops[at]!;
      if (op.type !== 'execute') touched += op.key[0]!;
    }
    this.touched = touched;
    let maskBytes: Uint8Array | undefined;
    let before: FlowKey | undefined;
    for (let at = first; at < end; at++) {
      const op = ops[at]!;
      if (op.type === 'execute') continue;
      const key = this.#ahead[at & (AHEAD - 1)]!;
      if (!this.#reader.readKnownKey(op.key, key)) continue;
      if (op.type === 'flowPut') {
        // Clients make a mask once and put many flows with it: between two puts of one call its bytes cannot change.
        const same = before !== undefined && op.mask === maskBytes && key.form === before.form;
        key.mask = same ? before!.mask : this.#reader.readKnownMask(op.mask, key);
        if (key.mask === undefined) continue;
        before = key;
        maskBytes = op.mask;
        inserts[insert++] = key;
      } else finds[find++] = key;
      key.op = op;
      this.classifier.prepare(key, key.form?.end);
    }
    this.classifier.expectInserts(inserts, insert);
    this.classifier.expectRemovals(finds, find);
  }

  /**
   * Creates or modifies a flow; returns the statistics before. A flow that is modified gets new actions and keeps its
   * mask. Nothing changes on failure: EINVAL for a bad key, mask, action list or flags, EEXIST when the flow is there
   * and may not be modified, or another flow matches its key already, ENOENT when it is not there and may not be
   * created, EFBIG and ENOSPC as in `Classifier.insert`. `at` is its place in the list that {@link expect} had.
   */
  put(op: FlowPutOp, at = 0): FlowStats {
    const { flags } = op;
    if ((flags & ~ALL_FLAGS) !== 0) {
      throw new DpifError('EINVAL', `flow put flags ${flags} hold unknown bits; known are ${ALL_FLAGS}`);
    }
    let key = this.#ahead[at & (AHEAD - 1)]!;
    let mask = key.op === op ? key.mask : undefined;
    key.op = undefined;
    if (mask === undefined) {
      key = this.#key;
      mask = this.#reader.readFlow(op.key, op.mask, key);
      this.classifier.prepare(key, key.form?.end);
    }
    const program = this.actions.acquire(op.actions);
    try {
      // A flow with this key matches it: most puts are of new keys, and need not look for the key itself.
      const matched = this.classifier.matchPrepared(key) >= 0;
      const flow = matched ? this.classifier.findPrepared(key) : -1;
      if (flow < 0) {
        this.#create(program, op, key, mask, matched);
        return NO_STATS;
      }
      if ((flags & FP_MODIFY) === 0)
        throw new DpifError('EEXIST', 'a flow with this key is in the table already');
      this.actions.checkFlow(program, key.row, this.classifier.maskOf(flow));
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

  /**
   * Removes the flow with exactly this key; returns its final statistics, as far as the table itself has them: what the
   * replicas counted comes later. ENOENT, EINVAL. `at` as in {@link put}.
   */
  del(op: FlowDelOp, at = 0): FlowStats {
    const key = this.#read(op, at);
    const flow = this.#find(key);
    const own = this.#own(flow);
    this.actions.release(this.programOf[flow]!);
    if (this.#originals.size > 0) this.#originals.delete(flow);
    const { classifier } = this;
    classifier.removePrepared(flow, key);
    // The classifier gave its memory back, which it does when the last flow is gone.
    if (classifier.capacity < this.programOf.length) this.programOf = new Int32Array(classifier.capacity);
    this.#replicas?.removed(flow, own);
    return own;
  }

  /** ENOENT, EINVAL. `at` as in {@link put}. */
  get(op: FlowGetOp, at = 0): Flow {
    return this.read(this.#find(this.#read(op, at)));
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

  /** Removes all flows, however many, in 1 ms. Not while a packet is on its way. */
  flush(): void {
    const { classifier } = this;
    this.actions.clear();
    classifier.clear();
    this.#originals.clear();
    this.programOf = new Int32Array(classifier.capacity);
    this.#replicas?.flushed();
  }

  /** The unmasked key of a flow that exists, until the next call. */
  keyOf(flow: number): Int32Array {
    this.classifier.readKey(flow, this.#row);
    return this.#row;
  }

  /** The actions of a flow that exists. Read only. */
  actionsOf(flow: number): Uint8Array {
    return this.programs[this.programOf[flow]!]!.actions;
  }

  #create(program: number, op: FlowPutOp, key: FlowKey, mask: FlowMask, matched: boolean): void {
    if ((op.flags & FP_CREATE) === 0) {
      throw new DpifError('ENOENT', 'there is no flow with this key to modify; put it with the create flag');
    }
    if (this.actions.dependsOnFlow(program) && mask.fits !== this.programs[program]) {
      this.actions.checkFlow(program, key.row, mask.row);
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
    if (this.#reader.isLossy(key, op.key)) this.#originals.set(flow, op.key.slice());
    this.#replicas?.created(flow, key, mask, op.actions);
  }

  #insert(key: FlowKey, mask: FlowMask): number {
    try {
      return this.classifier.insertUnmatched(key, mask);
    } catch (error) {
      if (isDpifError(error) && (error.code === 'EFBIG' || error.code === 'ENOSPC')) this.refused++;
      throw error;
    }
  }

  #read(op: FlowDelOp | FlowGetOp, at: number): FlowKey {
    const ahead = this.#ahead[at & (AHEAD - 1)]!;
    const ready = ahead.op === op;
    ahead.op = undefined;
    if (ready) return ahead;
    const key = this.#key;
    this.#reader.readKey(op.key, key);
    this.classifier.prepare(key, key.form?.end);
    return key;
  }

  #find(key: FlowKey): number {
    const flow = this.classifier.findPrepared(key);
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
