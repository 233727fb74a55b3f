/** What the steps of a session say, and the flow table that Open vSwitch has after them. */

import { type InterfaceSpec, parseInterface } from '@etherloom/cli';
import { KEY_WORDS, keyToFlow, maskToFlow, NlReader, OdpError, parseFlowKey } from '@etherloom/odp-codec';
import type { DpctlStep } from './transcript.js';

export const succeeded = ({ record }: DpctlStep): boolean => record.exit === 0;
/** Everything that Open vSwitch printed. */
export const output = ({ record }: DpctlStep): string =>
  `${String(record.stdout ?? '')}${String(record.stderr ?? '')}`;
export const says = (step: DpctlStep, text: string): boolean => output(step).includes(text);

/** A command without its options, and with its datapath when it names one. */
export function wordsOf({ cmd }: DpctlStep): { name: string; options: string[]; args: string[] } {
  const [name = '', ...rest] = cmd;
  const options = rest.filter((word) => word.startsWith('-'));
  return { name, options, args: rest.filter((word) => !word.startsWith('-')) };
}

/** The flow of add-flow and mod-flow, the only argument but one at the end. */
export function putOf(step: DpctlStep): { flow: string; actions: string; datapath: string } | undefined {
  const { name, args } = wordsOf(step);
  if (name !== 'dpctl/add-flow' && name !== 'dpctl/mod-flow') return undefined;
  const [flow, actions] = args.slice(-2);
  if (flow === undefined || actions === undefined || args.length > 3) return undefined;
  return { flow, actions, datapath: args.length === 3 ? args[0]! : '' };
}

/** A flow text as the datapath sees it. `bytes` are those of its key, in hexadecimal. */
export interface FlowRows {
  readonly bytes: string;
  readonly key: Int32Array;
  readonly mask: Int32Array;
}

/** Options of our dummy devices, and what their values look like. */
export const DUMMY_OPTIONS: Readonly<Record<string, RegExp>> = {
  capture: /^\d+$/,
  mac: /:/,
  mtu: /^\d+$/,
  peer: /./,
  replay: /^@RT@/,
  replay_loops: /^\d+$/,
  replay_shared: /^(?:true|false)$/,
  up: /^(?:true|false)$/,
  ifindex: /^[1-9]\d*$/,
  n_rxq: /^(?:[1-9]|[1-5]\d|6[0-4])$/,
  pcap: /^@RT@/,
  rxq_pcap: /^@RT@/,
  tx_pcap: /^@RT@/,
};

/** Names of the datapaths that a command makes, which their local ports have, too. */
function newDatapathsOf(step: DpctlStep): string[] {
  const { name, args } = wordsOf(step);
  return name === 'dpctl/add-dp' && args[0] !== undefined ? [args[0].slice(args[0].indexOf('@') + 1)] : [];
}

/** Names of the ports that a command adds, local ports among them. */
export const addedBy = (step: DpctlStep): string[] =>
  step.cmd[0] === 'dpctl/set-if'
    ? []
    : [...newDatapathsOf(step), ...interfacesOf(step).map(({ name }) => name)];

/** Names of the ports that there are after `steps`, in any datapath. */
export function portsAfter(steps: readonly DpctlStep[]): Set<string> {
  const datapaths = new Map([...START_PORTS.keys()].map((name) => [name, 'dummy@ovs-dummy']));
  for (const step of steps.filter(succeeded)) {
    const { name, args } = wordsOf(step);
    const [datapath = '', ...ports] = args;
    for (const added of addedBy(step)) datapaths.set(added, datapath);
    if (name === 'dpctl/del-if') for (const port of ports) datapaths.delete(port);
    if (name === 'dpctl/del-dp') {
      for (const [port, owner] of datapaths) if (owner === datapath) datapaths.delete(port);
    }
  }
  return new Set(datapaths.keys());
}

/** The interfaces that a command adds or sets. */
export function interfacesOf(step: DpctlStep): InterfaceSpec[] {
  const { name, args } = wordsOf(step);
  if (!/^dpctl\/(?:add-if|set-if|add-dp)$/.test(name)) return [];
  return args.slice(1).map(parseInterface);
}

/**
 * The number that `interface` would get in a dummy datapath of Open vSwitch: the one that it asks for, or the one in its name.
 * Undefined where neither says one.
 */
