/** The deviations of dpctl sessions: what a step's difference must look like, or from which step on a session parts. */

import { type InterfaceSpec, parseInterface } from '@etherloom/cli';
import { extractFrame, LAYER_L4, LAYER_WORDS } from '@etherloom/core';
import {
  KEY_ATTR,
  KEY_WORDS,
  keyToFlow,
  MAX_VLANS,
  maskToFlow,
  NlReader,
  OdpError,
  parseActions,
  parseFlowKey,
  W_TYPE_FRAG_PROTO,
} from '@etherloom/odp-codec';
import type { Deviation } from './deviations.js';
import type { VectorRecord } from './record.js';
import { type DpctlStep, stepsOf } from './transcript.js';

const FILE = 'dpctl.jsonl';

/** A difference taken apart: where it is and, for lines and packets, what was wanted there and what is. */
interface Parts {
  readonly step: number;
  readonly want: string;
  readonly have: string;
}

function partsOf(difference: string): Parts | undefined {
  const [, step] = /^steps\[(\d+)\]/.exec(difference) ?? [];
  if (step === undefined) return undefined;
  const [, want = '', have = ''] = /\n {2}want (.*)\n {2}have (.*)$/.exec(difference) ?? [];
  return { step: Number(step), want: textOf(want), have: textOf(have) };
}

function textOf(json: string): string {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'string' ? value : '';
  } catch {
    return '';
  }
}

/** A rule about one difference, whatever else the session holds. */
function about(
  id: string,
  why: string,
  explains: (parts: Parts, step: DpctlStep, record: VectorRecord) => boolean,
) {
  return rule(id, why, (parts, record) => {
    const step = stepsOf(record)[parts.step];
    return step !== undefined && explains(parts, step, record);
  });
}

/** A rule about a step after which the two flow tables, or their statistics, are not the same any more. */
function since(id: string, why: string, parts: (step: DpctlStep, before: readonly DpctlStep[]) => boolean) {
  return rule(id, why, ({ step }, record) => {
    const steps = stepsOf(record);
    const first = steps.findIndex((one, index) => parts(one, steps.slice(0, index)));
    return first >= 0 && step >= first;
  });
}

function rule(id: string, why: string, explains: (parts: Parts, record: VectorRecord) => boolean): Deviation {
  return {
    id,
    why,
    explains(file, record, difference) {
      const parts = file === FILE ? partsOf(difference) : undefined;
      return parts !== undefined && explains(parts, record);
    },
  };
}

// --- what a step says

const succeeded = ({ record }: DpctlStep): boolean => record.exit === 0;
const says = ({ record }: DpctlStep, text: string): boolean =>
  `${String(record.stdout ?? '')}${String(record.stderr ?? '')}`.includes(text);

/** A command without its options, and with its datapath when it names one. */
function wordsOf({ cmd }: DpctlStep): { name: string; options: string[]; args: string[] } {
  const [name = '', ...rest] = cmd;
  const options = rest.filter((word) => word.startsWith('-'));
  return { name, options, args: rest.filter((word) => !word.startsWith('-')) };
}

