/** `time/stop` and `time/warp`: the clock in the hands of a test. */

import type { Clock } from '../daemon/clock.js';
import type { ControlCommand } from './command.js';

/** As C's atoll(3): the digits at the front, up to 15 of them, and 0 when there are none. */
const milliseconds = (text: string): number => Number(/^\s*[+-]?\d{1,15}/.exec(text)?.[0] ?? 0);

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
        const [total = 0, step = total] = args.map(milliseconds);
        if (step <= 0) throw new Error('invalid MSECS');
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
