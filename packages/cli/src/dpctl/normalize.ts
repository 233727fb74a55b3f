/** dpctl: parse-actions and normalize-actions, which show how an action list is understood. They need no datapath. */

import {
  ACTION_ATTR,
  formatActions,
  formatFlowKey,
  formatKeyAttr,
  KEY_WORDS,
  keyToFlow,
  NlReader,
  NlWriter,
  OdpError,
  parseActions,
  parseFlowKeyExact,
  W_MPLS,
  W_TYPE_FRAG_PROTO,
  W_VLAN0,
  W_VLAN1,
} from '@etherloom/odp-codec';
import { type DpctlCommand, Report } from './command.js';
import { quoteSyntaxError } from './flow-text.js';

const VLAN_PRESENT = 0x1000;
const ETH_TYPE_VLAN = 0x8100;
const ETH_TYPE_MPLS = 0x8847;
const ETH_TYPE_MPLS_MULTICAST = 0x8848;

/** One action as it stands in a list, header and padding included. */
interface ActionBytes {
  readonly type: number;
  readonly payload: Uint8Array;
}

/** The actions that packets meet while they carry the same tags. */
interface TagGroup {
  /** As in the packed key: `tpid << 16 | tci`, outermost first; 0 for none. */
  readonly tags: readonly [number, number];
  readonly actions: ActionBytes[];
}

interface NormalizeOptions {
  readonly verbose: boolean;
  readonly vlanLimit: number | undefined;
  readonly ports: ReadonlyMap<string, number>;
}

/** Open vSwitch reports how badly a key fits as if it were an errno. */
const FITNESS_ERRNO = {
  too_much: 'Operation not permitted',
  too_little: 'No such file or directory',
  error: 'No such process',
} as const;

const parseActionsCommand: DpctlCommand = {
  name: 'parse-actions',
  usage: 'actions',
  minArgs: 1,
  maxArgs: Number.POSITIVE_INFINITY,
  async run(_context, args, _options) {
    const report = new Report();
    const lists: string[] = [];
    for (const text of args) {
      const actions = readActions(report, text);
      if (actions === undefined) break;
      lists.push(formatActions(actions));
      report.print(`${lists.at(-1)}\n`);
    }
    return report.result({ actions: lists });
  },
};

const normalizeActions: DpctlCommand = {
  name: 'normalize-actions',
  usage: 'actions',
  minArgs: 2,
  maxArgs: Number.POSITIVE_INFINITY,
  async run({ vlanLimit }, args, options) {
    const report = new Report();
    const ports = readPorts(report, args.slice(2));
    if (ports === undefined) return report.result({});
    const verbose = options.verbosity > 0;
    const groups = normalize(report, args[0]!, args[1]!, { verbose, vlanLimit, ports });
    return report.result({ groups });
  },
};

/** Ports by name from `NAME=NUMBER`; undefined, and reported, when one is not that. */
function readPorts(report: Report, texts: readonly string[]): Map<string, number> | undefined {
  const ports = new Map<string, number>();
  for (const text of texts) {
    // What follows the number counts as little as to Open vSwitch.
    const [, name, number] = /^([^=]{1,15})=\s*([+-]?\d+)/.exec(text) ?? [];
    if (name === undefined || number === undefined) {
      report.fail(`${text}: expected NAME=NUMBER`, `"${text}" is no port; write NAME=NUMBER`);
      return undefined;
    }
    ports.set(name, Number(BigInt.asUintN(32, BigInt(number.replace('+', '')))));
  }
  return ports;
}

function readActions(
  report: Report,
  text: string,
  ports: ReadonlyMap<string, number> = new Map(),
): Uint8Array | undefined {
  try {
    return parseActions(text, { portNumber: (name) => ports.get(name) });
  } catch (error) {
    if (!(error instanceof OdpError)) throw error;
    const reason = `the actions "${text}" cannot be read: ${error.message}`;
    report.fail('odp_actions_from_string (Invalid argument)', reason);
    return undefined;
  }
}

