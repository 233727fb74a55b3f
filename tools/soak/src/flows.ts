/** The flows that packets of a soak meet, and how many packets went where by them. */

import { type DpifOp, FP_CREATE, FP_MODIFY, FP_ZERO_STATS, PORT_NONE } from '@etherloom/core';
import { parseActions, parseFlowKey } from '@etherloom/odp-codec';
import { FIRST_TUPLE, TUPLES } from './capture.js';
import { pick, type Random } from './random.js';
import { COMING, NOWHERE, type Rig, SOURCES } from './rig.js';

/** What becomes of a packet: copies beyond the first, and lookups beyond the first. */
interface Fate {
  readonly actions: string;
  readonly copies: number;
  readonly passes: number;
}

const BATCH = 16;
const PORTS = Object.values(SOURCES);
/** Not the one that is deleted under traffic: packets to it would be drops of a port that is gone. */
const TARGETS = PORTS.filter((port) => port !== SOURCES.s3);
const RECIRC = 0x11;
const UNKNOWN_RECIRC = 0x12;

/** Lists of actions that end each packet in one place. PID stands for the special queue's. */
const SINGLE = [
  ...[10, 10, 10, 11, 12, 13, 14, ...TARGETS, ...COMING, NOWHERE].map(String),
  'drop',
  '',
  'userspace(pid=PID,userdata(0102))',
  'push_vlan(vid=5,pcp=0),10',
  'set(eth(src=02:00:00:00:00:07)),set(ipv4(ttl=9)),14',
  'trunc(70),10',
  'pop_eth,10',
  'ct(commit),10',
  `set(ipv4(tos=4)),recirc(${UNKNOWN_RECIRC})`,
].map((actions): Fate => ({ actions, copies: 0, passes: actions.includes('recirc') ? 1 : 0 }));
/** Ends in several. */
const SEVERAL: readonly Fate[] = [
  { actions: '10,14', copies: 1, passes: 0 },
  { actions: '10,11,13', copies: 2, passes: 0 },
  { actions: 'push_vlan(vid=7,pcp=0),10,pop_vlan,14', copies: 1, passes: 0 },
  { actions: 'userspace(pid=PID),10', copies: 1, passes: 0 },
  { actions: `10,recirc(${RECIRC})`, copies: 1, passes: 1 },
  { actions: `recirc(${RECIRC})`, copies: 0, passes: 1 },
];

const keyOf = (port: number, tuple: number) =>
  parseFlowKey(
    `in_port(${port}),eth(),eth_type(0x0800),ipv4(proto=17,frag=no),udp(src=${FIRST_TUPLE + tuple})`,
  );

/** Flows by port and tuple. */
export class Flows {
  readonly #rig: Rig;
  readonly #fates: readonly Fate[];
  readonly #exact: boolean;
  readonly #present = new Map<string, { readonly key: Uint8Array; fate: Fate }>();
  readonly #pid: number;
  /** Of flows that went or were told to count anew: packets, and lookups beyond the first. */
  packets = 0;
  passes = 0;

  /** With `exact` a packet may end in several places, and flows are asked what they counted. */
  static async of(rig: Rig, exact: boolean): Promise<Flows> {
    const flows = new Flows(rig, exact, await rig.dpif.portGetPid(PORT_NONE, 0));
    await flows.#others();
    return flows;
  }

  private constructor(rig: Rig, exact: boolean, pid: number) {
    this.#rig = rig;
    this.#exact = exact;
    this.#fates = exact ? [...SINGLE, ...SEVERAL] : SINGLE;
    this.#pid = pid;
  }

  /** Flows of packets that are looked up again, and of those that come back through a TAP. */
  async #others(): Promise<void> {
    const fate: Fate = { actions: '10', copies: 0, passes: 0 };
    const keys = PORTS.map(
      (port) => `recirc_id(${RECIRC}),in_port(${port}),eth(),eth_type(0x0800),ipv4(frag=no)`,
    );
    if (this.#rig.hasTaps) keys.push('in_port(21),eth(),eth_type(0x0800),ipv4(frag=no)');
    const ops = keys.map((text) => this.#put(text, parseFlowKey(text), fate, FP_CREATE));
    if (this.#rig.hasTaps) {
      const toTap: Fate = { ...fate, actions: '20' };
      const text = 'in_port(1),eth(),eth_type(0x88b5)';
      ops.push(this.#put(text, parseFlowKey(text), toTap, FP_CREATE));
    }
    await this.#operate(ops, []);
  }

  /** Puts, changes and deletes some at random. */
  async change(random: Random): Promise<void> {
    const ops: DpifOp[] = [];
    const ended: { index: number; fate: Fate }[] = [];
    for (let i = 0; i < BATCH; i++) {
      const port = pick(random, PORTS);
      const tuple = random(TUPLES);
      const name = `${port}/${tuple}`;
      const flow = keyOf(port, tuple);
      const fate = pick(random, this.#fates);
      const old = this.#present.get(name);
      if (old === undefined) ops.push(this.#put(name, flow, fate, FP_CREATE));
      else if (random(4) === 0) {
        this.#present.delete(name);
        ended.push({ index: ops.length, fate: old.fate });
        ops.push({ type: 'flowDel', key: flow.key });
      } else {
        // Counts of a flow are told apart by what it did while it counted.
        const same = old.fate.copies === fate.copies && old.fate.passes === fate.passes;
        const zero = (this.#exact && !same) || random(2) === 0;
        if (zero) ended.push({ index: ops.length, fate: old.fate });
        ops.push(this.#put(name, flow, fate, FP_MODIFY | (zero ? FP_ZERO_STATS : 0)));
      }
    }
    await this.#operate(ops, ended);
  }

  /** Deletes all, one by one when they are to tell what they counted. */
  async end(): Promise<void> {
    if (!this.#exact) {
      await this.#rig.dpif.flowFlush();
      return;
    }
    const flows = [...this.#present.values()];
    this.#present.clear();
    const ops = flows.map(({ key }): DpifOp => ({ type: 'flowDel', key }));
    await this.#operate(
      ops,
      flows.map(({ fate }, index) => ({ index, fate })),
    );
  }

  /** Deletes all under traffic. */
  async flush(): Promise<void> {
    if (this.#exact) return;
    await this.#rig.dpif.flowFlush();
    this.#present.clear();
  }

  #put(name: string, flow: { key: Uint8Array; mask: Uint8Array }, fate: Fate, flags: number): DpifOp {
    this.#present.set(name, { key: flow.key, fate });
    const actions = parseActions(fate.actions.replace('PID', String(this.#pid)));
    return { type: 'flowPut', flags, ...flow, actions };
  }

  async #operate(ops: readonly DpifOp[], ended: readonly { index: number; fate: Fate }[]): Promise<void> {
    const results = await this.#rig.dpif.operate(ops);
    for (const [i, { error }] of results.entries()) {
      if (error !== undefined) throw new Error(`${JSON.stringify(ops[i]?.type)} of a flow: ${error.message}`);
    }
    for (const { index, fate } of ended) {
      const { packets } = results[index]!.stats!;
      this.packets += packets;
      this.passes += packets * fate.passes;
      if (this.#exact) this.#rig.copies += packets * fate.copies;
    }
  }
}
