/** What a control command is, and the table of them. */

import type { JsonValue } from '@etherloom/cli';

/** An answer: text as Open vSwitch prints it, and the same as JSON where the command has such a form. */
export interface Answer {
  readonly text: string;
  readonly json?: JsonValue;
  /** Everything went to the sink already: `text` and `json` say nothing. */
  readonly streamed?: boolean;
}

/** One connection, as commands see it. */
export interface Connection {
  /** Settings that `set-options` changes. */
  format: 'text' | 'json';
  /** `ovs`: error texts in Open vSwitch's words. `sentence`: one sentence that says what to do, as `etherloom` wants it. */
  errors: 'ovs' | 'sentence';
  /** Aborts when the peer is gone: what was opened for it is to be closed. */
  readonly ended: AbortSignal;
  /** Something is open for the peer: it is not cut off to make room for others. */
  inUse: boolean;
}

/** Where a command puts an answer that is too large to be held: piece by piece, in the form that the peer asked for. */
export interface AnswerSink {
  /** `text`: pieces are parts of a text. `json`: parts of one JSON value. */
  readonly form: Connection['format'];
  /** Resolves when the peer has room for more; rejects when it is gone or too slow. */
  write(piece: string): Promise<void>;
}

export interface ControlCommand {
  readonly name: string;
  /** Arguments as `list-commands` shows them. */
  readonly usage: string;
  readonly minArgs: number;
  readonly maxArgs: number;
  /** The answer may take for ever: later requests of the connection do not wait for it. */
  readonly waits?: boolean;
  /** A thrown error's message becomes the error of the reply; a `ControlError`'s JSON. */
  run(args: readonly string[], connection: Connection, sink: AnswerSink): Promise<Answer>;
}

/** An error that is more than a text. */
export class ControlError extends Error {
  override readonly name = 'ControlError';
  readonly json: JsonValue;

  constructor(message: string, json: JsonValue) {
    super(message);
    this.json = json;
  }
}

/** Open vSwitch's listing, names in a column of 23 and `wider`. */
export function formatListing(
  commands: readonly Pick<ControlCommand, 'name' | 'usage'>[],
  wider = 0,
): string {
  const lines = commands.map(({ name, usage }) => `  ${name.padEnd(23 + wider)} ${usage}\n`);
  return `The available commands are:\n${lines.join('')}`;
}
