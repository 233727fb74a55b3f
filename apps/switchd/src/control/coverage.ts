/** `coverage/*`: how often what happened, and how often lately, in Open vSwitch's layout. */

import { crc32 } from 'node:zlib';
import { type DpctlContext, datapathNames, openNamed } from '@etherloom/cli';
import { DROP_REASONS, isDpifError, PORT_NONE } from '@etherloom/core';
import type { ControlCommand } from './command.js';

/** Milliseconds between readings: the shortest average is over one such span. */
const INTERVAL = 5000;
/** Spans of a minute and of an hour. */
const MINUTE = 12;
const HOUR = 720;

/** What was counted somewhere: events by name. A place that is gone has kept what it counted. */
type Reading = ReadonlyMap<string, Readonly<Record<string, number>>>;

export interface CoverageInit {
  readonly context: DpctlContext;
  /** Counters of the daemon itself. */
  own(): Readonly<Record<string, number>>;
}

export class Coverage {
  readonly #init: CoverageInit;
  readonly #totals = new Map<string, number>();
  #last: Reading = new Map();
  /** Totals at the ends of the last spans, the newest last. */
  readonly #history: ReadonlyMap<string, number>[] = [];
  readonly #timer: NodeJS.Timeout;
  #reading: Promise<void> = Promise.resolve();

  constructor(init: CoverageInit) {
    this.#init = init;
    for (const { code } of DROP_REASONS) this.#totals.set(dropName(code), 0);
    for (const name of ['datapath_hit', 'datapath_lost', 'datapath_miss', ...Object.keys(init.own())]) {
      this.#totals.set(name, 0);
    }
    this.#timer = setInterval(() => {
      const note = (): void => {
        this.#history.push(new Map(this.#totals));
        if (this.#history.length > HOUR + 1) this.#history.shift();
      };
      // What could not be read now is read the next time; whoever asks hears why.
      this.read().then(note, note);
    }, INTERVAL);
    this.#timer.unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** Brings the totals up to date. */
  read(): Promise<void> {
    const reading = this.#reading.then(async () => {
      const now = await readAll(this.#init);
      for (const [place, counts] of now) {
        const before = this.#last.get(place) ?? {};
        for (const [name, count] of Object.entries(counts)) {
          // Less than before: the place was made anew.
          const more = count - (before[name] ?? 0);
          this.#totals.set(name, (this.#totals.get(name) ?? 0) + (more < 0 ? count : more));
        }
      }
      this.#last = now;
    });
    this.#reading = reading.catch(() => undefined);
    return reading;
  }

  /** Names in alphabetical order; rates per second over the last 5 seconds, minute and hour. */
  events() {
    return [...this.#totals.keys()].sort().map((name) => ({
      name,
      total: this.#totals.get(name) ?? 0,
      rates: [1, MINUTE, HOUR].map((spans) => this.#rate(name, spans)),
    }));
  }

  /** The growth over the last whole spans; those before the daemon started had none. */
  #rate(name: string, spans: number): number {
    const newest = this.#history.at(-1)?.get(name) ?? 0;
    const oldest = this.#history.at(-1 - spans)?.get(name) ?? 0;
    return (newest - oldest) / ((spans * INTERVAL) / 1000);
  }
}

const dropName = (code: string): string => `datapath_drop_${code}`;

async function readAll({ context, own }: CoverageInit): Promise<Reading> {
  const reading = new Map([['daemon', { ...own() }]]);
  for (const name of await datapathNames(context.dpifs)) {
    try {
      const dpif = await openNamed(context, name);
      try {
        const { hit, missed, lost } = await dpif.getDpStats();
        reading.set(name, { datapath_hit: hit, datapath_miss: missed, datapath_lost: lost });
        const ports = [PORT_NONE];
        for await (const { portNo } of dpif.portDump()) ports.push(portNo);
        for (const portNo of ports) {
          const drops = Object.entries(await dpif.portGetDrops(portNo));
          reading.set(
            `${name} ${portNo}`,
            Object.fromEntries(drops.map(([code, count]) => [dropName(code), count])),
          );
        }
      } finally {
        await dpif.close();
      }
    } catch (error) {
      // Deleted while it was read.
      if (!isDpifError(error)) throw error;
    }
  }
  return reading;
}

export function coverageCommands(coverage: Coverage): ControlCommand[] {
  return [
    {
      name: 'coverage/show',
      usage: '',
      minArgs: 0,
      maxArgs: 0,
      async run() {
        await coverage.read();
        const all = coverage.events();
        const hit = all.filter(({ total }) => total > 0);
        const hash = crc32(hit.map(({ name, total }) => `${name}=${Math.floor(Math.log2(total))}`).join());
        const lines = hit.map(({ name, total, rates: [recent = 0, minute = 0, hour = 0] }) => {
          const columns = [
            recent.toFixed(1).padStart(5),
            minute.toFixed(3).padStart(9),
            hour.toFixed(4).padStart(13),
          ];
          return `${name.padEnd(24)} ${columns.map((rate) => `${rate}/sec`).join(' ')}   total: ${total}\n`;
        });
        const text =
          'Event coverage, avg rate over last: 5 seconds, last minute, last hour,  ' +
          `hash=${hash.toString(16).padStart(8, '0')}:\n${lines.join('')}` +
          `${all.length - hit.length} events never hit\n`;
        const json = all.map(({ name, total, rates: [recent = 0, minute = 0, hour = 0] }) => ({
          name,
          total,
          perSecond: { '5s': recent, '1min': minute, '1h': hour },
        }));
        return { text, json: { events: json } };
      },
    },
    {
      name: 'coverage/read-counter',
      usage: 'COUNTER',
      minArgs: 1,
      maxArgs: 1,
      async run([wanted]) {
        await coverage.read();
        const found = coverage.events().find(({ name }) => name === wanted);
        if (found === undefined) throw new Error('No such counter');
        return { text: `${found.total}\n`, json: { total: found.total } };
      },
    },
  ];
}
