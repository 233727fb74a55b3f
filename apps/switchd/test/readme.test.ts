/** The README's examples run and print what it says. */

import { readmeExamples } from '@etherloom/testkit';
import { expect, it } from 'vitest';

it('the examples of the README work', async () => {
  for (const example of readmeExamples(new URL('../README.md', import.meta.url))) {
    expect(await example.run()).not.toBe('');
  }
});
