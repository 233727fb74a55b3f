/** The native bindings under AddressSanitizer and UndefinedBehaviorSanitizer, each in a Node of its own. */

import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { requirePrivileges, run } from '@etherloom/testkit';
import { expect, test } from 'vitest';

test('the bindings run clean under the sanitizers', async (context) => {
  requirePrivileges(context, 'cc');
  const libasan = (await run('cc', ['-print-file-name=libasan.so'])).trim();
  if (!libasan.startsWith('/')) context.skip('needs libasan: install it (Debian package libgcc-12-dev)');
  const home = fileURLToPath(new URL('..', import.meta.url));
  const cwd = mkdtempSync(join(tmpdir(), 'etl-asan-'));
  try {
    mkdirSync(join(cwd, 'native'));
    for (const name of readdirSync(join(home, 'native'))) {
      if (/\.[ch]$/.test(name)) copyFileSync(join(home, 'native', name), join(cwd, 'native', name));
    }
    copyFileSync(join(home, 'package.json'), join(cwd, 'package.json'));
    symlinkSync(join(home, 'node_modules'), join(cwd, 'node_modules'));
    const build = fileURLToPath(new URL('../../../scripts/build-native.mjs', import.meta.url));
    await run(process.execPath, [build], { cwd, env: { ETHERLOOM_SANITIZE: '1' } });
    const fifo = join(cwd, 'fifo');
    await run('mkfifo', [fifo]);
    // Node itself leaks at exit, by design.
    const env = { LD_PRELOAD: libasan, ASAN_OPTIONS: 'detect_leaks=0', NODE_OPTIONS: '' };
    for (const name of ['fdwait', 'pmd']) {
      const child = fileURLToPath(new URL(`${name}-child.mjs`, import.meta.url));
      const binding = join(cwd, 'native', `${name}.asan.node`);
      const output = await run(process.execPath, ['--expose-gc', child, binding, fifo], {
        env,
        timeout: 60_000,
      });
      expect(output).toBe('done\n');
    }
  } finally {
    rmSync(cwd, { recursive: true });
  }
}, 120_000);
