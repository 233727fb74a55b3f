/** `npm test [-- VITEST ARGS]`: brings the checkout up to date and runs all tests. */

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { bootstrap, root, runMain } from './lib/bootstrap.mjs';
import { missingForLab } from './lib/preflight.mjs';

await runMain(async () => {
  bootstrap();
  const missing = missingForLab();
  if (missing !== undefined)
    console.error(`etherloom: ${missing} Tests that need this are skipped and counted.`);
  const args = ['run', '--reporter=default', `--reporter=${join(root, 'scripts/lib/summary-reporter.mjs')}`];
  const result = spawnSync(
    process.execPath,
    [join(root, 'node_modules/vitest/vitest.mjs'), ...args, ...process.argv.slice(2)],
    { cwd: root, stdio: 'inherit' },
  );
  process.exitCode = result.status ?? 1;
});
