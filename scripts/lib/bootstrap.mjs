/**
 * Makes a checkout ready to run: the pinned pnpm, dependencies, native bindings, build. Plain Node, no dependency.
 * What is done already is not done again: a second call costs a few milliseconds.
 */

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));
const state = join(root, '.bootstrap');
const MIN_NODE = [20, 19];

/** An error whose message is all that the user needs to see. */
export class UserError extends Error {}

const say = (text) => process.stderr.write(`${text}\n`);

/** Environment for the tools: no telemetry, no questions. */
const toolEnv = {
  ...process.env,
  TURBO_TELEMETRY_DISABLED: '1',
  DO_NOT_TRACK: '1',
  COREPACK_ENABLE_DOWNLOAD_PROMPT: '0',
};

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > MIN_NODE[0] || (major === MIN_NODE[0] && minor >= MIN_NODE[1])) return;
  throw new UserError(
    `Node ${process.versions.node} is too old: Etherloom needs ${MIN_NODE.join('.')} or newer.`,
  );
}

/** Runs one step, its output shown only when it fails. */
function step(what, command, args) {
  const started = Date.now();
  say(`  ${what} ...`);
  const result = spawnSync(command, args, { cwd: root, env: toolEnv, encoding: 'utf8', maxBuffer: 1 << 28 });
  if (result.error !== undefined)
    throw new UserError(`${what}: cannot run ${command}: ${result.error.message}`);
  if (result.status !== 0) {
    say(result.stdout + result.stderr);
    throw new UserError(
      `${what} failed: ${command} ${args.join(' ')} exited with ${result.status ?? result.signal}.`,
    );
  }
  say(`  ${what}: done in ${((Date.now() - started) / 1000).toFixed(1)} s`);
}

const answers = (command, args, version) => {
  const result = spawnSync(command, args, { cwd: root, env: toolEnv, encoding: 'utf8', timeout: 30_000 });
  return result.status === 0 && result.stdout.trim() === version;
};

/** The command line of the pinned pnpm: what is on the PATH, else corepack, else npx. Remembered. */
export function findPnpm() {
  const { packageManager } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const version = packageManager.slice(packageManager.indexOf('@') + 1);
  const memory = join(state, 'pnpm.json');
  if (existsSync(memory)) {
    const known = JSON.parse(readFileSync(memory, 'utf8'));
    if (known.version === version) return known.command;
  }
  const candidates = [['pnpm'], ['corepack', 'pnpm'], ['npx', '-y', `pnpm@${version}`]];
  for (const command of candidates) {
    if (!answers(command[0], [...command.slice(1), '--version'], version)) continue;
    mkdirSync(state, { recursive: true });
    writeFileSync(memory, JSON.stringify({ version, command }));
    return command;
  }
  throw new UserError(
    `pnpm ${version} is to be had neither by corepack nor by npx: check that npm reaches its registry.`,
  );
}

export function pnpm(what, args) {
  const [command, ...first] = findPnpm();
  step(what, command, [...first, ...args]);
}

const workspaces = () =>
  ['packages', 'apps', 'tools']
    .flatMap((dir) => readdirSync(join(root, dir)).map((name) => join(root, dir, name)))
    .concat(join(root, 'bench'))
    .filter((dir) => existsSync(join(dir, 'package.json')));

/** Newest modification below a folder, of files that a build reads. */
function newest(dir) {
  let latest = 0;
  for (const entry of readdirSync(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name);
    if (entry.isDirectory()) latest = Math.max(latest, newest(path));
    else if (/\.(ts|c|h|json)$/.test(entry.name)) latest = Math.max(latest, statSync(path).mtimeMs);
  }
  return latest;
}

const stampTime = (name) => (existsSync(join(state, name)) ? statSync(join(state, name)).mtimeMs : 0);

/** Identifies the dependencies that were installed. */
function dependencyHash(dirs) {
  const hash = createHash('sha256');
  for (const file of [join(root, 'pnpm-lock.yaml'), ...dirs.map((dir) => join(dir, 'package.json'))]) {
    hash.update(readFileSync(file));
  }
  return hash.digest('hex');
}

/** Brings the checkout up to date. Throws a `UserError` that says what failed. */
export function bootstrap() {
  checkNode();
  const dirs = workspaces();
  const wanted = dependencyHash([root, ...dirs]);
  const installed = join(state, 'installed');
  if (
    !existsSync(join(root, 'node_modules')) ||
    !existsSync(installed) ||
    readFileSync(installed, 'utf8') !== wanted
  ) {
    pnpm('dependencies', ['install', '--frozen-lockfile']);
    mkdirSync(state, { recursive: true });
    writeFileSync(installed, wanted);
  }
  const sources = dirs.flatMap((dir) => ['src', 'native'].map((name) => join(dir, name))).filter(existsSync);
  const changed = Math.max(...sources.map(newest), statSync(installed).mtimeMs);
  if (stampTime('built') > changed) return;
  const started = Date.now();
  pnpm('native bindings', ['exec', 'turbo', 'run', 'native', '--output-logs=errors-only']);
  step('build', process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-b']);
  writeFileSync(join(state, 'built'), new Date(started).toISOString());
}

/** Runs `main`, printing a `UserError` as one sentence. */
export async function runMain(main) {
  try {
    await main();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    say(`etherloom: ${error.message}`);
    process.exitCode = 1;
  }
}
