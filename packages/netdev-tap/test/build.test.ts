/** The native build script: what it says without a compiler, what it leaves alone, and its sanitized variant. */

import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { requirePrivileges, run, withNetns } from '@etherloom/testkit';
import { expect, test } from 'vitest';

const PACKAGE = fileURLToPath(new URL('..', import.meta.url));
const SCRIPT = fileURLToPath(new URL('../../../scripts/build-native.mjs', import.meta.url));

/** A scratch package with `source` as native/part.c. */
async function withPackage(source: string, body: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'etl-native-'));
  try {
    mkdirSync(join(folder, 'native'));
    writeFileSync(join(folder, 'package.json'), '{}');
    writeFileSync(join(folder, 'native', 'part.c'), source);
    symlinkSync(join(PACKAGE, 'node_modules'), join(folder, 'node_modules'));
    await body(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const MODULE = '#include <node_api.h>\nNAPI_MODULE_INIT() { (void)env; return exports; }\n';

test('compiles what is older than its source, and nothing else', async (context) => {
  requirePrivileges(context, 'cc');
  await withPackage(MODULE, async (cwd) => {
    expect(await run(process.execPath, [SCRIPT], { cwd })).toBe('built native/part.node\n');
    const built = statSync(join(cwd, 'native', 'part.node')).mtimeMs;
    expect(await run(process.execPath, [SCRIPT], { cwd })).toBe('');
    expect(statSync(join(cwd, 'native', 'part.node')).mtimeMs).toBe(built);
  });
});

test('says in a sentence what is missing or wrong, and leaves no half file', async (context) => {
  requirePrivileges(context, 'cc');
  await withPackage(MODULE, async (cwd) => {
    const without = run(process.execPath, [SCRIPT], { cwd, env: { PATH: '/nonexistent' } });
    await expect(without).rejects.toThrow(
      /exited with 1: build-native: cannot build native\/part.c: there is no C compiler/,
    );
    writeFileSync(join(cwd, 'native', 'part.c'), 'int unused(void) { int x; return 0; }\n');
    await expect(run(process.execPath, [SCRIPT], { cwd })).rejects.toThrow(/cc said[\s\S]*unused variable/);
    expect(readdirSync(join(cwd, 'native'))).toEqual(['part.c']);
    rmSync(join(cwd, 'node_modules'));
    await expect(run(process.execPath, [SCRIPT], { cwd, env: { NODE_PATH: '' } })).rejects.toThrow(
      /node-api-headers is not installed/,
    );
  });
});

test('the bindings run clean under AddressSanitizer and UndefinedBehaviorSanitizer', async (context) => {
  requirePrivileges(context, 'cc', 'tun', 'netns');
  const libasan = (await run('cc', ['-print-file-name=libasan.so'])).trim();
  if (!libasan.startsWith('/')) context.skip('needs libasan: install it (Debian package libgcc-12-dev)');
  await withPackage('', async (cwd) => {
    rmSync(join(cwd, 'native', 'part.c'));
    const sources = readdirSync(join(PACKAGE, 'native')).filter((name) => /\.[ch]$/.test(name));
    for (const name of sources) copyFileSync(join(PACKAGE, 'native', name), join(cwd, 'native', name));
    await run(process.execPath, [SCRIPT], { cwd, env: { ETHERLOOM_SANITIZE: '1' } });
    await withNetns(async (netns) => {
      const child = fileURLToPath(new URL('sanitize-child.mjs', import.meta.url));
      // Node itself leaks at exit, by design.
      const env = { LD_PRELOAD: libasan, ASAN_OPTIONS: 'detect_leaks=0', NODE_OPTIONS: '' };
      expect(
        await run(process.execPath, [child, join(cwd, 'native'), netns.path], { env, timeout: 60_000 }),
      ).toBe('done\n');
    });
  });
}, 120_000);
