/** A warning that may come a million times a second, logged at most once per interval with the number left out. */

import type { Logger } from 'pino';

const INTERVAL = 10_000;

export class QuietLog {
  readonly #log: Pick<Logger, 'warn'>;
  readonly #clock: () => number;
  readonly #last = new Map<string, { at: number; left: number }>();

  /** `clock` gives milliseconds. */
  constructor(log: Pick<Logger, 'warn'>, clock: () => number) {
    this.#log = log;
    this.#clock = clock;
  }

  /** Warnings of the same `kind` share one interval. */
  warn(kind: string, message: string): void {
    const now = this.#clock();
    const last = this.#last.get(kind);
    if (last !== undefined && now - last.at < INTERVAL) {
      last.left++;
      return;
    }
    const left = last === undefined || last.left === 0 ? '' : ` (and ${last.left} more like it)`;
    this.#last.set(kind, { at: now, left: 0 });
    this.#log.warn(`${message}${left}`);
  }
}
