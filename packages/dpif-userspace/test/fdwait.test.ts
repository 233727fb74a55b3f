/** Readiness of descriptors on the event loop, with pipes. Processes and threads of their own use `native` and `dist`. */

import { execFileSync } from 'node:child_process';
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { openFds, run } from '@etherloom/testkit';
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest';
import { FdWatcher } from '../src/fdwait.js';
import { pmdBinding } from '../src/pmd/binding.js';

const folder = mkdtempSync(join(tmpdir(), 'etl-fdwait-'));
let pipes: number[] = [];
let watcher: FdWatcher;

/** A pipe in one descriptor: written to by the test, readable then. */
function pipe(mode = constants.O_RDWR): number {
  const path = join(folder, 'fifo');
  execFileSync('mkfifo', [path]);
  const fd = openSync(path, mode | constants.O_NONBLOCK);
  if (mode === constants.O_RDWR) rmSync(path);
  pipes.push(fd);
  return fd;
}

beforeEach(() => {
  watcher = new FdWatcher();
});

afterEach(() => {
  watcher.close();
  for (const fd of pipes) closeSync(fd);
  pipes = [];
  rmSync(join(folder, 'fifo'), { force: true });
});

afterAll(() => rmSync(folder, { recursive: true }));

test('reports once, and again when armed', async () => {
  const fd = pipe();
  let reports = 0;
  const handle = watcher.watch(fd, () => reports++);
  await sleep(20);
  expect(reports).toBe(0);
  writeSync(fd, 'x');
  await expect.poll(() => reports).toBe(1);
  writeSync(fd, 'x');
  await sleep(20);
  expect(reports).toBe(1);
  // Still readable, so at once.
  handle.arm();
  await expect.poll(() => reports).toBe(2);
  readSync(fd, new Uint8Array(2));
  handle.arm();
  handle.arm();
  await sleep(20);
  expect(reports).toBe(2);
  writeSync(fd, 'x');
  await expect.poll(() => reports).toBe(3);
});

test('every one of many descriptors is reported, in any number at a time', async () => {
  const fds = Array.from({ length: 200 }, () => pipe());
  const reports = new Map<number, number>();
  const handles = fds.map((fd) => watcher.watch(fd, () => reports.set(fd, (reports.get(fd) ?? 0) + 1)));
  for (let round = 1; round <= 5; round++) {
    for (const fd of fds) writeSync(fd, 'x');
    await expect.poll(() => fds.filter((fd) => reports.get(fd) === round).length).toBe(200);
    for (const fd of fds) readSync(fd, new Uint8Array(1));
    for (const handle of handles) handle.arm();
  }
});

test('a closed handle is silent, even when its report was on the way', async () => {
  const [one, two] = [pipe(), pipe()];
  const reports: string[] = [];
  const first = watcher.watch(one, () => {
    reports.push('one');
    second.close();
  });
  const second = watcher.watch(two, () => {
    reports.push('two');
    first.close();
  });
  writeSync(one, 'x');
  writeSync(two, 'x');
  // Both reports are queued while the loop does not turn; whichever comes first closes the other.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
  await sleep(50);
  expect(reports).toHaveLength(1);
  first.close();
  first.arm();
  second.arm();
  await sleep(20);
  expect(reports).toHaveLength(1);
  // The descriptor is free for another watch.
  watcher.watch(one, () => reports.push('again'));
  await expect.poll(() => reports).toHaveLength(2);
});

test('closing the watcher from a callback is fine', async () => {
  const fd = pipe();
  let reports = 0;
  watcher.watch(fd, () => {
    reports++;
    watcher.close();
    watcher.close();
  });
  writeSync(fd, 'x');
  await expect.poll(() => reports).toBe(1);
  expect(() => watcher.watch(fd, () => undefined)).toThrow(expect.objectContaining({ code: 'EBADF' }));
});

