/** The READMEs' examples work as printed: this package's, and the compliance suite's, which runs against this driver. */

import { readmeExamples } from '@etherloom/testkit';
import { describe, test } from 'vitest';

const here = new URL('./', import.meta.url);

describe.each([
  ['@etherloom/netdev-dummy', new URL('../README.md', import.meta.url)],
  ['@etherloom/compliance', new URL('../../compliance/README.md', import.meta.url)],
])('README of %s', (_, readme) => {
  test.each(readmeExamples(readme, here))('$name', async (example) => {
    await example.run();
  });
});
