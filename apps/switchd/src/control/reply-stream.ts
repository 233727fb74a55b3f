/** A reply that leaves in pieces, so that an answer of any size is never held as a whole. */

import type { JsonValue } from '@etherloom/cli';
import type { AnswerSink, Connection } from './command.js';

export class ReplyStream implements AnswerSink {
  readonly form: Connection['format'];
  readonly #id: JsonValue;
  readonly #send: (bytes: string) => Promise<void>;
  #begun = false;

  /** `send` resolves when there is room for more. */
  constructor(id: JsonValue, form: Connection['format'], send: (bytes: string) => Promise<void>) {
    this.#id = id;
    this.form = form;
    this.#send = send;
  }

  /** Whether a piece has left. */
  get begun(): boolean {
    return this.#begun;
  }

  async write(piece: string): Promise<void> {
    const head = this.#begun ? '' : `{"id":${JSON.stringify(this.#id)},"result":${this.#quote}`;
    this.#begun = true;
    // In text form the pieces are the inside of one JSON string.
    await this.#send(head + (this.form === 'text' ? JSON.stringify(piece).slice(1, -1) : piece));
  }

  /** The last piece is out. */
  end(): Promise<void> {
    return this.#send(`${this.#quote},"error":null}`);
  }

  get #quote(): string {
    return this.form === 'text' ? '"' : '';
  }
}