/** The flow of add-flow and mod-flow, the only argument but one at the end. */
function putOf(step: DpctlStep): { flow: string; actions: string; datapath: string } | undefined {
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

/** Options of our dummy devices. */
const DUMMY_OPTIONS: ReadonlySet<string> = new Set([
  ...['capture', 'ifindex', 'mac', 'mtu', 'n_rxq', 'pcap', 'peer', 'replay', 'replay_loops', 'replay_shared'],
  ...['rxq_pcap', 'tx_pcap', 'up'],
]);

/** The interfaces that a command adds or sets. */
function interfacesOf(step: DpctlStep): InterfaceSpec[] {
  const { name, args } = wordsOf(step);
  if (!/^dpctl\/(?:add-if|set-if|add-dp)$/.test(name)) return [];
  return args.slice(1).map(parseInterface);
}

/** The ports of the start state by name. */
export const START_PORTS = new Map([
  ['ovs-dummy', 0],
  ...[1, 2, 3, 4].map((portNo): [string, number] => [`p${portNo}`, portNo]),
  ['br0', 100],
]);
const named = { portNumber: (name: string) => START_PORTS.get(name) };

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

/** Flows that Open vSwitch's table holds after `steps`, by the bytes of their keys, as its dpctl knows them. */
function tableAfter(steps: readonly DpctlStep[]): FlowRows[] {
  const table = new Map<string, FlowRows>();
  for (const step of steps) {
    if (!succeeded(step)) continue;
    const { name, args } = wordsOf(step);
    const put = putOf(step);
    if (name === 'dpctl/add-flow' && put !== undefined) {
      const rows = flowRows(put.flow);
      if (rows !== undefined) table.set(rows.bytes, rows);
    } else if (name === 'dpctl/del-flow') {
      table.delete(flowRows(args.at(-1) ?? '')?.bytes ?? '');
    } else if (name === 'dpctl/del-flows') {
      table.clear();
    }
  }
  return [...table.values()];
}

function hasAttribute(text: string, type: number): boolean {
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
function readsMore(read: (strict: boolean) => unknown): boolean {
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

const LOOKUPS = /^ {2}lookups: hit:(\d+) missed:(\d+) lost:(\d+)$/;

function lookups(text: string): [hit: number, missed: number, lost: number] | undefined {
  const [, hit, missed, lost] = LOOKUPS.exec(text) ?? [];
  return hit === undefined ? undefined : [Number(hit), Number(missed), Number(lost)];
}

const UFID = /ufid:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/i;
const KEY_ERROR = /odp_flow_key_to_flow failed \(.*(; the flow key in error is: .*)$/;
/** What ovs-appctl says after whatever the daemon said. */
const REFUSED = 'ovs-appctl: ovs-vswitchd: server returned an error\n';
const MAX_PORT_NUMBER = 65_534;
/** IPv4 and a fragment with an offset: `eth_type << 8 | nw_frag`. */
const LATER_IPV4 = 0x0800_03;

/** The bytes in front of the payload of a later IPv4 fragment; undefined for any other packet. */
function beforePayload(hex: string): string | undefined {
  const packet = Uint8Array.from(Buffer.from(hex, 'hex'));
  const words = new Int32Array(KEY_WORDS);
  const layers = new Int32Array(LAYER_WORDS);
  extractFrame(new DataView(packet.buffer), 0, packet.length, 0, MAX_VLANS, words, 0, layers, 0);
  return words[W_TYPE_FRAG_PROTO]! >>> 8 === LATER_IPV4 ? hex.slice(0, layers[LAYER_L4]! * 2) : undefined;
}

export const DPCTL_DEVIATIONS: readonly Deviation[] = [
  about(
    'missed-and-lost',
    'A packet that matches no flow is a miss, also when no client takes it (dpif.h: n_lost counts some of the misses).',
    ({ want, have }) => {
      const [hit, missed, lost] = lookups(want) ?? [];
      const ours = lookups(have);
      if (hit === undefined || missed === undefined || lost === undefined || ours === undefined) return false;
      return ours[0] === hit && ours[1] === missed + lost && ours[2] === lost;
    },
  ),
  about(
    'counted-drops',
    'Our dummy devices count packets that they could not take; those of Open vSwitch do not.',
    ({ want, have }) => want.includes(' dropped:?') && want === have.replace(/ dropped:\d+/, ' dropped:?'),
  ),
  about(
    'tcp-flags-of-tcp-only',
    'The TCP flags of a flow that is not TCP are 0 (dpif.h), not the type of an ND option.',
    ({ want, have }) => want.includes('),nd(') && want.replace(/, flags:[^,]+/, '') === have,
  ),
  about(
    'later-fragment-rewrite',
    'A later IPv4 fragment has no transport header, so no rewrite changes its payload.',
    ({ want, have }) => {
      const [wanted, had] = [beforePayload(want), beforePayload(have)];
      return wanted !== undefined && wanted === had && want.length === have.length;
    },
  ),
  about('key-error-wording', 'What is wrong with a key is said in our words.', ({ want, have }, { cmd }) => {
    // A packet that is to be composed: Open vSwitch answers the reason and the key, we the reason.
    if (cmd[0] === 'netdev-dummy/receive')
      return want.includes('; the flow key in error is: ') && have !== '';
    const [ours, theirs] = [KEY_ERROR.exec(have), KEY_ERROR.exec(want)];
    return ours !== null && theirs !== null && ours[1] === theirs[1];
  }),
  about(
    'says-why',
    'Whatever is refused is refused with a reason; Open vSwitch keeps some to itself.',
    ({ want, have }) => want === REFUSED && have !== want && have.endsWith(`\n${want}`),
  ),
  about(
    'negative-errno',
    'Actions that run into each other are an invalid argument; Open vSwitch reports the length of the first as an errno.',
    ({ want, have }) =>
      want.replace(/\((?:Unknown error -\d+|End of file)\)/, '(Invalid argument)') === have && want !== have,
  ),
  since('port-number-limit', 'Port numbers end at 65,534, so a larger one is refused for that.', (step) =>
    interfacesOf(step).some(({ portNo }) => Number(portNo) > MAX_PORT_NUMBER),
  ),
  about(
    'option-before-device',
    'An option that the driver does not know is refused before the device is looked for.',
    ({ want, have }) =>
      want.includes('failed to open network device (No such device)') &&
      want.replace('(No such device)', '(Invalid argument)') === have,
  ),
  about(
    'tpid-byte-order',
    'The TPID of a tag is printed as it is on the wire; Open vSwitch swaps its bytes.',
    ({ want, have }) =>
      want.includes('vlan(tpid=') &&
      want.replaceAll(/(?<=vlan\(tpid=0x)(..)(..)/g, (_all, low, high) => `${high}${low}`) === have,
  ),
  about(
    'options-shown',
    'Ports are shown with all their options; the dummies of Open vSwitch keep most of theirs to themselves.',
    ({ want, have }) => {
      const [, ours = ''] = /^ {2}port \d+: .* \([^:)]*: (.*)\)$/.exec(have) ?? [];
      const index = ours.split(', ').find((option) => option.startsWith('ifindex='));
      const shown = [')', ...(index === undefined ? [] : [`: ${index})`])];
      return ours !== '' && shown.some((theirs) => have.replace(`: ${ours})`, theirs) === want);
    },
  ),
  since(
    'down-is-down',
    'A port that is down receives nothing; the dummies of Open vSwitch do not care.',
    ({ cmd }) => cmd[0] === 'netdev-dummy/set-admin-state' && cmd.at(-1)?.toLowerCase() === 'down',
  ),
  since(
    'unknown-datapath-refused',
    'A command with a file does nothing when the datapath that it names is not there; Open vSwitch takes the only one.',
    (step) => {
      const { name, args } = wordsOf(step);
      const [datapath = ''] = args;
      return (
        /^dpctl\/(?:add|mod|del)-flows$/.test(name) &&
        args.length === 2 &&
        succeeded(step) &&
        !/^(?:dummy@)?ovs-dummy$/.test(datapath)
      );
    },
  ),
  since(
    'no-connection-tracking',
    'There is no connection tracking: packets that meet a ct action are dropped and counted.',
    (step) =>
      /^dpctl\/(?:ct-|(?:dump|flush)-conntrack|ipf-)/.test(step.cmd[0] ?? '') ||
      /\bct\b/.test(putOf(step)?.actions ?? ''),
  ),
  since(
    'internal-ports',
    'Ports of type "internal" are there in every datapath (dpif.h); in Open vSwitch dpctl finds no such device.',
    (step) =>
      interfacesOf(step).some(({ type }) => type === 'internal') && says(step, 'failed (Invalid argument)'),
  ),
  since(
    'unknown-options',
    'An option that a device does not know is refused; the dummies of Open vSwitch take any.',
    (step) =>
      interfacesOf(step).some(({ name, options }) =>
        Object.keys(options).some((option) => !DUMMY_OPTIONS.has(option) && !says(step, `${name}: failed`)),
      ),
  ),
  since(
    'derived-ufid',
    'A flow is known by its key (dpif.h), so its UFID follows from the key and cannot be chosen.',
    (step) =>
      /^dpctl\/(add|mod|get|del)-flow$/.test(step.cmd[0] ?? '') &&
      succeeded(step) &&
      step.cmd.some((word) => UFID.test(word)),
  ),
  since(
    'overlap-refused',
    'A key is one flow however it is spelled, and a flow that would overlap another one is refused.',
    (step, before) => {
      const put = putOf(step);
      const rows =
        step.cmd[0] === 'dpctl/add-flow' && succeeded(step) && put !== undefined && flowRows(put.flow);
      return rows
        ? tableAfter(before).some((other) => other.bytes !== rows.bytes && rowsOverlap(rows, other))
        : false;
    },
  ),
  since(
    'zero-stats-works',
    'mod-flow --clear zeroes statistics (dpif.h, DPIF_FP_ZERO_STATS); Open vSwitch reports an error after half of the work.',
    (step) => wordsOf(step).options.includes('--clear') && says(step, 'Operation not supported'),
  ),
  since(
    'create-or-modify-works',
    'CREATE with MODIFY changes a flow that is there (dpif.h); Open vSwitch says that it exists.',
    (step) =>
      step.cmd[0]?.startsWith('dpctl/mod-flow') === true &&
      wordsOf(step).options.includes('--may-create') &&
      says(step, 'updating flow table (File exists)'),
  ),
  since('options-are-no-arguments', 'Options do not count against the number of arguments.', (step) => {
    const [, most] = /takes at most (\d+) arguments/.exec(String(step.record.stderr)) ?? [];
    const { options, args } = wordsOf(step);
    return most !== undefined && options.length > 0 && args.length <= Number(most);
  }),
  since(
    'reads-what-is-printed',
    'Everything that a dump prints can be read again, port names in actions among it.',
    (step) => {
      const put = putOf(step);
      if (put === undefined || succeeded(step)) return false;
      return (
        readsMore((strict) => parseActions(put.actions, strict ? { strict } : named)) ||
        readsMore((strict) => parseFlowKey(put.flow, { ...named, strict }))
      );
    },
  ),
  about(
    'reads-what-is-printed',
    'Everything that a dump prints can be read again, in parse-actions and normalize-actions, too.',
    (_parts, step) => {
      const { name, args } = wordsOf(step);
      if (!/^dpctl\/(?:parse|normalize)-actions$/.test(name) || succeeded(step)) return false;
      return args.some((text) => readsMore((strict) => parseActions(text, { strict })));
    },
  ),
  since(
    'flow-belongs-to-a-port',
    'A flow without in_port is refused, also when its key is empty.',
    (step) => {
      const put = putOf(step);
      return (
        put !== undefined && succeeded(step) && !hasAttribute(put.flow.replace(UFID, ''), KEY_ATTR.IN_PORT)
      );
    },
  ),
];
