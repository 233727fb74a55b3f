/** The deviations of dpctl sessions: what a step's difference must look like, or from which step on a session parts. */

import { KEY_ATTR, parseActions, parseFlowKey, parseFlowKeyExact } from '@etherloom/odp-codec';
import type { Deviation } from './deviations.js';
import { beforePayload, lacksPackets, lacksSent, udpHeader } from './dpctl-packets.js';
import { about, since } from './dpctl-rule.js';
import {
  addedBy,
  changesOf,
  DUMMY_OPTIONS,
  flowRows,
  hasAttribute,
  interfacesOf,
  named,
  numberOf,
  output,
  portsAfter,
  putOf,
  readsMore,
  rowsOverlap,
  START_PORTS,
  says,
  succeeded,
  tableAfter,
  wordsOf,
} from './dpctl-steps.js';
import { stepsOf } from './transcript.js';

const LOOKUPS = /^ {2}lookups: hit:(\d+) missed:(\d+) lost:(\d+)$/;

function lookups(text: string): [hit: number, missed: number, lost: number] | undefined {
  const [, hit, missed, lost] = LOOKUPS.exec(text) ?? [];
  return hit === undefined ? undefined : [Number(hit), Number(missed), Number(lost)];
}

const UFID = /ufid:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/i;
const KEY_ERROR = /odp_flow_key_to_flow failed \(.*(; the flow key in error is: .*)$/;
/** What ovs-appctl says after whatever the daemon said. */
const REFUSED = 'ovs-appctl: ovs-vswitchd: server returned an error\n';
/** Actions that leave a packet without Ethernet header, which no port here sends, and an output behind. */
const NO_ETHERNET = /\b(?:add_mpls|push_nsh|pop_nsh|pop_eth)\b.*\b\d+\b/s;
/** A set() at which Open vSwitch ends itself: of what it cannot set, of a part of ICMP, of a tunnel without flags. */
const ABORTING_SET = new RegExp(
  [
    'set\\((?:tcp_flags|ct_\\w+|vlan|eth_type|in_port|packet_type|encap)\\(',
    'set\\(icmp(?:v6)?\\((?![^)/]*type=[^)/]*code=[^)/]*\\)|[^)/]*code=[^)/]*type=[^)/]*\\))',
    'set\\(tunnel\\((?!.*flags\\()',
  ].join('|'),
);
const MAX_PORT_NUMBER = 65_534;
const MAX_PACKET = 65_535;

/** Whether actions send to one port twice. */
function sendsTwice(actions: string): boolean {
  const ports = actions.split(/[^\w.=]+/).filter((word) => /^\d+$/.test(word));
  return new Set(ports).size < ports.length;
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
    'tcp-flags-of-tcp-only',
    'The TCP flags of a flow that is not TCP are 0 (dpif.h), not the type of an ND option.',
    // Options of types 1 and 2, the addresses, look as FIN and SYN do.
    ({ want, have }, { cmd }) => {
      // The flow stands in the line of a dump; in front of the statistics that del-flow and mod-flow print, in the command.
      const flow = want.startsWith('packets:') ? cmd.join(' ') : want;
      return (
        flow.includes('eth_type(0x86dd)') &&
        !/\bproto=6[,)]/.test(flow) &&
        want.replace(/, flags:[SF]+(?=,|$)/, '') === have
      );
    },
  ),
  about(
    'later-fragment-rewrite',
    'A later IPv4 fragment has no transport header, so no rewrite changes its payload.',
    ({ want, have }) => {
      const [wanted, had] = [beforePayload(want), beforePayload(have)];
      return wanted !== undefined && wanted === had && want.length === have.length;
    },
  ),
  about(
    'filled-udp-length',
    'A composed packet that is filled up to a length has the length of its UDP datagram; Open vSwitch adds the filling twice.',
    ({ want, have }) => {
      const udp = udpHeader(have);
      return (
        udp !== undefined &&
        want.length === have.length &&
        want.slice(0, udp + 8) === have.slice(0, udp + 8) &&
        want.slice(udp + 16) === have.slice(udp + 16) &&
        Number.parseInt(want.slice(udp + 8, udp + 12), 16) > (want.length - udp) / 2
      );
    },
  ),
  about(
    'copies-by-the-burst',
    'A list that sends to a port twice sends a whole burst twice; the dummies of Open vSwitch receive one packet at a time.',
    ({ step: at, have }, { record: { packets } }, record) =>
      Array.isArray(packets) &&
      packets.includes(have) &&
      stepsOf(record)
        .slice(0, at)
        .some((step) => sendsTwice(putOf(step)?.actions ?? '')),
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
  since(
    'port-number-limit',
    'Port numbers end at 65,534, so a larger one is refused or not chosen.',
    (step) => {
      const { name, args } = wordsOf(step);
      const numbers = interfacesOf(step).map(numberOf);
      if (name === 'dpif-dummy/change-port-number') numbers.push(Number(args[2]));
      return numbers.some((number = 0) => number > MAX_PORT_NUMBER);
    },
  ),
  since(
    'names-of-interfaces',
    'A port has the name of an interface: up to 15 letters, no space, no slash, no dot alone.',
    (step) => succeeded(step) && addedBy(step).some((name) => name.length > 15 || /[\s/]|^\.\.?$/.test(name)),
  ),
  since(
    'names-are-unique',
    'The name of a port is unique in the host (dpif.h); dummies of Open vSwitch may be in several datapaths.',
    (step, before) => succeeded(step) && addedBy(step).some((name) => portsAfter(before).has(name)),
  ),
  since(
    'largest-packet',
    'Packets end at 65,535 bytes.',
    ({ cmd }) =>
      cmd[0] === 'netdev-dummy/receive' &&
      cmd.some((word, i) => cmd[i - 1] === '--len' && Number(word) > MAX_PACKET),
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
  about(
    'failed-add-changes-nothing',
    'A device that is a port already keeps its options when it is added again; in Open vSwitch it has those of the failure.',
    ({ want, have }, _step, record) => {
      const [, name] = /^ {2}port \d+: (\S+) \(/.exec(want) ?? [];
      const plain = (line: string): string => line.replace(/: [^(]*\)$/, ')');
      return (
        name !== undefined &&
        plain(want) === plain(have) &&
        stepsOf(record).some((step) => says(step, `adding ${name} to `))
      );
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
    'An option that a device does not know, or a value that it cannot have, is refused; the dummies of Open vSwitch take any.',
    (step) => {
      const specs = interfacesOf(step);
      const failures = (name: string): number => output(step).split(`${name}: failed`).length - 1;
      return specs.some(
        ({ name, options }) =>
          failures(name) < specs.filter((one) => one.name === name).length &&
          Object.entries(options).some(([option, value]) => DUMMY_OPTIONS[option]?.test(value) !== true),
      );
    },
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
      if (succeeded(step)) return false;
      const { name, args } = wordsOf(step);
      const put = putOf(step);
      const key = name === 'dpctl/del-flow' ? args.at(-1) : put?.flow;
      if (name === 'netdev-dummy/receive') {
        return args.some((text) => readsMore((strict) => parseFlowKeyExact(text, { strict })));
      }
      return (
        (put !== undefined &&
          readsMore((strict) => parseActions(put.actions, strict ? { strict } : named))) ||
        (key !== undefined && readsMore((strict) => parseFlowKey(key, { ...named, strict })))
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
      const looked = succeeded(step) || says(step, 'updating flow table (No such file or directory)');
      return put !== undefined && looked && !hasAttribute(put.flow.replace(UFID, ''), KEY_ATTR.IN_PORT);
    },
  ),
  since(
    'tags-need-ethernet',
    'A key with a vlan and without eth is refused; Open vSwitch takes it for a packet that begins with its Ethertype.',
    (step, before) =>
      succeeded(step) &&
      changesOf(step, before).some(({ flow }) => /\bvlan\(/.test(flow) && !/\beth\(/.test(flow)),
  ),
  since(
    'refuses-what-aborts',
    'A set() of what cannot be set is refused with its flow; Open vSwitch takes it, and ends itself when a packet meets it.',
    (step, before) =>
      succeeded(step) && changesOf(step, before).some(({ actions = '' }) => ABORTING_SET.test(actions)),
  ),
  since(
    'one-bad-packet',
    'A packet that a port cannot send is dropped alone; in Open vSwitch those behind it in the burst go with it.',
    (step) => succeeded(step) && NO_ETHERNET.test(putOf(step)?.actions ?? ''),
    ({ want, have }) => lacksPackets(want, have) || lacksSent(want, have),
  ),
  since(
    'trunc-is-for-one-output',
    'trunc holds for the next output (Linux); in Open vSwitch it goes on holding when the port is not there.',
    (step) => {
      const { actions = '' } = putOf(step) ?? {};
      // Bare numbers, but for the argument of an action that holds no actions.
      const words = actions.replaceAll(/\b(?!(?:gt|le|clone|actions)\()\w+\(\d+\)/g, '').split(/[^\w.=]+/);
      const outputs = words.filter((word) => /^\d+$/.test(word));
      return (
        succeeded(step) &&
        actions.includes('trunc(') &&
        outputs.some((portNo) => ![...START_PORTS.values()].includes(Number(portNo)))
      );
    },
  ),
];
