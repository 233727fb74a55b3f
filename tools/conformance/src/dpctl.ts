/** dpctl.jsonl: recorded sessions with Open vSwitch's daemon, held with ours through the real ovs-appctl. */

import { writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { DpctlSwitch } from './dpctl-switch.js';
import { numberOf, stringOf, VectorError, type VectorRecord } from './record.js';
import { type DpctlStep, type Outcome, stepsOf, TranscriptDiff } from './transcript.js';

/** Tags of a packet that the recorded daemon parsed unless the record says otherwise: its default. */
const VLAN_LIMIT = 1;

/** The differences between what the daemon answered then and ours answers now, each beginning with `steps[N].`. */
export async function checkDpctlRecord(record: VectorRecord): Promise<string[]> {
  const steps = stepsOf(record);
  const daemon = await DpctlSwitch.start(numberOf(record, 'vlan_limit', VLAN_LIMIT));
  try {
    const diff = new TranscriptDiff(steps.map(({ cmd }) => cmd));
    for (const [index, step] of steps.entries()) {
      switch (step.cmd[0]) {
        case '@file':
          writeScriptFile(daemon.directory, step.cmd);
          break;
        case '@pcap':
          diff.packets(
            index,
            Array.isArray(step.record.packets) ? step.record.packets : [],
            await daemon.transmitted(step.cmd[1] ?? ''),
          );
          break;
        default: {
          const have = await daemon.appctl(substitute(step.cmd, daemon.directory));
          // The recorded daemon crashed here: nothing is to be compared, but ours must go on.
          if (record.daemon_died === index || step.record.daemon_died !== undefined) {
            const { exit } = await daemon.appctl(['version']);
            return exit === 0
              ? diff.differences
              : [...diff.differences, `steps[${index}]: the daemon is gone`];
          }
          diff.command(index, recorded(step), have, step.record.sorted === true);
        }
      }
    }
    return diff.differences;
  } finally {
    await daemon.stop();
  }
}

/** `@file NAME TEXT` in the directory of the session. */
export function writeScriptFile(directory: string, [, name = '', text = '']: readonly string[]): void {
  if (name !== basename(name)) throw new VectorError(`@file names "${name}", which is no plain file name`);
  writeFileSync(join(directory, name), text);
}

/** `cmd` with the directory of the session where it says `@RT@`. */
export const substitute = (cmd: readonly string[], directory: string): string[] =>
  cmd.map((word) => word.replaceAll('@RT@', directory));

const recorded = ({ record }: DpctlStep): Outcome => ({
  exit: numberOf(record, 'exit'),
  stdout: stringOf(record, 'stdout'),
  stderr: typeof record.stderr === 'string' ? record.stderr : '',
});
