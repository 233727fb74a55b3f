/** Control commands that every daemon has: list-commands, version, set-options, exit. */

import { parseArgs } from 'node:util';
import type { Connection, ControlCommand } from './command.js';
import { formatListing } from './command.js';

export interface BuiltinInit {
  readonly version: string;
  /** All commands, these included. */
  commands(): Iterable<ControlCommand>;
  /** Stops the daemon; resolves when what it made is gone, so that whoever asked knows it when the reply comes. */
  exit(): Promise<void>;
}

const FORMATS: readonly Connection['format'][] = ['text', 'json'];
const ERRORS: readonly Connection['errors'][] = ['ovs', 'sentence'];

export function builtinCommands({ version, commands, exit }: BuiltinInit): ControlCommand[] {
  return [
    {
      name: 'list-commands',
      usage: '',
      minArgs: 0,
      maxArgs: 0,
      async run() {
        const sorted = [...commands()].sort((a, b) => (a.name < b.name ? -1 : 1));
        return { text: formatListing(sorted) };
      },
    },
    {
      name: 'version',
      usage: '',
      minArgs: 0,
      maxArgs: 0,
      async run() {
        return { text: `switchd (Etherloom) ${version}\n` };
      },
    },
    {
      name: 'set-options',
      usage: '[--format text|json] [--errors ovs|sentence]',
      minArgs: 0,
      maxArgs: 4,
      async run(args, connection) {
        const { values } = parseArgs({
          args: [...args],
          options: { format: { type: 'string' }, errors: { type: 'string' } },
        });
        const format = choose('format', values.format, FORMATS);
        const errors = choose('errors', values.errors, ERRORS);
        connection.format = format ?? connection.format;
        connection.errors = errors ?? connection.errors;
        return { text: '' };
      },
    },
    {
      name: 'exit',
      usage: '[--cleanup]',
      minArgs: 0,
      maxArgs: 1,
      async run() {
        await exit();
        return { text: '', json: {} };
      },
    },
  ];
}

function choose<T extends string>(
  option: string,
  value: string | undefined,
  choices: readonly T[],
): T | undefined {
  if (value === undefined) return undefined;
  const choice = choices.find((candidate) => candidate === value);
  if (choice === undefined) throw new Error(`option ${option} has invalid value ${value}`);
  return choice;
}
