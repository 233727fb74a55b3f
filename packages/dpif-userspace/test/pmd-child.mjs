/**
 * Calls every function of native/pmd.c with good arguments and bad, on this thread and another one, for
 * native-sanitizer.test.ts: `node pmd-child.mjs BINDING FIFO`. Prints "done" at the end; a sanitizer's finding ends the
 * process before.
 */

import assert from 'node:assert/strict';
import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { isMainThread, Worker } from 'node:worker_threads';

const [path, fifo] = process.argv.slice(2);
const native = createRequire(import.meta.url)(path);

const doorbell = native.doorbell();
const fds = new Int32Array(200).fill(-1);
fds[0] = doorbell;
assert.equal(native.sleep(fds, 1, 0), 0);
native.ring(doorbell);
native.ring(doorbell);
assert.equal(native.sleep(fds, 1, 60_000), 1);
assert.equal(native.sleep(fds, 1, 1), 0, 'the sleep reset the doorbell');

// Another descriptor that is readable, among few and among more than fit on the stack.
const fd = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK);
for (const place of [1, 63, 64, 199]) {
  fds.fill(-1, 1);
  fds[place] = fd;
  assert.equal(native.sleep(fds, 200, 0), 0);
  writeSync(fd, 'x');
  assert.equal(native.sleep(fds, 200, 60_000), 1);
  native.ring(doorbell);
  assert.equal(native.sleep(fds, 200, 60_000), 2);
  assert.equal(readSync(fd, new Uint8Array(1)), 1);
}

// A descriptor with nothing but an error ends a sleep once, and is left out of the next.
fds.fill(-1, 1);
fds[1] = 9999;
assert.equal(native.sleep(fds, 2, 60_000), 0);
assert.equal(fds[1], ~9999);
assert.equal(native.sleep(fds, 2, 1), 0);
// A bell that rang for ever stays one.
for (let i = 0; i < 1000; i++) native.ring(doorbell);

for (const bad of [
  [],
  [fds],
  [fds, 0, 0],
  [fds, 201, 0],
  [fds, 1, -1],
  [fds, 'x', 1],
  [[doorbell], 1, 1],
  [new Float64Array(1), 1, 1],
]) {
  assert.throws(() => native.sleep(...bad), TypeError);
}
for (const bad of [[], ['x'], [{}]]) assert.throws(() => native.ring(...bad), TypeError);
assert.throws(() => native.ring(9999), { errno: 9 });
for (const bad of [[], ['x'], [-1], [1 << 20]]) assert.throws(() => native.pin(...bad), TypeError);
assert.throws(() => native.pin(1023), { errno: 22 });
for (const bad of [[], [1]]) assert.throws(() => native.name(...bad), TypeError);
native.name('');
native.name('a name that is much longer than fifteen bytes');
for (const bad of [[], [1], [fds], [new Float64Array(0)]])
  assert.throws(() => native.clock(...bad), TypeError);
const clock = new Float64Array(1);
native.clock(clock);
const [seconds, nanoseconds] = process.hrtime();
assert.ok(Math.abs(clock[0] - (seconds * 1e3 + nanoseconds / 1e6)) < 1000);
closeSync(fd);
native.close(doorbell);
assert.throws(() => native.close(doorbell), { errno: 9 });
for (const bad of [[], ['x']]) assert.throws(() => native.close(...bad), TypeError);

if (isMainThread) {
  // The same on another thread, which may be pinned.
  const worker = new Worker(fileURLToPath(import.meta.url), { argv: [path, fifo] });
  const code = await new Promise((resolve, reject) => {
    worker.once('error', reject);
    worker.once('exit', resolve);
  });
  assert.equal(code, 0);
  console.log('done');
} else native.pin(0);
