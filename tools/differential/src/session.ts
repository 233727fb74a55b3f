/** One script, played on both daemons: their answers side by side, and which rules explain what differs. */

import { rmSync } from 'node:fs';
import { join } from 'node:path';
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
import { OWN } from './scripts/ports.js';
import { SCRIPT_FILE } from './scripts/script.js';
import { leakedSince, OVS_3_1, OVS_3_1_SINCE } from './versions.js';

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

let sessions = 0;

/** Letters for the names of this session's datapath and ports. */
function ownLetters(): string {
  const letter = (n: number): string => String.fromCharCode(97 + (n % 26));
  const n = sessions++;
  return `_${letter(n / 676)}${letter(n / 26)}${letter(n)}`;
}

/** `peer` as a session sees it: names are its own, and called by their plain names in answers and in `cmd`. */
function ownNames(peer: Peer, letters: string): Pick<Peer, 'run'> {
  const plain = (text: string): string => text.replaceAll(letters, '');
  return {
    async run(cmd, real) {
      const words = substitute(cmd, peer.directory).map((word) => word.replaceAll(OWN, letters));
      const { exit, stdout, stderr } = await peer.run(words, real);
      return { exit, stdout: plain(stdout), stderr: plain(stderr) };
    },
  };
}

type Commands = readonly (readonly string[])[];

/** Plays `commands` on both, which are in the start state. Rejects when ours is gone. */
export async function playSession(
  openVswitch: Peer,
  etherloom: Peer,
  commands: Commands,
  vlanLimit: number,
): Promise<SessionResult> {
  for (const { directory } of [openVswitch, etherloom]) rmSync(join(directory, SCRIPT_FILE), { force: true });
  const diff = new TranscriptDiff(commands);
  const steps: VectorRecord[] = [];
  const letters = ownLetters();
  let died = false;
  for (const [index, cmd] of commands.entries()) {
    try {
      steps.push(await playStep(openVswitch, etherloom, cmd, index, diff, letters));
    } catch (error) {
      if (!(error instanceof PeerGoneError) || (await lives(openVswitch))) throw error;
      died = true;
      steps.push({ cmd: plainCommand(cmd) });
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
  letters: string,
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
  const [answered, have] = await Promise.all(
    [openVswitch, etherloom].map((peer) => ownNames(peer, letters).run(cmd, real)),
  );
  const want = OVS_3_1.reduce((outcome, rule) => rule.update(cmd, outcome), answered!);
  const dump = name === 'dpctl/dump-flows';
  diff.command(index, want, have!, dump);
  return { cmd: plainCommand(cmd), ...want, ...(dump ? { sorted: true } : {}) };
}

const plainCommand = (cmd: readonly string[]): string[] => cmd.map((word) => word.replaceAll(OWN, ''));

export async function lives(peer: Peer): Promise<boolean> {
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
  const leaked = leakedSince(differences);
  for (const difference of differences) {
    const rule =
      explaining(record, difference)?.id ?? (leaked(difference) ? 'ovs-3.1 leaked-devices' : undefined);
    if (rule === undefined) unexplained.push(difference);
    else rules.add(rule);
  }
  return { differences, unexplained, rules: [...rules] };
}

const explaining = (record: VectorRecord, difference: string): Deviation | undefined =>
  [...DPCTL_DEVIATIONS, ...OVS_3_1_SINCE].find((rule) => rule.explains('dpctl.jsonl', record, difference));
