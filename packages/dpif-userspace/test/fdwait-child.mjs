/**
 * Calls every function of native/fdwait.c with good arguments and bad, lets a watcher be collected, and ends a worker
 * amid reports, for native-sanitizer.test.ts: `node --expose-gc fdwait-child.mjs BINDING FIFO`. Prints "done" at the
 * end; a sanitizer's finding ends the process before.
 */

import assert from 'node:assert/strict';
import { constants, openSync, readdirSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker } from 'node:worker_threads';

const [path, fifo] = process.argv.slice(2);
const native = createRequire(import.meta.url)(path);
const fd = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK);
const turn = () => new Promise((resolve) => setImmediate(resolve));

let reports = 0;
const watcher = native.create((token) => {
  assert.equal(token, 2147483647);
  reports++;
  native.arm(watcher, fd, token);
});
native.add(watcher, fd, 2147483647);
writeSync(fd, 'x');
while (reports < 100) await turn();

assert.throws(() => native.add(watcher, fd, 1), { errno: 17 });
assert.throws(() => native.add(watcher, -1, 1), { errno: 9 });
for (const bad of [[], [1], [{}], [watcher], [watcher, 'x', 1]]) {
  assert.throws(() => native.add(...bad), TypeError);
}
assert.throws(() => native.create(), TypeError);
assert.throws(() => native.create(1), TypeError);
native.remove(watcher, fd);
native.remove(watcher, fd);
native.arm(watcher, fd, 1);
native.unref(watcher);
native.ref(watcher);
native.close(watcher);
for (const name of ['add', 'arm', 'remove', 'ref', 'unref', 'close']) {
  assert.throws(() => native[name](watcher, fd, 1), { errno: 9 });
}

// Forgotten watchers, one of them with a descriptor: collected, and their threads gone.
const threads = () => readdirSync('/proc/self/task').length;
const before = threads();
native.unref(native.create(() => undefined));
(() => {
  const forgotten = native.create(() => undefined);
  native.unref(forgotten);
  native.add(forgotten, fd, 1);
})();
for (let i = 0; i < 100 && threads() > before; i++) {
  globalThis.gc();
  await turn();
}
assert.equal(threads(), before);

if (isMainThread) {
  const worker = new Worker(fileURLToPath(import.meta.url), { argv: [path, fifo] });
  await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
  await worker.terminate();
  console.log('done');
} else {
  const busy = native.create((token) => native.arm(busy, fd, token));
  native.add(busy, fd, 1);
  parentPort.postMessage('reports are under way');
}
