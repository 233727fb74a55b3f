/**
 * `npm run differential [-- --steps N] [--seed S] [--minutes M]`: drives Open vSwitch's daemon and switchd side by side with the
 * same generated scripts and compares texts, statistics and packets.
 *
 * Exit status: 0 when nothing differs but what a rule explains, 1 when something does, 2 when the command cannot run (usage,
 * no Open vSwitch here), with one sentence on standard error; 130 when interrupted.
 */

import { parseArgs } from 'node:util';
import { whyNoOpenVswitch } from './peers/open-vswitch.js';
import { DifferentialRun } from './run.js';

const USAGE = `usage: npm run differential -- [--steps N] [--seed S] [--minutes M]

Drives ovs-vswitchd and switchd, both with dummy datapath, with the same generated scripts and compares what they do.
--steps N     ends when N steps are compared; default 5000
--seed S      of the first script, the others follow; default: a new one each time. A seed repeats a run
--minutes M   ends after M minutes at the latest; default 15`;

class UsageError extends Error {}

function whole(name: string, text: string | undefined, usual: number): number {
  if (text === undefined) return usual;
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value > 0)) throw new UsageError(`--${name} "${text}" is not a whole number above 0`);
  return value;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      steps: { type: 'string' },
      seed: { type: 'string' },
      minutes: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  if (values.help === true) {
    console.log(USAGE);
    return 0;
  }
  const why = whyNoOpenVswitch();
  if (why !== undefined) throw new UsageError(why);
  const interrupted = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => interrupted.abort());
  }
  // Whoever reads the output went away; the daemons must still be ended.
  process.stdout.on('error', () => interrupted.abort());
  const run = new DifferentialRun({
    steps: whole('steps', values.steps, 5000),
    seed: whole('seed', values.seed, 1 + Math.floor(Math.random() * 999_999)),
    minutes: whole('minutes', values.minutes, 15),
    say: (text) => console.log(text),
    signal: interrupted.signal,
  });
  const { failed } = await run.all();
  if (interrupted.signal.aborted) return 130;
  return failed > 0 ? 1 : 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof UsageError) && !(error instanceof TypeError && 'code' in error)) throw error;
  console.error(`differential: ${error.message}`);
  process.exitCode = 2;
}
