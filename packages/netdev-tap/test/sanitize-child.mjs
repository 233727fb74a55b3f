/**
 * Calls every function of the bindings, with good input and bad, for build.test.ts: `node sanitize-child.mjs FOLDER
 * NETNS`. Prints "done" at the end; a sanitizer's finding ends the process before.
 */

import assert from 'node:assert/strict';
import { closeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { isMainThread, Worker } from 'node:worker_threads';

const [folder, netns] = process.argv.slice(2);
const require = createRequire(import.meta.url);
const native = { ...require(`${folder}/tap.asan.node`), ...require(`${folder}/burst.asan.node`) };
const name = isMainThread ? 'main' : 'thread';

const fd = native.openTap(name, netns, false);
assert.deepEqual(native.tapInfo(fd), { name, persistent: false });
native.setPersistent(fd, true);
assert.equal(native.tapInfo(fd).persistent, true);
native.setPersistent(fd, false);
native.setOffload(fd, 0x0f);
native.setOffload(fd, 0);
assert.throws(() => native.setOffload(fd, 0x4000_0000), { errno: 22, syscall: 'TUNSETOFFLOAD' });
assert.throws(() => native.setOffload(-1, 0), { errno: 9 });
assert.throws(() => native.setOffload(fd), TypeError);

// RTM_GETLINK by name, then the same with no room for the reply.
const request = new Uint8Array(44);
const view = new DataView(request.buffer);
view.setUint32(0, 44, true);
view.setUint16(4, 18, true);
view.setUint16(6, 1, true);
view.setUint16(32, 12, true);
view.setUint16(34, 3, true);
request.set(Buffer.from(`${name}\0`), 36);
const reply = new Uint8Array(32_768);
assert.ok(native.rtnetlink(fd, request, reply) > 500);
assert.throws(() => native.rtnetlink(fd, request, new Uint8Array(100)), { errno: 90 });
assert.throws(() => native.rtnetlink(fd, request, new Uint8Array(0)), { errno: 90 });
// RTM_SETLINK: up.
view.setUint16(4, 19, true);
view.setUint16(6, 5, true);
view.setUint32(24, 1, true);
view.setUint32(28, 1, true);
assert.ok(native.rtnetlink(fd, request, reply) > 0);
assert.equal(new DataView(reply.buffer).getInt32(16, true), 0);

const { buffer } = new WebAssembly.Memory({ initial: 4, maximum: 4, shared: true });
const arena = new Uint8Array(buffer);
const frames = Int32Array.of(256, 2304, 4352);
const lengths = Int32Array.of(60, 13, 2048);
const errors = new Int32Array(3);
const larges = Int32Array.of(65_536 + 256);
assert.equal(native.txBurst(fd, arena, frames, lengths, 0, 3, errors, -1), 2);
assert.deepEqual([...errors], [0, 22, 0]);
assert.equal(native.txBurst(fd, arena, frames, lengths, 2, 1, errors, -1), 1);

// As many as take three submissions, bad ones among them: by the ring, and without where there is none (yet, any more, or on this machine).
const many = { frames: new Int32Array(80), lengths: new Int32Array(80), errors: new Int32Array(80) };
const expected = many.frames.map((_, i) => (i % 7 === 3 ? 22 : i % 11 === 5 ? 14 : 0));
expected.forEach((error, i) => {
  many.frames[i] = error === 14 ? arena.length - 59 : 256 + 64 * i;
  many.lengths[i] = error === 22 ? 13 : 60;
});
const good = expected.filter((error) => error === 0).length;
const sendMany = (count, slot, to = fd) => {
  many.errors.fill(77);
  return native.txBurst(to, arena, many.frames, many.lengths, 0, count, many.errors, slot);
};
assert.equal(sendMany(80, 5), good);
let slot = native.joinRing(fd);
const refused = slot < 0;
if (!refused) native.leaveRing(slot);
for (let cycle = 0; cycle < 3; cycle++) {
  slot = native.joinRing(fd);
  const other = native.joinRing(fd);
  if (!refused) assert.deepEqual([slot, other], [0, 1]);
  assert.equal(sendMany(80, other), good);
  assert.deepEqual(many.errors, expected);
  native.leaveRing(other);
  native.leaveRing(other);
  assert.equal(sendMany(80, slot), good);
  assert.equal(sendMany(2, slot), 2);
  native.leaveRing(slot);
  assert.equal(sendMany(80, slot), good);
  assert.deepEqual(many.errors, expected);
}
for (const wild of [-2147483648, -1, 1024, 2147483647]) native.leaveRing(wild);
native.leaveRing();
assert.equal(native.joinRing(-1), -22);
assert.equal(native.joinRing(), -22);
if (!refused) {
  assert.equal(native.joinRing(1_000_000), -9);
  const slots = Array.from({ length: 1024 }, () => native.joinRing(fd));
  assert.deepEqual(slots, [...slots.keys()]);
  assert.equal(native.joinRing(fd), -23);
  for (const each of slots.slice(1)) native.leaveRing(each);
  // Slots of nobody, and of none.
  assert.equal(sendMany(80, 7), 0);
  assert.equal(sendMany(80, 2147483647), 0);
  // This thread ends with its ring open.
}
// What cannot be written to, all at once.
assert.equal(sendMany(80, -1, -1), 0);
assert.ok(many.errors.every((error) => error === 9 || error === 14));
// The kernel's own IPv6 may have sent something meanwhile.
assert.ok(native.rxBurst(fd, arena, frames, lengths, 3, 1792, larges, 1) >= 0);
assert.ok(native.rxDiscard(fd, 3) >= 0);

// Every frame, length and slot outside of its memory is refused, whatever the numbers.
const wild = [-2147483648, -1, 0, 1, arena.length - 1, arena.length, 2147483647];
for (const at of wild) {
  for (const length of wild) {
    if (at + length > arena.length || at < 10 || length < 0) {
      assert.equal(native.txBurst(fd, arena, Int32Array.of(at), Int32Array.of(length), 0, 1, errors, -1), 0);
      assert.equal(errors[0], 14);
    }
    const outside = native.rxBurst(fd, arena, Int32Array.of(at), new Int32Array(1), 1, length, larges, 0);
    assert.ok(outside <= 1);
    const apart = native.rxBurst(fd, arena, frames, lengths, at, 1792, Int32Array.of(length), 1);
    assert.ok(apart <= 3);
    assert.ok(native.rxBurst(fd, arena, frames, lengths, 3, 1792, larges, at) <= 3);
    if (at !== 0 && at + length > 3)
      assert.equal(native.txBurst(fd, arena, frames, lengths, at, length, errors, -1), -22);
  }
}
assert.equal(native.txBurst(fd, arena, frames, new Float64Array(3), 0, 1, errors, -1), -22);
assert.equal(native.rxBurst(fd, arena), -22);
assert.equal(native.rxDiscard('no'), -22);
assert.equal(native.rxBurst(-1, arena, frames, lengths, 3, 1792, larges, 0), -9);

assert.throws(() => native.openTap('sixteen-bytes-xx', netns, false), { errno: 36 });
assert.throws(() => native.openTap('tap0', `/${'x'.repeat(5000)}`, false), { errno: 36 });
assert.throws(() => native.openTap('tap0', '/proc/self/status', false), { errno: 22, syscall: 'setns' });
assert.throws(() => native.openTap('tap0', '/nowhere', false), { errno: 2, syscall: 'open netns' });
assert.throws(() => native.openTap('lo', netns, true), { errno: 22, syscall: 'TUNSETIFF' });
assert.throws(() => native.openTap('tap0'), TypeError);
assert.throws(() => native.openTap(1, 2, 3), TypeError);
assert.throws(() => native.tapInfo(-1), { errno: 9, syscall: 'TUNGETIFF' });
assert.throws(() => native.tapInfo({}), TypeError);
assert.throws(() => native.setPersistent(-1, true), { errno: 9 });
assert.throws(() => native.rtnetlink(-1, request, reply), { errno: 9 });
assert.throws(() => native.rtnetlink(fd, arena.buffer, reply), TypeError);
closeSync(fd);

if (isMainThread) {
  const worker = new Worker(fileURLToPath(import.meta.url), { argv: [folder, netns] });
  const code = await new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject));
  assert.equal(code, 0);
  console.log('done');
}
