/**
 * The memory of a learning switch and its rules: what upcalls, dumped flows and port changes teach, and which
 * operations on the datapath follow. It only plans: all calls are synchronous, time comes in, operations go out.
 */

import {
  type DpifError,
  type DpifOp,
  type Flow,
  FP_CREATE,
  type OpResult,
  type Upcall,
} from '@etherloom/core';
import { DROP, decide, FLOOD } from './decision.js';
import { FlowIndex } from './flow-index.js';
import { isGroup } from './mac.js';
import { type MacCounters, type MacEntry, MacTable } from './mac-table.js';
import { type FlowMatch, KeyReader, outputActions } from './megaflow.js';

export interface LearningOptions {
  /** Seconds after which a silent station is forgotten. */
  readonly macAge: number;
  /** Seconds after which an unused flow is deleted. */
  readonly maxIdle: number;
  readonly maxMacs: number;
  /** Flows that the switch installs at most; packets beyond are forwarded one by one. */
  readonly maxFlows: number;
}

export const LEARNING_DEFAULTS: LearningOptions = {
  macAge: 300,
  maxIdle: 10,
  maxMacs: 8192,
  maxFlows: 200_000,
};

/** Operations for one `operate`, in order: deletions before the put and the put before the packet that led to them. */
export interface Plan {
  readonly ops: DpifOp[];
  /** The puts among them, in order. */
  readonly puts: Put[];
  /** Number of the batch of upcalls that they answer; undefined when they answer none. */
  batch: number | undefined;
}

export const newPlan = (): Plan => ({ ops: [], puts: [], batch: undefined });

interface Put {
  /** Index of the operation. */
  readonly at: number;
  /** Number and serial number of the flow that it is for. */
  readonly flow: number;
  readonly serial: number;
  /** The flow is new to the index too. */
  readonly isNew: boolean;
}

/** An operation that failed though nothing says that it may. */
export interface Trouble {
  readonly op: DpifOp['type'];
  readonly error: DpifError;
}

const NO_ACTIONS = new Uint8Array(0);

export class Planner {
  readonly #options: LearningOptions;
  readonly #macs: MacTable;
  readonly #flows = new FlowIndex();
  readonly #reader = new KeyReader();
  /** Actions that flood, by input port, and that output, by output port. */
  readonly #floods = new Map<number, Uint8Array>();
  readonly #outputs = new Map<number, Uint8Array>();
  #ports: ReadonlyMap<number, string> = new Map();
  #batch = 0;
  /** Of the latest batch whose operations are done. */
  #settled = 0;
  /** Keys under which flows that have others are being put: which of them the datapath has is not known yet. */
  readonly #renamed = new Map<number, Uint8Array>();
  #sweep = 0;

  constructor(options: LearningOptions) {
    this.#options = options;
    this.#macs = new MacTable({ maxEntries: options.maxMacs, maxAge: options.macAge * 1000 });
  }

  /** Names of the ports by number. */
  get ports(): ReadonlyMap<number, string> {
    return this.#ports;
  }

  stations(): Iterable<MacEntry> {
    return this.#macs.entries();
  }

  /** What happened in the MAC table so far. */
  get macCounters(): MacCounters {
    return this.#macs.counters;
  }

  /** Number of flows that the switch believes to be installed. */
  get flows(): number {
    return this.#flows.size;
  }

