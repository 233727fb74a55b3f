/**
 * `npm run soak -- [--minutes N] [--seed N] [--first N]`: poll-mode threads at full rate amid changes of everything. Exit
 * status: 0 when nothing was lost and nothing leaked, 1 otherwise, 2 for a wrong command line.
 */

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { SoakError } from './epoch.js';
import { describeLook } from './leaks.js';
import { type Summary, soak, withoutTaps } from './soak.js';

const USAGE = `usage: npm run soak -- [--minutes N] [--seed N] [--first N]

  --minutes N  how long, default 30; a generation that has begun is brought to its end
  --seed N     start of the random numbers, 0..4294967295; default: another one each time, which is printed
  --first N    begin with this generation, as a failure names it`;

const PROGRESS_MS = 60_000;

/**
 * How malloc is to behave, so that resident memory tells what is held: one arena in place of eight per processor, each of
 * which keeps as much as its threads ever took at once, and what is freed goes back to the system.
 */
const MALLOC = {
  MALLOC_ARENA_MAX: '1',
  MALLOC_MMAP_THRESHOLD_: '65536',
  MALLOC_TRIM_THRESHOLD_: '65536',
};

class UsageError extends Error {}

function readArguments(): { minutes: number; seed: number; first: number } | undefined {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '30' },
      seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 32)) },
      first: { type: 'string', default: '0' },
      help: { type: 'boolean' },
    },
  });
  if (values.help === true) return undefined;
  const [minutes, seed, first] = [Number(values.minutes), Number(values.seed), Number(values.first)];
  if (!(minutes > 0)) throw new UsageError(`--minutes must be a number above 0, not "${values.minutes}"`);
  for (const [option, value] of [
    ['seed', seed],
    ['first', first],
  ] as const) {
    if (!Number.isInteger(value) || value < 0 || value >= 2 ** 32) {
      throw new UsageError(
        `--${option} must be a whole number from 0 to 4294967295, not "${values[option]}"`,
      );
    }
  }
  return { minutes, seed, first };
}

function describe({ generations, epochs, operations, packets, time, upcalls, crashes }: Summary): string {
  return (
    `${generations} generations, ${epochs} epochs, ${operations} operations, ` +
    `${(packets / 1e6).toFixed(1)} million packets (${((packets * 1e3) / time).toFixed(2)} Mpps), ` +
    `${upcalls} upcalls, ${crashes} crashes`
  );
}

/** Runs this program again with these variables, which count from the start of a process on; resolves to its exit status. */
function runWith(variables: Readonly<Record<string, string>>): Promise<number> {
  const args = [...process.execArgv, fileURLToPath(import.meta.url), ...process.argv.slice(2)];
  const child = spawn(process.execPath, args, { stdio: 'inherit', env: { ...process.env, ...variables } });
  const pass = (signal: NodeJS.Signals): boolean => child.kill(signal);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, pass);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => resolve(code ?? 1));
  });
}

async function main(): Promise<number> {
  const options = readArguments();
  if (options === undefined) {
    console.log(USAGE);
    return 0;
  }
  if (Object.keys(MALLOC).some((name) => process.env[name] === undefined)) return runWith(MALLOC);
  const { minutes, seed, first } = options;
  const taps = withoutTaps();
  console.log(
    `soak: ${minutes} minutes, seed ${seed}${taps === undefined ? '' : `; without TAP devices: ${taps}`}`,
  );
  const began = performance.now();
  const end = began + minutes * 60_000;
  let told = began;
  const summary = await soak({
    seed,
    first,
    more: () => performance.now() < end,
    rested: (generation, look) => console.log(`soak: after generation ${generation}: ${describeLook(look)}`),
    progress: (state) => {
      if (performance.now() - told < PROGRESS_MS) return;
      told = performance.now();
      console.log(`soak: ${((told - began) / 60_000).toFixed(0)} min: ${describe(state)}`);
    },
  });
  console.log(`soak: ${describe(summary)}`);
  console.log(`soak: drops: ${JSON.stringify(summary.drops)}`);
  console.log('soak: every packet is accounted for, and nothing was left behind');
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  if (error instanceof SoakError) {
    console.error(`soak: ${error.message}`);
    process.exitCode = 1;
  } else if (error instanceof UsageError || (error instanceof TypeError && 'code' in error)) {
    console.error(`soak: ${error.message}\n\n${USAGE}`);
    process.exitCode = 2;
  } else throw error;
}
