/** The log: JSON lines in the run directory, and on standard error when asked. Control path only. */

import pino, { type Logger } from 'pino';

export type { Logger } from 'pino';

export interface LogInit {
  readonly file: string;
  readonly level: string;
  readonly stderr: boolean;
}

/** Where log lines go. `console` is standard error. */
export type LogDestination = 'console' | 'file';

/** pino's way to tell a stream the level of the line that comes next. */
const METADATA = Symbol.for('pino.metadata');

interface Destination {
  readonly stream: ReturnType<typeof pino.destination>;
  level: string;
}

const weight = (level: string): number => pino.levels.values[level] ?? Number.POSITIVE_INFINITY;

/** The destinations of a logger, each with its own level: pino's name, or "silent". */
export class Log {
  readonly logger: Logger;
  readonly #destinations = new Map<LogDestination, Destination>();

  /** Opens the log. Writing is synchronous: a daemon that dies must have said why, and it says little. */
  constructor({ file, level, stderr }: LogInit) {
    this.#open('file', level, { dest: file, mode: 0o600, sync: true });
    if (stderr) this.#open('console', level, { dest: 2, sync: true });
    const destinations = this.#destinations;
    const stream = {
      [METADATA]: true,
      lastLevel: 0,
      write(line: string): void {
        for (const each of destinations.values()) {
          if (this.lastLevel >= weight(each.level)) each.stream.write(line);
        }
      },
    };
    this.logger = pino({ level, base: { pid: process.pid } }, stream);
  }

  /** The level of a destination; "silent" for one that does not exist. */
  level(destination: LogDestination): string {
    return this.#destinations.get(destination)?.level ?? 'silent';
  }

  /** Sets the level of one destination, or of all. */
  setLevel(level: string, destination?: LogDestination): void {
    for (const [name, each] of this.#destinations) {
      if (destination === undefined || destination === name) each.level = level;
    }
    const levels = [...this.#destinations.values()].map((each) => each.level);
    this.logger.level = levels.reduce((least, each) => (weight(each) < weight(least) ? each : least));
  }

  /** Opens the file anew, after somebody moved it away. */
  reopen(): void {
    this.#destinations.get('file')?.stream.reopen();
  }

  #open(name: LogDestination, level: string, options: Parameters<typeof pino.destination>[0]): void {
    const stream = pino.destination(options);
    // A full disk or a closed terminal costs log lines, not the switch.
    stream.on('error', () => {});
    this.#destinations.set(name, { stream, level });
  }
}
