/**
 * Sessions with the daemon: the steps of one, and the comparison of what two daemons answered to the same step. A
 * difference is one text that names the step, with both sides in full as JSON: `dpctl-deviations.ts` reads them.
 */

import { compare } from './diff.js';
import { isRecord, VectorError, type VectorRecord } from './record.js';

/** A step of a session: a command of ovs-appctl, `@file` or `@pcap`. */
export interface DpctlStep {
  readonly cmd: readonly string[];
  readonly record: VectorRecord;
}

/** What a command did. */
export interface Outcome {
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
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

/** Gathers the differences of one session; those of step N begin with `steps[N].`. */
export class TranscriptDiff {
  readonly differences: string[] = [];
  readonly #wanted: UfidNames;
  readonly #had: UfidNames;

  /** `commands` are those of the whole session: UFIDs in them were chosen, and are compared. */
  constructor(commands: readonly (readonly string[])[]) {
    this.#wanted = new UfidNames(commands);
    this.#had = new UfidNames(commands);
  }

  /** `sorted`: `want` is a dump of flows, whose order means nothing. */
  command(step: number, want: Outcome, have: Outcome, sorted: boolean): void {
    const where = `steps[${step}]`;
    const order = sorted ? sortSections : (text: string) => text;
    compare(this.differences, `${where}.exit`, want.exit, have.exit);
    this.#lines(
      `${where}.stdout`,
      this.#wanted.rename(order(withoutInternals(want.stdout))),
      this.#had.rename(order(withoutInternals(have.stdout))),
    );
    this.#lines(`${where}.stderr`, want.stderr, have.stderr);
  }

  /** Packets that a port sent, in hexadecimal: one by one, or all of them when there is one too many or too few. */
  packets(step: number, want: readonly unknown[], have: readonly string[]): void {
    const field = `steps[${step}].packets`;
    if (want.length !== have.length) {
      this.differences.push(differing(field, want.join(' '), have.join(' ')));
      return;
    }
    for (const [i, packet] of have.entries()) {
      if (want[i] !== packet) this.differences.push(differing(`${field}[${i}]`, want[i], packet));
    }
  }

  /** Line by line, so that rules can tell differences apart; as a whole when there is a line too many or too few. */
  #lines(field: string, want: string, have: string): void {
    const wanted = want.split('\n');
    const had = have.split('\n');
    if (wanted.length !== had.length) {
      this.differences.push(differing(field, want, have));
      return;
    }
    for (const [index, line] of wanted.entries()) {
      if (line !== had[index]) {
        this.differences.push(differing(`${field}:${index + 1}`, line, had[index]));
      }
    }
  }
}

/** Which words of its own struct a mask fills is Open vSwitch's business (README of the vectors). */
const withoutInternals = (text: string): string =>
  text.replaceAll(/, dp-extra-info:miniflow_bits\(\d+,\d+\)/g, '');

const differing = (field: string, want: unknown, have: unknown): string =>
  `${field}\n  want ${JSON.stringify(want)}\n  have ${JSON.stringify(have)}`;

const UFID = /ufid:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;
/** A UFID, or the name that a vector or {@link UfidNames} gave it. */
const UFID_OR_NAME = /ufid:(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|<U\d+>)/g;

/** Sorts the flows below each title line, whatever their UFIDs. */
function sortSections(text: string): string {
  const sections: string[][] = [[]];
  for (const line of text.split('\n').slice(0, -1)) {
    if (line.startsWith('flow-dump from ')) sections.push([]);
    sections.at(-1)!.push(line);
  }
  const rank = (line: string): string => line.replace(UFID_OR_NAME, '');
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

  constructor(commands: readonly (readonly string[])[]) {
    this.#chosen = commands.flat().join('\n').toLowerCase();
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
