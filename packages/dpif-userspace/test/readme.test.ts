/** The README's example runs, and prints what it says. */

import { readmeExamples } from '@etherloom/testkit';
import { describe, it } from 'vitest';

describe('README', () => {
  for (const { name, run } of readmeExamples(new URL('../README.md', import.meta.url)))
    it(name, async () => void (await run()));
});
