/** Tells the options of dpctl from its arguments, the way Open vSwitch's daemon does: options first, none with a value. */

import { DpctlError, type DpctlOptions, type DpctlWords } from './command.js';

type Settings = Partial<DpctlOptions>;

const OPTIONS: Readonly<Record<string, (before: Settings) => Settings>> = {
  '-m': ({ verbosity = 0 }) => ({ verbosity: verbosity + 1 }),
  '--more': ({ verbosity = 0 }) => ({ verbosity: verbosity + 1 }),
  '-s': () => ({ statistics: true }),
  '--statistics': () => ({ statistics: true }),
  '--clear': () => ({ clear: true }),
  '--may-create': () => ({ mayCreate: true }),
  '--names': () => ({ names: true }),
  '--no-names': () => ({ names: false }),
};

/** `-ms` is `-m -s`. */
const expand = (option: string): string[] =>
  option.startsWith('--') || option.length <= 2
    ? [option]
    : [...option.slice(1)].map((letter) => `-${letter}`);

/** Splits `argv`; throws a `DpctlError` for an unknown option, `--` among them. Options end at the first argument. */
export function splitOptions(argv: readonly string[]): DpctlWords {
  let found: Settings = {};
  let at = 0;
  for (; at < argv.length; at++) {
    const arg = argv[at]!;
    if (!arg.startsWith('-') || arg === '-') break;
    for (const option of expand(arg)) {
      const setting = Object.hasOwn(OPTIONS, option) ? OPTIONS[option] : undefined;
      if (setting === undefined) {
        const sentence = `unknown option ${option}; there are ${Object.keys(OPTIONS).join(', ')}`;
        throw new DpctlError([{ shape: `Unrecognized option ${option}`, sentence, bare: true }]);
      }
      found = { ...found, ...setting(found) };
    }
  }
  const { verbosity = 0, names = verbosity > 0 } = found;
  const { statistics = false, clear = false, mayCreate = false } = found;
  return { options: { verbosity, statistics, clear, mayCreate, names }, args: argv.slice(at) };
}
