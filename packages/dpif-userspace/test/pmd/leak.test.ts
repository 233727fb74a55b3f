/** What poll-mode threads leave behind: nothing, when a datapath goes and however the process ends. */

import { fileURLToPath } from 'node:url';
import { run } from '@etherloom/testkit';
import { describe, expect, it } from 'vitest';

const CHILD = fileURLToPath(new URL('leak-child.mjs', import.meta.url));
const LIMIT = 100_000;

describe('poll-mode threads', () => {
  it(
    'threads, descriptors and shared memory go with their datapath',
    async () => {
      const printed = await run(process.execPath, ['--expose-gc', CHILD, 'datapaths', '20'], {
        timeout: LIMIT,
      });
      const { never, before, after } = JSON.parse(printed);
      expect({ fds: after.fds, threads: after.threads }).toEqual({
        fds: before.fds,
        threads: before.threads,
      });
      // One datapath's rings and statistics alone are 70 MB of address space.
      expect(after.bytes - before.bytes).toBeLessThan(2 ** 20);
      // Not even the first one's stay.
      expect(after.arrays - never.arrays).toBeLessThan(2 ** 20);
    },
    LIMIT,
  );

  it.each(['drained', 'exit', 'worker'])(
    'sleeping threads do not keep a process from ending: %s',
    async (how) => {
      expect(await run(process.execPath, [CHILD, how], { timeout: LIMIT })).toBe('ready\n');
    },
    LIMIT,
  );

  it(
    'nor one that fails',
    async () => {
      const failed = run(process.execPath, [CHILD, 'uncaught'], { timeout: LIMIT });
      await expect(failed).rejects.toThrow('on purpose');
    },
    LIMIT,
  );
});