/** Prints a line per combination of tags under which `actionsText` does something to packets of the flow. */
function normalize(
  report: Report,
  flowText: string,
  actionsText: string,
  { verbose, vlanLimit, ports }: NormalizeOptions,
): string[] {
  let key: Uint8Array;
  try {
    key = parseFlowKeyExact(flowText, { portNumber: (name) => ports.get(name) });
  } catch (error) {
    if (!(error instanceof OdpError)) throw error;
    report.fail(
      `odp_flow_key_from_string (${quoteSyntaxError(flowText, error)}) (Invalid argument)`,
      `the flow "${flowText}" cannot be read: ${error.message}`,
    );
    return [];
  }
  report.print(`input flow: ${verbose || key.length === 0 ? formatFlowKey(key) : formatTersely(key)}\n`);
  const words = new Int32Array(KEY_WORDS);
  const { fitness, message } = keyToFlow(key, words, 0, vlanLimit);
  if (fitness !== 'perfect') {
    const reason =
      message === undefined
        ? 'reason unknown'
        : `${message}; the flow key in error is: ${formatFlowKey(key)}`;
    report.fail(
      `odp_flow_key_to_flow failed (${reason}) (${FITNESS_ERRNO[fitness]})`,
      `the flow "${flowText}" is not the key of a packet: ${message ?? fitness.replace('_', ' ')}`,
    );
    return [];
  }
  const actions = readActions(report, actionsText, ports);
  if (actions === undefined) return [];
  if (verbose) report.print(`input actions: ${formatActions(actions)}\n`);
  const lines = groupByTags(words, actions).map(({ tags, actions: group }) => {
    const list = formatActions(encode(sortOutputs(group)));
    return `${formatTags(tags)}${formatMpls(words)}${list}`;
  });
  for (const line of lines) report.print(`${line}\n`);
  return lines;
}

/** As in a flow: of some attributes, an exact value without its mask prints as none. */
function formatTersely(key: Uint8Array): string {
  const texts: string[] = [];
  for (const reader = new NlReader(key); reader.next(); )
    texts.push(formatKeyAttr(reader.type, reader.payload()));
  return texts.join(',');
}

function groupByTags(words: Int32Array, actions: Uint8Array): TagGroup[] {
  let tags: [number, number] = [words[W_VLAN0]! >>> 0, words[W_VLAN1]! >>> 0];
  const groups: TagGroup[] = [];
  for (const reader = new NlReader(actions); reader.next(); ) {
    const { type } = reader;
    const payload = reader.payload();
    if (type === ACTION_ATTR.POP_VLAN) {
      tags = [tags[1], 0];
    } else if (type === ACTION_ATTR.PUSH_VLAN) {
      // TPID and TCI, each in network order: the tag as the packed key has it.
      tags = [new DataView(payload.buffer, payload.byteOffset).getUint32(0), tags[0]];
    } else {
      let group = groups.find((one) => one.tags[0] === tags[0] && one.tags[1] === tags[1]);
      if (group === undefined) {
        group = { tags, actions: [] };
        groups.push(group);
      }
      group.actions.push({ type, payload });
    }
  }
  return groups.sort((a, b) => a.tags[0] - b.tags[0] || a.tags[1] - b.tags[1]);
}

/** Outputs that follow one another do the same in any order: by port number. */
function sortOutputs(actions: readonly ActionBytes[]): ActionBytes[] {
  const sorted: ActionBytes[] = [];
  let run: ActionBytes[] = [];
  const port = ({ payload }: ActionBytes): number =>
    new DataView(payload.buffer, payload.byteOffset).getUint32(0, true);
  const endRun = (): void => {
    sorted.push(...run.sort((a, b) => port(a) - port(b)));
    run = [];
  };
  for (const action of actions) {
    if (action.type === ACTION_ATTR.OUTPUT) {
      run.push(action);
      continue;
    }
    endRun();
    sorted.push(action);
  }
  endRun();
  return sorted;
}

function encode(actions: readonly ActionBytes[]): Uint8Array {
  const out = new NlWriter();
  for (const { type, payload } of actions) out.put(type, payload);
  return out.finish();
}

function formatTags(tags: readonly [number, number]): string {
  const texts = tags.flatMap((tag) => {
    const tci = tag & 0xffff;
    if (tci === 0) return [];
    const tpid = tag >>> 16 === ETH_TYPE_VLAN ? '' : `tpid=0x${(tag >>> 16).toString(16).padStart(4, '0')},`;
    const cfi = (tci & VLAN_PRESENT) === 0 ? ',cfi=0' : '';
    return [`vlan(${tpid}vid=${tci & 0xfff},pcp=${tci >>> 13}${cfi}): `];
  });
  return texts.length === 0 ? 'no vlan: ' : texts.join('');
}

function formatMpls(words: Int32Array): string {
  const type = words[W_TYPE_FRAG_PROTO]! >>> 16;
  if (type !== ETH_TYPE_MPLS && type !== ETH_TYPE_MPLS_MULTICAST) return 'no mpls: ';
  const entry = words[W_MPLS]!;
  return `mpls(label=${entry >>> 12},tc=${(entry >>> 9) & 7},ttl=${entry & 0xff}): `;
}

export const NORMALIZE_COMMANDS: readonly DpctlCommand[] = [parseActionsCommand, normalizeActions];
