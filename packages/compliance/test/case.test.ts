/** The adapter under node:test, as another project would use it: the built package in a process of its own. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '@etherloom/testkit';
import { expect, test } from 'vitest';
import { NETDEV_FEATURES, netdevSuite } from '../src/index.js';

test('under node:test cases pass, fail and are skipped with their reason', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'etherloom-compliance-'));
  const dist = new URL('../dist/index.js', import.meta.url).href;
  const file = join(folder, 'suite.mjs');
  writeFileSync(
    file,
    `import { describe, it } from 'node:test';
     import { defineSuite } from ${JSON.stringify(dist)};
     const cites = 'x';
     defineSuite('suite', [
       { name: 'good', cites, run: async () => {} },
       { name: 'bad', cites, run: async () => { throw new Error('broken here'); } },
       { name: 'absent', cites, skip: 'has no legs', run: async () => { throw new Error('ran'); } },
     ], { describe, it });
     defineSuite('other', [{ name: 'all', cites, run: async () => { throw new Error('ran'); } }], { describe, it }, 'needs root');`,
  );
  try {
    // Without the variable by which node:test inside another test run would change its output.
    const failing = run(process.execPath, ['--test-reporter=tap', file], {
      env: { NODE_TEST_CONTEXT: '', NODE_OPTIONS: '' },
    });
    const output = await failing.catch((error: unknown) => String(error));
    expect(output).toContain('exited with 1');
    expect(output).toMatch(/\bok 1 - good/);
    expect(output).toMatch(/not ok 2 - bad/);
    expect(output).toContain('broken here');
    expect(output).toMatch(/ok 3 - absent # SKIP has no legs/);
    expect(output).toMatch(/ok 1 - all # SKIP needs root/);
    expect(output).toContain('# skipped 2');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a missing feature skips its cases with the reason, and names are unique', () => {
  const setup = async () => {
    throw new Error('not run');
  };
  const supports = Object.fromEntries(NETDEV_FEATURES.map((feature) => [feature, 'not here']));
  const cases = netdevSuite({ setup, teardown: async () => undefined, supports });
  expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length);
  const skipped = cases.filter(({ skip }) => skip !== undefined);
  expect(new Set(skipped.map(({ skip }) => skip))).toEqual(
    new Set(NETDEV_FEATURES.map((feature) => `${feature}: not here`)),
  );
  expect(
    netdevSuite({ setup, teardown: async () => undefined }).every(({ skip }) => skip === undefined),
  ).toBe(true);
});
