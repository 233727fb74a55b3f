/** The `vlog/*` control commands: how much is logged, and where. There is one module, the daemon itself. */

import type { Log, LogDestination } from '../daemon/log.js';
import type { ControlCommand } from './command.js';

const MODULE = 'switchd';

/** Open vSwitch's names of levels, and pino's. */
const LEVELS: ReadonlyMap<string, string> = new Map([
  ['off', 'silent'],
  ['emer', 'fatal'],
  ['err', 'error'],
  ['warn', 'warn'],
  ['info', 'info'],
  ['dbg', 'debug'],
]);
const DESTINATIONS: readonly string[] = ['console', 'file', 'syslog'];

const isDestination = (word: string): word is LogDestination => word === 'console' || word === 'file';

/** The name that Open vSwitch has for pino's `level`. */
const levelName = (level: string): string =>
  ([...LEVELS].find(([, ours]) => ours === level)?.[0] ?? 'dbg').toUpperCase();

interface Setting {
  readonly level?: string;
  readonly destination?: string;
  readonly module?: string;
}

/** Reads `[MODULE][:DESTINATION][:LEVEL]` in any order; the level is "dbg" unless it is given. */
function parseSetting(text: string): Setting {
  let setting: Setting = {};
  for (const word of text.toLowerCase().split(/[\s:,]+/)) {
    const kind: keyof Setting | undefined = DESTINATIONS.includes(word)
      ? 'destination'
      : LEVELS.has(word)
        ? 'level'
        : word === MODULE
          ? 'module'
          : undefined;
    if (word === 'any' || word === '') continue;
    if (kind === undefined) throw new Error(`no destination, level, or module "${word}"`);
    if (setting[kind] !== undefined) throw new Error(`cannot specify multiple ${kind}s`);
    setting = { ...setting, [kind]: word };
  }
  return setting;
}

export function vlogCommands(log: Log): ControlCommand[] {
  return [
    {
      name: 'vlog/set',
      usage: '{spec | PATTERN:destination:pattern}',
      minArgs: 1,
      maxArgs: Number.POSITIVE_INFINITY,
      async run(args) {
        // All are read before the first takes effect.
        for (const { level = 'dbg', destination } of args.map(parseSetting)) {
          const ours = LEVELS.get(level) ?? level;
          if (destination === undefined) log.setLevel(ours);
          // There is no syslog here, so nothing is to be set.
          else if (isDestination(destination)) log.setLevel(ours, destination);
        }
        return { text: '', json: {} };
      },
    },
    {
      name: 'vlog/list',
      usage: '',
      minArgs: 0,
      maxArgs: 0,
      async run() {
        const [console, file] = [levelName(log.level('console')), levelName(log.level('file'))];
        const columns = [console, 'OFF', file].map((level) => level.padStart(4)).join('       ');
        return {
          text:
            '                 console    syslog    file\n' +
            '                 -------    ------    ------\n' +
            `${MODULE.padEnd(16)}  ${columns}\n`,
          json: { [MODULE]: { console, file } },
        };
      },
    },
    {
      name: 'vlog/reopen',
      usage: '',
      minArgs: 0,
      maxArgs: 0,
      async run() {
        log.reopen();
        return { text: '', json: {} };
      },
    },
  ];
}