export function numberOf({ name, type, portNo }: InterfaceSpec): number | undefined {
  if (portNo !== undefined) {
    const number = BigInt.asUintN(32, BigInt(/^\s*-?\d+/.exec(portNo)?.[0] ?? 0));
    return number === NO_PORT ? undefined : Number(number);
  }
  const digits = type?.startsWith('dummy') === true ? /\d+/.exec(name)?.[0] : undefined;
  return digits === undefined ? undefined : Number(digits);
}

const NO_PORT = 0xffff_ffffn;

/** The ports of the start state by name. */
export const START_PORTS = new Map([
  ['ovs-dummy', 0],
  ...[1, 2, 3, 4].map((portNo): [string, number] => [`p${portNo}`, portNo]),
  ['br0', 100],
]);
export const named = { portNumber: (name: string) => START_PORTS.get(name) };

/** Undefined for a text that cannot be read. */
export function flowRows(text: string): FlowRows | undefined {
  try {
    const parsed = parseFlowKey(text, named);
    const key = new Int32Array(KEY_WORDS);
    const mask = new Int32Array(KEY_WORDS);
    keyToFlow(parsed.key, key);
    maskToFlow(parsed.mask, key, mask);
    return { bytes: Buffer.from(parsed.key).toString('hex'), key, mask };
  } catch (error) {
    if (error instanceof OdpError) return undefined;
    throw error;
  }
}

/** Whether one packet could match both: their keys agree on all bits that both masks hold. */
export const rowsOverlap = (a: FlowRows, b: FlowRows): boolean =>
  a.key.every((word, i) => ((word ^ b.key[i]!) & a.mask[i]! & b.mask[i]!) === 0);

/** A flow that a command adds, modifies or deletes. */
export interface FlowChange {
  readonly change: 'add' | 'modify' | 'delete';
  readonly flow: string;
  readonly actions?: string;
}

const CHANGES = { add: 'add', mod: 'modify', del: 'delete' } as const;

/** What `step` does to flows, in order: by itself, or by the file that a step before it wrote. */
export function changesOf(step: DpctlStep, before: readonly DpctlStep[]): FlowChange[] {
  const { name, args } = wordsOf(step);
  const [, verb, plural] = /^dpctl\/(add|mod|del)-flow(s?)$/.exec(name) ?? [];
  if (verb !== 'add' && verb !== 'mod' && verb !== 'del') return [];
  if (plural === '') {
    if (verb !== 'del') {
      const put = putOf(step);
      return put === undefined ? [] : [{ change: CHANGES[verb], flow: put.flow, actions: put.actions }];
    }
    const flow = args.at(-1);
    return flow === undefined ? [] : [{ change: 'delete', flow }];
  }
  const written = before.findLast(({ cmd }) => cmd[0] === '@file' && `@RT@/${cmd[1]}` === args.at(-1));
  return (written?.cmd[2] ?? '').split('\n').flatMap((line) => {
    const [, own, flow = '', actions = ''] =
      /^(?:(add|modify|delete)\s+)?([^#\s]\S*)\s*([^#]*)/.exec(line) ?? [];
    const change = own === 'add' || own === 'modify' || own === 'delete' ? own : CHANGES[verb];
    return flow === '' ? [] : [{ change, flow, actions }];
  });
}

/** Flows that Open vSwitch's table holds after `steps`, by the bytes of their keys, as its dpctl knows them. */
export function tableAfter(steps: readonly DpctlStep[]): FlowRows[] {
  const table = new Map<string, FlowRows>();
  for (const [index, step] of steps.entries()) {
    if (!succeeded(step)) continue;
    const changes = changesOf(step, steps.slice(0, index));
    if (step.cmd[0] === 'dpctl/del-flows' && changes.length === 0) table.clear();
    for (const { change, flow } of changes) {
      const rows = flowRows(flow);
      if (rows === undefined) continue;
      if (change === 'add') table.set(rows.bytes, rows);
      else if (change === 'delete') table.delete(rows.bytes);
    }
  }
  return [...table.values()];
}

export function hasAttribute(text: string, type: number): boolean {
  try {
    const reader = new NlReader(parseFlowKey(text, named).key);
    while (reader.next()) if (reader.type === type) return true;
    return false;
  } catch (error) {
    if (error instanceof OdpError) return true;
    throw error;
  }
}

/** Whether we read a text that Open vSwitch's parser refuses. Its action lists know no port names. */
export function readsMore(read: (strict: boolean) => unknown): boolean {
  const reads = (strict: boolean): boolean => {
    try {
      read(strict);
      return true;
    } catch (error) {
      if (error instanceof OdpError) return false;
      throw error;
    }
  };
  return reads(false) && !reads(true);
}
