/** What a command of `etherloom` is. */

import type { Session, Streams } from './session.js';
import { DEFAULT_RUN_DIR } from './target.js';

export interface CliOption {
  /** Long name without dashes, as node:util's parseArgs wants it. */
  readonly name: string;
  readonly short?: string;
  /** What help calls its value; absent for one that has none. */
  readonly value?: string;
  readonly help: string;
}

/** What every command takes. */
export const GLOBAL_OPTIONS: readonly CliOption[] = [
  {
    name: 'run-dir',
    value: 'DIR',
    help: `directory of the daemon's pidfile and socket (default $OVS_RUNDIR, else ${DEFAULT_RUN_DIR})`,
  },
  { name: 'socket', value: 'PATH', help: "the daemon's control socket itself" },
  { name: 'json', help: 'print JSON, one stable object per command' },
  { name: 'help', short: 'h', help: 'print this help, or that of a command' },
  { name: 'version', help: 'print the version' },
];

/**
 * Which arguments name datapaths: the first, all, a new one, or the first if it is the name of one that exists (`known`), or if all arguments
 * are there (`full`).
 */
export type DatapathArguments = 'none' | 'new' | 'first' | 'known' | 'full' | 'all';

/** One call of a command. */
export interface Call {
  readonly session: Session;
  /** With datapath names in full. */
  readonly args: readonly string[];
  /** By name; the value is "true" for those that have none. */
  readonly options: ReadonlyMap<string, string>;
  readonly json: boolean;
  readonly streams: Streams;
}

export interface CliCommand {
  readonly name: string;
  /** Arguments as help shows them. */
  readonly usage: string;
  readonly minArgs: number;
  readonly maxArgs: number;
  readonly datapaths: DatapathArguments;
  readonly summary: string;
  readonly options: readonly CliOption[];
  readonly examples: readonly string[];
  /** Not in the list of commands: it only says that there is no such thing. */
  readonly unlisted?: boolean;
  /** What the shell completes arguments with, besides names of datapaths. */
  readonly files?: boolean;
  /** It needs no datapaths, and so no daemon. */
  readonly local?: boolean;
  run(call: Call): Promise<void>;
}

/** Prints an answer: as JSON when that is asked for, else as text. */
export async function print({ json, streams }: Call, answer: { text: string; json: unknown }): Promise<void> {
  await streams.out(json ? `${JSON.stringify(answer.json, null, 2)}\n` : answer.text);
}
