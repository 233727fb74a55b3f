/** What a control command is, and the table of them. */

import type { JsonValue } from '@etherloom/cli';

/** An answer: text as Open vSwitch prints it, and the same as JSON where the command has such a form. */
export interface Answer {
  readonly text: string;
  readonly json?: JsonValue;
}

/** Settings of one connection, changed by `set-options`. */
export interface ConnectionOptions {
  format: 'text' | 'json';
  /** `ovs`: error texts in Open vSwitch's words. `sentence`: one sentence that says what to do, as `etherloom` wants it. */
  errors: 'ovs' | 'sentence';
}

export interface ControlCommand {
  readonly name: string;
  /** Arguments as `list-commands` shows them. */
  readonly usage: string;
  readonly minArgs: number;
  readonly maxArgs: number;
  /** A thrown error's message becomes the error of the reply. */
  run(args: readonly string[], options: ConnectionOptions): Promise<Answer>;
}

/** Open vSwitch's listing, names in a column of 23 and `wider`. */
export function formatListing(
  commands: readonly Pick<ControlCommand, 'name' | 'usage'>[],
  wider = 0,
): string {
  const lines = commands.map(({ name, usage }) => `  ${name.padEnd(23 + wider)} ${usage}\n`);
  return `The available commands are:\n${lines.join('')}`;
}
