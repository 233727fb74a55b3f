/** What a dpctl command is: its context, options, outcome and errors. */

import type { DpifError, DpifRegistry, NetdevRegistry } from '@etherloom/core';
import type { JsonValue } from '../unixctl/protocol.js';

/** What commands work on: nothing but the two contracts, so that they run beside a datapath or over a remote provider. */
export interface DpctlContext {
  /** VLAN tags that the datapaths match, 1 or 2; default 2. */
  readonly vlanLimit?: number;
  readonly dpifs: DpifRegistry;
  readonly netdevs: NetdevRegistry;
}

/** The options of dpctl; every command takes all of them, as in Open vSwitch. */
export interface DpctlOptions {
  /** How often `-m` was given. */
  readonly verbosity: number;
  /** `-s`: print statistics. */
  readonly statistics: boolean;
  /** `--clear`: zero the statistics of a flow that is modified. */
  readonly clear: boolean;
  /** `--may-create`: mod-flow creates a flow that is not there. */
  readonly mayCreate: boolean;
  /** `--names` or `--no-names`: print port names; names are printed by default only with `-m`. */
  readonly names: boolean;
}

/** The words behind a command's name. */
export interface DpctlWords {
  readonly options: DpctlOptions;
  readonly args: readonly string[];
}

/** What a command answers: the text that Open vSwitch prints, and the same as stable JSON. */
export interface DpctlResult {
  readonly text: string;
  readonly json: JsonValue;
  /** Everything went to the sink instead. */
  readonly streamed?: boolean;
}

/** Takes an answer that is too large to be held, piece by piece, in the form that is wanted. */
export interface DpctlSink {
  /** `text`: pieces are parts of the text. `json`: parts of the source of the JSON. */
  readonly form: 'text' | 'json';
  /** Resolves when there is room for more; what it rejects with ends the command. */
  write(piece: string): Promise<void>;
}

export interface DpctlCommand {
  readonly name: string;
  /** Arguments as `list-commands` shows them. */
  readonly usage: string;
  readonly minArgs: number;
  /** Options do not count. */
  readonly maxArgs: number;
  /** With a `sink` a large answer goes there, and a small one comes back in its form at least. */
  run(
    context: DpctlContext,
    args: readonly string[],
    options: DpctlOptions,
    sink?: DpctlSink,
  ): Promise<DpctlResult>;
}

/** One thing that went wrong in a command. */
export interface DpctlFailure {
  /** Open vSwitch's words, with the errno text in parentheses: `updating flow table (File exists)`. */
  readonly shape: string;
  /** One sentence for people: what was wrong, with which value, and what to do. Absent when the failure before says it all. */
  readonly sentence?: string;
  /** Open vSwitch prints this one without the program's name in front: bad options and numbers of arguments. */
  readonly bare?: true;
  /** Open vSwitch prints this one and reports success all the same. */
  readonly tolerated?: true;
}

/** A command failed, perhaps after it did part of its work (`add-if` of several ports goes on after a bad one). */
export class DpctlError extends Error {
  override readonly name = 'DpctlError';
  readonly failures: readonly DpctlFailure[];
  readonly #entries: readonly (string | DpctlFailure)[];

  constructor(entries: readonly (string | DpctlFailure)[]) {
    const failures = entries.filter((entry) => typeof entry !== 'string');
    super(failures.flatMap(({ sentence }) => sentence ?? []).join('\n'));
    this.failures = failures;
    this.#entries = entries;
  }

  /** Open vSwitch prints what went wrong and reports success: bad lines in files of flows, for instance. */
  get tolerated(): boolean {
    return this.failures.every(({ tolerated }) => tolerated === true);
  }

  /** What the daemon called `program` answers: output and errors as they came, each error with the program's name. */
  format(program: string): string {
    return this.#entries
      .map((entry) => {
        if (typeof entry === 'string') return entry;
        return entry.bare ? `${entry.shape}\n` : `${program}: ${entry.shape}\n`;
      })
      .join('');
  }
}

/** Gathers what a command prints and what goes wrong meanwhile. */
export class Report {
  readonly #entries: (string | DpctlFailure)[] = [];
  #failed = false;

  print(text: string): void {
    this.#entries.push(text);
  }

  /** A failure of the command's own making. */
  fail(shape: string, sentence?: string): void {
    this.#failed = true;
    this.#entries.push(sentence === undefined ? { shape } : { shape, sentence });
  }

  /** A failure of the command's own making that Open vSwitch prints, and reports success. */
  tolerate(shape: string, sentence: string): void {
    this.#failed = true;
    this.#entries.push({ shape, sentence, tolerated: true });
  }

  /** Takes over what `part` printed and what failed in it; the latter is tolerated here. */
  adopt(part: Report): void {
    for (const entry of part.#entries) {
      this.#entries.push(typeof entry === 'string' ? entry : { ...entry, tolerated: true });
    }
    this.#failed ||= part.#failed;
  }

  /** A failure that a contract reported: Open vSwitch's words and the errno text, or the contract's sentence. */
  failWith(shape: string, error: DpifError): void {
    this.fail(`${shape} (${error.strerror})`, error.message);
  }

  /** The outcome; throws a `DpctlError` when anything failed. */
  result(json: JsonValue): DpctlResult {
    if (this.#failed) throw new DpctlError(this.#entries);
    return { text: this.#entries.join(''), json };
  }
}
