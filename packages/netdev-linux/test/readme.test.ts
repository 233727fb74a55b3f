/** The examples of README.md run, and print what it says. */

import { readmeExamples } from '@etherloom/testkit';
import { test } from 'vitest';

for (const example of readmeExamples(new URL('../README.md', import.meta.url))) {
  test(example.name, () => example.run());
}
