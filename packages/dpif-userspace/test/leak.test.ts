/** Nothing leaks: ports and flows come and go by the thousand; memory, descriptors and packet buffers stay. */

import { fileURLToPath } from 'node:url';
import { run } from '@etherloom/testkit';
import { describe, expect, it } from 'vitest';

const CHILD = fileURLToPath(new URL('leak-child.mjs', import.meta.url));

describe('leaks', () => {
  it.each([
    ['ports', 10_000],
    ['flows', 1_000_000],
  ])(
    '%s: %i come and go',
    async (what, count) => {
      const printed = await run(process.execPath, ['--expose-gc', CHILD, what, String(count)], {
        timeout: 110_000,
      });
      const { before, after } = JSON.parse(printed);
      const { bytes, ...rest } = after;
      expect(rest).toEqual({ fds: before.fds, free: before.free, freeLarge: before.freeLarge });
      expect(bytes - before.bytes).toBeLessThan(2 ** 20);
    },
    120_000,
  );
});
