/** The README's examples run, and print what it says. */

import { readmeExamples } from '@etherloom/testkit';
import { test } from 'vitest';
import { missing } from './harness.js';

const reason = await missing('afxdp', { mode: 'native' });

for (const example of readmeExamples(new URL('../README.md', import.meta.url))) {
  test(example.name, async (context) => {
    if (reason !== undefined) context.skip(reason);
    await example.run();
  });
}
