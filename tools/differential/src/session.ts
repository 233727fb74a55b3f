/** One script, played on both daemons: their answers side by side, and which rules explain what differs. */

import {
  type Deviation,
  DPCTL_DEVIATIONS,
  substitute,
  TranscriptDiff,
  type VectorRecord,
  writeScriptFile,
} from '@etherloom/conformance';
import type { Peer } from './peers/peer.js';
import { PeerGoneError } from './peers/peer.js';
import { OVS_3_1 } from './versions.js';

/** Every so many commands one goes through the real ovs-appctl, which takes about 15 ms. */
const APPCTL_EVERY = 16;

export interface SessionResult {
  /** What Open vSwitch answered, in the form of a record of dpctl.jsonl. */
  readonly record: VectorRecord;
  /** Steps that were compared. */
  readonly compared: number;
  readonly differences: readonly string[];
  /** Of {@link differences}, those that no rule explains. */
  readonly unexplained: readonly string[];
  /** Rules that explain a difference. */
  readonly rules: readonly string[];
  /** Open vSwitch ended at the last step of the record. */
  readonly died: boolean;
}

type Commands = readonly (readonly string[])[];

/** Plays `commands` on both, from the start state. Rejects when ours is gone, or Open vSwitch while it is being reset. */
export async function playSession(
  openVswitch: Peer,
  etherloom: Peer,
  commands: Commands,
  vlanLimit: number,
): Promise<SessionResult> {
  await Promise.all([openVswitch.reset(), etherloom.reset()]);
  const diff = new TranscriptDiff(commands);
  const steps: VectorRecord[] = [];
  let died = false;
  for (const [index, cmd] of commands.entries()) {
    try {
      steps.push(await playStep(openVswitch, etherloom, cmd, index, diff));
    } catch (error) {
      if (!(error instanceof PeerGoneError) || (await lives(openVswitch))) throw error;
      died = true;
      steps.push({ cmd });
      break;
    }
  }
  const record: VectorRecord = {
    vlan_limit: vlanLimit,
    steps,
    ...(died ? { daemon_died: steps.length - 1 } : {}),
  };
  return { record, compared: steps.length, died, ...sorted(record, diff.differences) };
}

async function playStep(
  openVswitch: Peer,
  etherloom: Peer,
  cmd: readonly string[],
  index: number,
  diff: TranscriptDiff,
): Promise<VectorRecord> {
  const [name, port = ''] = cmd;
  if (name === '@file') {
    for (const { directory } of [openVswitch, etherloom]) writeScriptFile(directory, cmd);
    return { cmd };
  }
  if (name === '@pcap') {
    const [packets, have] = await Promise.all([openVswitch.transmitted(port), etherloom.transmitted(port)]);
    diff.packets(index, packets, have);
    return { cmd, packets };
  }
  const real = index % APPCTL_EVERY === 0;
  const [answered, have] = await Promise.all([
    openVswitch.run(substitute(cmd, openVswitch.directory), real),
    etherloom.run(substitute(cmd, etherloom.directory), real),
  ]);
  const want = OVS_3_1.reduce((outcome, rule) => rule.update(cmd, outcome), answered);
  const dump = name === 'dpctl/dump-flows';
  diff.command(index, want, have, dump);
  return { cmd, ...want, ...(dump ? { sorted: true } : {}) };
}

async function lives(peer: Peer): Promise<boolean> {
  try {
    await peer.run(['version'], false);
    return true;
  } catch (error) {
    if (error instanceof PeerGoneError) return false;
    throw error;
  }
}

function sorted(
  record: VectorRecord,
  differences: readonly string[],
): Pick<SessionResult, 'differences' | 'unexplained' | 'rules'> {
  const rules = new Set<string>();
  const unexplained: string[] = [];
  for (const difference of differences) {
    const rule = explaining(record, difference);
    if (rule === undefined) unexplained.push(difference);
    else rules.add(rule.id);
  }
  return { differences, unexplained, rules: [...rules] };
}

const explaining = (record: VectorRecord, difference: string): Deviation | undefined =>
  DPCTL_DEVIATIONS.find((rule) => rule.explains('dpctl.jsonl', record, difference));
