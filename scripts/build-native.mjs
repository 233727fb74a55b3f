/**
 * Builds the native bindings of one package: every `native/*.c` of the current directory becomes `native/*.node`.
 *
 * Run with the package as working directory (its script `native` does). Only what is older than its source is compiled.
 * It takes a C compiler and the package's dev dependency `node-api-headers`: no node-gyp, no download, 0.3 s a file.
 * Node-API is ABI-stable, so a binary serves every later Node. Headers that drivers share are those of the package
 * netdev-linux, where it can be found from the current directory.
 *
 * `ETHERLOOM_SANITIZE=1` builds `native/NAME.asan.node` instead, with AddressSanitizer and UndefinedBehaviorSanitizer:
 * for tests, which load it into a Node started with LD_PRELOAD set to the compiler's libasan.
 */

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = resolve('native');
const sanitize = process.env.ETHERLOOM_SANITIZE === '1';
const flags = '-std=c11 -O2 -g -Wall -Wextra -Werror -fvisibility=hidden -shared -fPIC -pthread'.split(' ');
if (sanitize) flags.push('-fsanitize=address,undefined', '-fno-sanitize-recover=undefined');

function fail(sentence) {
  console.error(`build-native: ${sentence}`);
  process.exit(1);
}

function nodeHeaders() {
  try {
    return createRequire(resolve('package.json'))('node-api-headers').include_dir;
  } catch {
    return fail(`node-api-headers is not installed in ${resolve('.')}: run pnpm install`);
  }
}

/** Folder of the headers that drivers share; undefined where the package has no use for it. */
function sharedHeaders() {
  try {
    const manifest = createRequire(resolve('package.json')).resolve('@etherloom/netdev-linux/package.json');
    return join(dirname(manifest), 'native');
  } catch {
    return undefined;
  }
}

const headersOf = (path) =>
  readdirSync(path)
    .filter((name) => name.endsWith('.h'))
    .map((name) => join(path, name));

function build(name, shared, includes) {
  const source = join(folder, name);
  const target = join(folder, name.replace(/\.c$/, sanitize ? '.asan.node' : '.node'));
  const inputs = [source, ...shared, fileURLToPath(import.meta.url)];
  const newest = Math.max(...inputs.map((path) => statSync(path).mtimeMs));
  if (existsSync(target) && statSync(target).mtimeMs >= newest) return;
  // Renamed into place: a process that has the old one mapped keeps it, and none ever loads half a file.
  const fresh = `${target}.${process.pid}`;
  const { error, status, stderr } = spawnSync(
    'cc',
    [...flags, ...includes.flatMap((path) => ['-I', path]), source, '-o', fresh],
    { encoding: 'utf8' },
  );
  const shown = relative('.', source);
  if (error?.code === 'ENOENT') {
    fail(
      `cannot build ${shown}: there is no C compiler "cc"; install gcc or clang (Debian: apt-get install gcc libc6-dev)`,
    );
  }
  if (error !== undefined) fail(`cannot build ${shown}: running cc failed: ${error.message}`);
  if (status !== 0) {
    rmSync(fresh, { force: true });
    fail(`cannot build ${shown}: cc said\n${stderr.trimEnd()}`);
  }
  renameSync(fresh, target);
  console.log(`built ${relative('.', target)}`);
}

const names = existsSync(folder) ? readdirSync(folder).sort() : [];
const sources = names.filter((name) => name.endsWith('.c'));
if (sources.length === 0)
  fail(`there is no native/*.c in ${resolve('.')}: run it in a package with a native binding`);
const common = sharedHeaders();
const includes = [nodeHeaders(), ...(common === undefined ? [] : [common])];
const headers = [folder, ...(common === undefined ? [] : [common])].flatMap(headersOf);
for (const name of sources) build(name, headers, includes);
