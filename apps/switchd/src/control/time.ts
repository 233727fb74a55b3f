/** `time/stop` and `time/warp`: the clock in the hands of a test. */

import type { Clock } from '../daemon/clock.js';
import type { ControlCommand } from './command.js';

/** Whole milliseconds above 0, as C's atoll(3) would read them where it is sane; undefined otherwise. */
function milliseconds(text: string): number | undefined {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : 0;
  return value > 0 ? value : undefined;
}

/** Lets everything that waits for the clock or for packets have its turn. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Steps of one command at most: `time/warp 1000000000 1` must not keep the daemon busy for hours. */
const MAX_STEPS = 100_000;

export function timeCommands(clock: Clock): ControlCommand[] {
  return [
    {
      name: 'time/stop',
      usage: '',
      minArgs: 0,
      maxArgs: 0,
      async run() {
        clock.stop();
        return { text: '', json: {} };
      },
    },
    {
      name: 'time/warp',
      usage: '[large_msecs] msecs',
      minArgs: 1,
      maxArgs: 2,
      async run(args) {
        const values = args.map(milliseconds);
        const [total, step = total] = values;
        if (total === undefined || step === undefined || values.includes(undefined)) {
          throw new Error('invalid MSECS');
        }
        if (total / step > MAX_STEPS) throw new Error(`more than ${MAX_STEPS} steps; give longer ones`);
        for (let left = total; left > 0; left -= step) {
          clock.warp(Math.min(step, left));
          await turn();
        }
        return { text: 'warped\n', json: {} };
      },
    },
  ];
}
