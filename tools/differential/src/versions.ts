/**
 * Where the Open vSwitch that is installed says something else than today's, whose texts Etherloom follows: differences of
 * its age, not of ours. What it answers is brought up to date before it is compared, so that everything else in a text
 * still counts.
 */

import {
  changesOf,
  type Deviation,
  flowRows,
  type Outcome,
  since,
  succeeded,
  tableAfter,
} from '@etherloom/conformance';

export interface VersionRule {
  readonly id: string;
  readonly why: string;
  /** What today's release would have answered to `cmd`; `outcome` itself where it does not matter. */
  update(cmd: readonly string[], outcome: Outcome): Outcome;
}

/** A rule about the text that a command prints. */
const printed = (
  id: string,
  why: string,
  command: string,
  update: (text: string, cmd: readonly string[]) => string,
): VersionRule => ({
  id,
  why,
  update: (cmd, outcome) =>
    cmd[0] === command ? { ...outcome, stdout: update(outcome.stdout, cmd) } : outcome,
});

/** Metadata that 3.1 prints in front of recirc_id, in its order. */
const METADATA =
  /(?<=^|ufid:\S+ )((?:(?:skb_priority|skb_mark|ct_state|ct_zone|ct_mark|ct_label|ct_tuple[46])\([^)]*\),)*)(recirc_id\([^)]*\),)((?:dp_hash\([^)]*\),)?)((?:in_port\([^)]*\),)?)/gm;

function reordered(_all: string, before: string, recirc: string, hash: string, inPort: string): string {
  const parts = before.match(/\w+\([^)]*\),/g) ?? [];
  const priority = parts.filter((part) => part.startsWith('skb_priority'));
  const rest = parts.filter((part) => !part.startsWith('skb_priority'));
  return [recirc, hash, ...priority, inPort, ...rest].join('');
}

/** Texts of datapaths: all that is not indented begins one. */
const sections = (text: string): string[] => text.split(/(?<=\n)(?=\S)/);

/** Where the next group begins, which the tags of its packets head: not inside a key, not between two tags. */
const GROUP = /(?<=[^\s,(_])(?=vlan\(|no vlan: )/g;

export const OVS_3_1: readonly VersionRule[] = [
  printed('show-upcalls', 'Today show -s has a line about the upcalls of a port.', 'dpctl/show', (text) =>
    text.replaceAll(/^( {4}RX bytes:.*\n)/gm, '$1    UPCALL packets:? errors:?\n'),
  ),
  printed('metadata-order', 'Today recirc_id comes first.', 'dpctl/dump-flows', (text) =>
    text.replaceAll(METADATA, reordered),
  ),
  printed(
    'datapath-order',
    'The order of datapaths means nothing; today it happens to be ours.',
    'dpctl/show',
    (text, cmd) => (cmd.some((word) => word.includes('@')) ? text : sections(text).sort().join('')),
  ),
  printed('datapath-order', 'See above.', 'dpctl/dump-dps', (text) => sections(text).sort().join('')),
  printed('datapath-order', 'See above.', 'dpctl/cache-get-size', (text) => sections(text).sort().join('')),
  printed(
    'normalize-lines',
    'Today each group of actions has its own line.',
    'dpctl/normalize-actions',
    (text) => text.replaceAll(/^(?=vlan\(|no vlan: ).*$/gm, (line) => line.replaceAll(GROUP, '\n')),
  ),
];

/** Differences of its age that are no matter of texts: as deviations, each from one step on. */
export const OVS_3_1_SINCE: readonly Deviation[] = [
  since(
    'ovs-3.1 modify-by-lookup',
    'mod-flow changes whatever flow the key matches; today it wants the very key, as we do.',
    (step, before) => {
      if (!succeeded(step)) return false;
      const modified = changesOf(step, before).filter(({ change }) => change === 'modify');
      const table = modified.length === 0 ? [] : tableAfter(before);
      return modified.some(({ flow }) => {
        const rows = flowRows(flow);
        return rows !== undefined && table.every(({ bytes }) => bytes !== rows.bytes);
      });
    },
  ),
];

/**
 * 3.1 sometimes keeps a device open after its datapath is gone, or after a port could not be added. From the step on where
 * that keeps a device from being opened, its ports are not ours.
 */
export function leakedSince(differences: readonly string[]): (difference: string) => boolean {
  const stepOf = (difference: string): number => Number(/^steps\[(\d+)\]/.exec(difference)?.[1]);
  const leaks = (text: string): number =>
    text.split('failed to open network device (File exists)').length - 1;
  const first = differences.find((difference) => {
    const [, want = '', have = ''] = /\n {2}want (.*)\n {2}have (.*)$/.exec(difference) ?? [];
    return leaks(want) > leaks(have);
  });
  const step = first === undefined ? Number.POSITIVE_INFINITY : stepOf(first);
  return (difference) => stepOf(difference) >= step;
}