test('what cannot be watched is refused', () => {
  const fd = pipe();
  watcher.watch(fd, () => undefined);
  expect(() => watcher.watch(fd, () => undefined)).toThrow(expect.objectContaining({ code: 'EEXIST' }));
  expect(() => watcher.watch(-1, () => undefined)).toThrow(expect.objectContaining({ code: 'EBADF' }));
  expect(() => watcher.watch(99_999, () => undefined)).toThrow(expect.objectContaining({ code: 'EBADF' }));
  const file = openSync(fileURLToPath(import.meta.url), 'r');
  expect(() => watcher.watch(file, () => undefined)).toThrow(expect.objectContaining({ code: 'EPERM' }));
  closeSync(file);
});

test('a descriptor with a lasting error is reported, but does not spin', async () => {
  const reader = pipe(constants.O_RDONLY);
  const writer = openSync(join(folder, 'fifo'), constants.O_WRONLY);
  let reports = 0;
  const handle = watcher.watch(reader, () => {
    reports++;
    handle.arm();
  });
  closeSync(writer);
  await expect.poll(() => reports).toBeGreaterThan(1);
  const before = reports;
  await sleep(350);
  expect(reports - before).toBeGreaterThan(0);
  expect(reports - before).toBeLessThan(6);
});

test('10,000 watchers and doorbells that come and go leave no thread and no descriptor', () => {
  const threads = (): number => readdirSync('/proc/self/task').length;
  const before = [openFds(), threads()];
  const pmd = pmdBinding();
  for (let i = 0; i < 10_000; i++) {
    new FdWatcher().close();
    pmd.close(pmd.doorbell());
  }
  expect([openFds(), threads()]).toEqual(before);
});

const NATIVE = fileURLToPath(new URL('../native/fdwait.node', import.meta.url));
const DIST = new URL('../dist/fdwait.js', import.meta.url).href;

test('a worker that is terminated takes its watcher with it', async () => {
  const threads = (): number => readdirSync('/proc/self/task').length;
  const fd = pipe();
  const before = [openFds(), threads()];
  for (let i = 0; i < 5; i++) {
    const code = `
      const native = require(${JSON.stringify(NATIVE)});
      const watcher = native.create(() => native.arm(watcher, ${fd}, 7));
      native.add(watcher, ${fd}, 7);
      require('node:worker_threads').parentPort.postMessage('watching');`;
    const worker = new Worker(code, { eval: true, execArgv: [] });
    await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
    // Reports are under way all the time when it ends.
    writeSync(fd, 'x');
    await worker.terminate();
    readSync(fd, new Uint8Array(1));
  }
  await expect.poll(() => [openFds(), threads()]).toEqual(before);
});

/** Runs `code` in a Node of its own with FdWatcher in scope and a pipe `fd`; resolves to what it printed. */
function child(code: string): Promise<string> {
  const script = `
    import { constants, openSync, writeSync } from 'node:fs';
    import { FdWatcher } from ${JSON.stringify(DIST)};
    const fd = openSync(process.argv[1], constants.O_RDWR | constants.O_NONBLOCK);
    ${code}`;
  execFileSync('mkfifo', [join(folder, 'fifo')]);
  return run(process.execPath, ['--input-type=module', '-e', script, join(folder, 'fifo')], {
    env: { NODE_OPTIONS: '' },
    timeout: 10_000,
  });
}

test('the process lives while something is watched, and ends after', async () => {
  const output = await child(`
    const watcher = new FdWatcher();
    const handle = watcher.watch(fd, () => { console.log('readable'); handle.close(); });
    setTimeout(() => writeSync(fd, 'x'), 200).unref();
    process.on('exit', () => console.log('exit'));`);
  expect(output).toBe('readable\nexit\n');
});

test('a watcher with ref: false keeps nothing alive', async () => {
  const output = await child(`
    new FdWatcher({ ref: false }).watch(fd, () => console.log('never'));
    process.on('exit', () => console.log('exit'));`);
  expect(output).toBe('exit\n');
});

test('an exception of a callback is an ordinary uncaught exception', async () => {
  const output = child(`
    new FdWatcher().watch(fd, () => { throw new Error('from the callback'); });
    writeSync(fd, 'x');`);
  await expect(output).rejects.toThrow(/exited with 1: [\s\S]*Error: from the callback/);
});
