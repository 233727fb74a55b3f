/** The examples of README.md run, and print what it says. */

import { readmeExamples, requirePrivileges } from '@etherloom/testkit';
import { test } from 'vitest';

for (const example of readmeExamples(new URL('../README.md', import.meta.url))) {
  test(example.name, async (context) => {
    requirePrivileges(context, 'tun');
    await example.run();
  });
}