  /**
   * Answers upcalls: learns, and puts flows and sends packets. Those before need not be settled yet, but their operations must
   * be done first.
   */
  handle(upcalls: readonly Upcall[], now: number, plan: Plan): void {
    this.#batch++;
    plan.batch = this.#batch;
    for (const { type, key, packet } of upcalls) {
      // Action upcalls are answers to flows that someone else installed: whoever did may want to see them, not we.
      if (type !== 'miss') continue;
      const match = this.#reader.read(key);
      if (match === undefined) continue;
      // A packet of a port that is gone, or so new that the switch has yet to hear of it, passes but leaves no trace.
      const settled = this.#ports.has(match.inPort);
      if (settled && !isGroup(match.src)) this.#learn(match, now, plan);
      const out = decide(match, this.#macs);
      const actions = this.#actions(out, match.inPort);
      if (settled) this.#install(match, key, actions, out === FLOOD, now, plan);
      if (actions.length > 0) plan.ops.push({ type: 'execute', packet, actions, metadata: key });
    }
  }

  /** The ports are now these, by number. */
  setPorts(ports: ReadonlyMap<number, string>, plan: Plan): void {
    const before = this.#ports;
    const gone = [...before.keys()].filter((portNo) => ports.get(portNo) !== before.get(portNo));
    const came = [...ports.keys()].some((portNo) => before.get(portNo) !== ports.get(portNo));
    if (gone.length === 0 && !came) return;
    this.#ports = ports;
    this.#floods.clear();
    this.#outputs.clear();
    for (const portNo of gone) {
      for (const entry of this.#macs.removePort(portNo)) this.#forget(entry, plan);
    }
    for (const flow of this.#flows.all()) {
      if (this.#flows.isFlood(flow) || gone.includes(this.#flows.inPort(flow))) this.#delete(plan, flow);
    }
  }

  /** Begins to go over the flow table; `visit` and `endSweep` follow. */
  beginSweep(): void {
    this.#sweep++;
  }

  /**
   * Flows of a dump: those in use keep their sender young, idle ones go. `offset` is what to add to the datapath's time
   * to get `now`'s.
   */
  visit(flows: readonly Flow[], offset: number, now: number, plan: Plan): void {
    const index = this.#flows;
    for (const { key, stats } of flows) {
      const match = this.#reader.read(key);
      if (match?.mask === undefined) continue;
      const flow = index.find(match);
      // Flows that others added are none of our business.
      if (flow < 0 || !index.hasKey(flow, key)) continue;
      index.setSweep(flow, this.#sweep);
      let used = index.used(flow);
      if (stats.used > 0 && stats.used + offset > used) {
        used = stats.used + offset;
        index.setUsed(flow, used);
      }
      this.#macs.refresh(match.vlan, match.src, match.inPort, used);
      if (now - used > this.#options.maxIdle * 1000) this.#delete(plan, flow);
    }
  }

  /** The whole table was visited since `started`. */
  endSweep(started: number, plan: Plan): void {
    // What the dump did not show was deleted by somebody else. Deleting it costs little and leaves nothing to chance.
    const index = this.#flows;
    for (const flow of index.all()) {
      if (index.sweep(flow) < this.#sweep && index.installed(flow) < started) this.#delete(plan, flow);
    }
  }

  /** Forgets stations that were silent for too long. */
  expire(now: number, plan: Plan): void {
    for (const entry of this.#macs.expire(now)) this.#forget(entry, plan);
  }

  /** The operator says that `mac` is at `port`: flows that say otherwise go. */
  fix(vlan: number, mac: number, port: number, now: number, plan: Plan): void {
    this.#macs.fix(vlan, mac, port, now);
    this.#forgetFlows(vlan, mac, plan);
  }

  /** Forgets one station, learned or fixed; false when it is not known. */
  remove(vlan: number, mac: number, plan: Plan): boolean {
    const entry = this.#macs.remove(vlan, mac);
    if (entry !== undefined) this.#forget(entry, plan);
    return entry !== undefined;
  }

  /** Forgets all learned stations, and with them the flows that rest on what was learned. */
  flush(plan: Plan): void {
    this.#macs.clear();
    for (const flow of this.#flows.all()) this.#delete(plan, flow);
  }

  /**
   * Takes note of how the operations of `plan` went, none if nobody knows; returns what went wrong. Plans are settled in the
   * order in which they were made.
   */
  settle(plan: Plan, results: readonly OpResult[]): Trouble[] {
    const trouble: Trouble[] = [];
    const { ops, puts, batch } = plan;
    if (batch !== undefined) this.#settled = batch;
    let nextPut = 0;
    for (let i = 0; i < results.length; i++) {
      const put = puts[nextPut]?.at === i ? puts[nextPut++] : undefined;
      const { error } = results[i]!;
      if (error === undefined) {
        if (put !== undefined && !put.isNew) this.#confirm(put, ops[i]!);
      } else if (!this.#expected(ops[i]!, put, error)) {
        trouble.push({ op: ops[i]!.type, error });
      }
    }
    // No later batch, whose puts are settled later, puts a flow of these.
    for (const { flow, serial, isNew } of puts) {
      if (!isNew && this.#flows.isFlow(flow, serial)) this.#renamed.delete(flow);
    }
    return trouble;
  }

  /** Handles the failures that are part of ordinary life. */
  #expected(op: DpifOp, put: Put | undefined, error: DpifError): boolean {
    // Somebody deleted the flow before us.
    if (op.type === 'flowDel') return error.code === 'ENOENT';
    if (put === undefined) return false;
    // The packet came up before the flow that an earlier batch had put was there: the flow is ours.
    if (error.code === 'EEXIST' && !put.isNew) return true;
    if (this.#flows.isFlow(put.flow, put.serial)) this.#flows.remove(put.flow);
    // Somebody else's flow, installed after the packet came up, covers it: theirs stays.
    return error.code === 'EEXIST';
  }

  /** A flow that was known already was put again, maybe under another key. */
  #confirm({ flow, serial }: Put, op: DpifOp): void {
    if (op.type === 'flowPut' && this.#flows.isFlow(flow, serial)) this.#flows.setKey(flow, op.key);
  }

  /** Learns where the sender is; deletes the flows that rest on its having been elsewhere or nowhere. */
  #learn({ vlan, src, inPort }: FlowMatch, now: number, plan: Plan): void {
    const learned = this.#macs.learn(vlan, src, inPort, now);
    if (learned.kind === 'known') return;
    for (const flow of this.#flows.to(vlan, src)) this.#delete(plan, flow);
    if (learned.kind === 'moved') {
      for (const flow of this.#flows.from(vlan, src)) {
        if (this.#flows.inPort(flow) !== inPort) this.#delete(plan, flow);
      }
    } else if (learned.evicted !== undefined) {
      this.#forget(learned.evicted, plan);
    }
  }

  /** Puts the megaflow for `match`, unless there can be none or this batch did already. */
  #install(
    match: FlowMatch,
    key: Uint8Array,
    actions: Uint8Array,
    flood: boolean,
    now: number,
    plan: Plan,
  ): void {
    const { mask } = match;
    if (mask === undefined) return;
    const index = this.#flows;
    const batch = this.#batch;
    let flow = index.find(match);
    const isNew = flow < 0;
    if (isNew) {
      if (index.size >= this.#options.maxFlows) return;
      flow = index.add(match, key, flood, now, batch, this.#sweep);
    } else {
      // This batch puts it already, or one that is under way.
      if (index.batch(flow) > this.#settled) return;
      // It was deleted behind our back, or this packet came up before it was there: put it again, under this key.
      index.setBatch(flow, batch);
      index.setUsed(flow, now);
      if (!index.hasKey(flow, key)) this.#renamed.set(flow, key);
    }
    plan.puts.push({ at: plan.ops.length, flow, serial: index.serial(flow), isNew });
    plan.ops.push({ type: 'flowPut', flags: FP_CREATE, key, mask, actions });
  }

  #delete(plan: Plan, flow: number): void {
    plan.ops.push({ type: 'flowDel', key: this.#flows.keyOf(flow) });
    const renamed = this.#renamed.get(flow);
    if (renamed !== undefined) plan.ops.push({ type: 'flowDel', key: renamed });
    this.#renamed.delete(flow);
    this.#flows.remove(flow);
  }

  /** A station left the MAC table: so must the flows that lead to it, and those that would keep it from being learned again. */
  #forget({ vlan, mac }: MacEntry, plan: Plan): void {
    this.#forgetFlows(vlan, mac, plan);
  }

  #forgetFlows(vlan: number, mac: number, plan: Plan): void {
    for (const flow of this.#flows.to(vlan, mac)) this.#delete(plan, flow);
    for (const flow of this.#flows.from(vlan, mac)) this.#delete(plan, flow);
  }

  /** The actions for what `decide` said of a packet from `inPort`; made once, until the ports change. */
  #actions(out: number, inPort: number): Uint8Array {
    if (out === DROP) return NO_ACTIONS;
    const [cache, port] = out === FLOOD ? [this.#floods, inPort] : [this.#outputs, out];
    let actions = cache.get(port);
    if (actions === undefined) {
      actions = outputActions(
        out === FLOOD ? [...this.#ports.keys()].filter((other) => other !== inPort) : [out],
      );
      cache.set(port, actions);
    }
    return actions;
  }
}
