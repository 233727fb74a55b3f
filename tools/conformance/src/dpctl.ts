/** dpctl.jsonl: recorded sessions with Open vSwitch's daemon, held with ours through the real ovs-appctl. */

import { writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { compare } from './diff.js';
import { DpctlSwitch } from './dpctl-switch.js';
import { isRecord, numberOf, stringOf, VectorError, type VectorRecord } from './record.js';

/** A step of a session: a command of ovs-appctl, `@file` or `@pcap`. */
export interface DpctlStep {
  readonly cmd: readonly string[];
  readonly record: VectorRecord;
}

/** The steps of a record. Throws a {@link VectorError} for what is none. */
export function stepsOf(record: VectorRecord): DpctlStep[] {
  if (!Array.isArray(record.steps)) throw new VectorError('field steps is not a list');
  return record.steps.map((step: unknown) => {
    const cmd = isRecord(step) && Array.isArray(step.cmd) ? step.cmd : [];
    const words = cmd.filter((word: unknown) => typeof word === 'string');
    if (!isRecord(step) || words.length === 0 || words.length < cmd.length) {
      throw new VectorError('a step has no command');
    }
    return { cmd: words, record: step };
  });
}

/** The differences between what the daemon answered then and ours answers now, each beginning with `steps[N].`. */
export async function checkDpctlRecord(record: VectorRecord): Promise<string[]> {
  const steps = stepsOf(record);
  const daemon = await DpctlSwitch.start();
  try {
    const differences: string[] = [];
    const ufids = new UfidNames(steps);
    for (const [index, step] of steps.entries()) {
      const where = `steps[${index}]`;
      switch (step.cmd[0]) {
        case '@file':
          writeFile(daemon.directory, step.cmd);
          break;
        case '@pcap':
          await checkPackets(daemon, step, where, differences);
          break;
        default:
          // The recorded daemon crashed here: nothing is to be compared, but ours must go on.
          if (record.daemon_died === index || step.record.daemon_died !== undefined) {
            await checkAlive(daemon, step, where, differences);
            return differences;
          }
          await checkCommand(daemon, step, where, ufids, differences);
      }
    }
    return differences;
  } finally {
    await daemon.stop();
  }
}

function writeFile(directory: string, [, name = '', text = '']: readonly string[]): void {
  if (name !== basename(name)) throw new VectorError(`@file names "${name}", which is no plain file name`);
  writeFileSync(join(directory, name), text);
}

async function checkPackets(
  daemon: DpctlSwitch,
  { cmd, record }: DpctlStep,
  where: string,
  differences: string[],
): Promise<void> {
  const { exit, stdout, stderr } = await daemon.appctl(['netdev-dummy/transmitted', cmd[1] ?? '']);
  if (exit !== 0) throw new Error(`cannot see what ${cmd[1]} sent: ${stderr}`);
  const want: unknown[] = Array.isArray(record.packets) ? record.packets : [];
  const have = stdout.split('\n').slice(0, -1);
  for (let i = 0; i < Math.max(want.length, have.length); i++) {
    if (want[i] !== have[i]) differences.push(differing(`${where}.packets[${i}]`, want[i], have[i]));
  }
}

async function checkAlive(
  daemon: DpctlSwitch,
  { cmd }: DpctlStep,
  where: string,
  differences: string[],
): Promise<void> {
  await daemon.appctl(substitute(cmd, daemon.directory));
  const { exit } = await daemon.appctl(['version']);
  if (exit !== 0) differences.push(`${where}: the daemon is gone`);
}

async function checkCommand(
  daemon: DpctlSwitch,
  { cmd, record }: DpctlStep,
  where: string,
  ufids: UfidNames,
  differences: string[],
): Promise<void> {
  const have = await daemon.appctl(substitute(cmd, daemon.directory));
  compare(differences, `${where}.exit`, numberOf(record, 'exit'), have.exit);
  const sorted = record.sorted === true;
  const wanted = withoutInternals(stringOf(record, 'stdout'));
  compareLines(
    differences,
    `${where}.stdout`,
    wanted,
    ufids.rename(sorted ? sortSections(have.stdout) : have.stdout),
  );
  compareLines(
    differences,
    `${where}.stderr`,
    typeof record.stderr === 'string' ? record.stderr : '',
    have.stderr,
  );
}

const substitute = (cmd: readonly string[], directory: string): string[] =>
  cmd.map((word) => word.replaceAll('@RT@', directory));

/** Which words of its own struct a mask fills is Open vSwitch's business (README of the vectors). */
const withoutInternals = (text: string): string =>
  text.replaceAll(/, dp-extra-info:miniflow_bits\(\d+,\d+\)/g, '');

/** A difference with both sides in full, as JSON: `dpctl-deviations.ts` reads them. */
const differing = (field: string, want: unknown, have: unknown): string =>
  `${field}\n  want ${JSON.stringify(want)}\n  have ${JSON.stringify(have)}`;

/** Line by line, so that rules can tell differences apart; as a whole when there is a line too many or too few. */
function compareLines(differences: string[], field: string, want: string, have: string): void {
  const wanted = want.split('\n');
  const had = have.split('\n');
  if (wanted.length !== had.length) {
    differences.push(differing(field, want, have));
    return;
  }
  for (const [index, line] of wanted.entries()) {
    if (line !== had[index]) differences.push(differing(`${field}:${index + 1}`, line, had[index]));
  }
}

const UFID = /ufid:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;

/** Sorts the flows below each title line, whatever their UFIDs: the order of a dump means nothing. */
function sortSections(text: string): string {
  const sections: string[][] = [[]];
  for (const line of text.split('\n').slice(0, -1)) {
    if (line.startsWith('flow-dump from ')) sections.push([]);
    sections.at(-1)!.push(line);
  }
  const rank = (line: string): string => line.replace(UFID, '');
  return sections
    .flatMap((lines) => {
      const title = lines[0]?.startsWith('flow-dump from ') === true ? lines.splice(0, 1) : [];
      return [...title, ...lines.sort((a, b) => (rank(a) < rank(b) ? -1 : 1))];
    })
    .map((line) => `${line}\n`)
    .join('');
}

/** Calls UFIDs that no command chose `<U1>`, `<U2>`, ... in the order in which they appear. */
class UfidNames {
  readonly #chosen: string;
  readonly #names = new Map<string, string>();

  constructor(steps: readonly DpctlStep[]) {
    this.#chosen = steps
      .flatMap(({ cmd }) => cmd)
      .join('\n')
      .toLowerCase();
  }

  rename(text: string): string {
    return text.replaceAll(UFID, (ufid) => {
      if (this.#chosen.includes(ufid)) return ufid;
      const name = this.#names.get(ufid) ?? `ufid:<U${this.#names.size + 1}>`;
      this.#names.set(ufid, name);
      return name;
    });
  }
}
