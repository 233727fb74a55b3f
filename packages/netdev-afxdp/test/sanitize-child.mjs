/**
 * Calls every function of the bindings, with good input and bad, for native.test.ts: `node sanitize-child.mjs FOLDER NETNS
 * PAIR`. `vPAIR` and `pPAIR` are a veth pair. Prints "done" at the end; a sanitizer's finding ends the process before.
 */

import assert from 'node:assert/strict';
import { closeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { isMainThread, Worker } from 'node:worker_threads';

const [folder, netns, pair] = process.argv.slice(2);
const require = createRequire(import.meta.url);
const native = require(`${folder}/control.asan.node`);
const xsks = require(`${folder}/xsk.asan.node`);
const packets = require(`${folder}/packet.asan.node`);

// --- control.c

const control = native.openControl(netns);
const own = native.openControl(undefined);
const reply = new Uint8Array(32_768);

/** RTM_GETLINK by name; the reply's view. */
function getLink(name) {
  const request = new Uint8Array(64);
  const view = new DataView(request.buffer);
  const length = 36 + name.length + 1;
  view.setUint32(0, length, true);
  view.setUint16(4, 18, true);
  view.setUint16(6, 1, true);
  view.setUint16(32, 5 + name.length, true);
  view.setUint16(34, 3, true);
  request.set(Buffer.from(name), 36);
  return request.subarray(0, length);
}
const indexOf = (name) => {
  assert.ok(native.rtnetlink(control, getLink(name), reply) > 500);
  return new DataView(reply.buffer).getInt32(20, true);
};
const ifindex = indexOf(`v${pair}`);
const peer = indexOf(`p${pair}`);
assert.throws(() => native.rtnetlink(control, getLink('lo'), new Uint8Array(100)), { errno: 90 });
assert.throws(() => native.rtnetlink(control, getLink('lo'), new Uint8Array(0)), { errno: 90 });
assert.equal(indexOf('lo'), 1);
assert.throws(() => native.rtnetlink(-1, getLink('lo'), reply), { errno: 9 });
assert.throws(() => native.rtnetlink(control, 'x', reply), TypeError);
assert.throws(() => native.openControl('/nowhere'), { errno: 2, syscall: 'open netns' });
assert.throws(() => native.openControl('/proc/self/status'), { errno: 22, syscall: 'setns' });
assert.throws(() => native.openControl(`/${'x'.repeat(5000)}`), { errno: 36 });
assert.throws(() => native.openControl(7), TypeError);

const channels = new Uint8Array(36);
new DataView(channels.buffer).setUint32(0, 0x3c, true);
native.ethtool(control, `v${pair}`, channels);
// The kernel writes 36 bytes, our array has 4.
native.ethtool(control, `v${pair}`, channels.slice(0, 4));
assert.throws(() => native.ethtool(control, `v${pair}`, new Uint8Array(3)), TypeError);
assert.throws(() => native.ethtool(control, `v${pair}`, new Uint8Array(5000)), TypeError);
assert.throws(() => native.ethtool(control, 'x'.repeat(16), channels), { errno: 36 });
assert.throws(() => native.ethtool(control, 'none', channels), { errno: 19 });

closeSync(native.joinAll(control, ifindex));
assert.throws(() => native.joinAll(control, 99_999), { errno: 19, syscall: 'PACKET_ADD_MEMBERSHIP' });
assert.throws(() => native.joinAll(-1, 1), { errno: 9 });
assert.throws(() => native.joinAll(), TypeError);

const { map, link } = native.attachXdp(control, ifindex, 4, 2);
assert.throws(() => native.attachXdp(control, ifindex, 4, 2), { errno: 16, syscall: 'BPF_LINK_CREATE' });
assert.throws(() => native.attachXdp(control, 99_999, 4, 2), { syscall: 'BPF_LINK_CREATE' });
assert.throws(() => native.attachXdp(control, ifindex, 4, 0), { errno: 22, syscall: 'BPF_MAP_CREATE' });
assert.throws(() => native.attachXdp(own, 'x', 4, 2), TypeError);

// --- xsk.c

const { buffer } = new WebAssembly.Memory({ initial: 16, maximum: 16, shared: true });
const arena = new Uint8Array(buffer);
const entries = Uint32Array.of(64, 64, 64, 64);
const layout = new Int32Array(16);
const open = (of, queue = 0, flags = 0x1a, memory = arena, chunk = 2048, sizes = entries, metadata = 16) =>
  xsks.openXsk(control, of, queue, flags, memory, chunk, metadata, sizes, layout);

assert.throws(() => open(ifindex, 7), { errno: 22, syscall: 'bind' });
assert.throws(() => open(ifindex, 0, 0x1c), { errno: 95, syscall: 'bind' });
assert.throws(() => open(99_999), { errno: 19, syscall: 'bind' });
assert.throws(() => open(ifindex, 0, 0x1a, arena, 1000), { errno: 22, syscall: 'XDP_UMEM_REG' });
assert.throws(() => open(ifindex, 0, 0x1a, arena.subarray(1)), { errno: 22, syscall: 'XDP_UMEM_REG' });
assert.throws(() => open(ifindex, 0, 0x1a, arena, 2048, Uint32Array.of(64, 64, 63, 64)), {
  errno: 22,
  syscall: 'XDP_UMEM_FILL_RING',
});
assert.throws(() => open(ifindex, 0, 0x1a, arena, 2048, Uint32Array.of(64)), TypeError);
assert.throws(() => xsks.openXsk(), TypeError);

const left = open(ifindex);
const [rx, tx, fill, done] = [0, 4, 8, 12].map((at) => layout.slice(at, at + 4));
assert.throws(() => open(ifindex), { errno: 16, syscall: 'bind' });
// The second one shares the first one's memory.
const right = open(peer, 0, 0x1a);
assert.equal(xsks.receiveFrom(map, 0, left.fd), 0);
assert.equal(xsks.receiveFrom(map, 2, left.fd), -7);
assert.equal(xsks.receiveFrom(-1, 0, left.fd), -9);
assert.equal(xsks.receiveFrom(), -22);
const rings = new Int32Array(left.rings);
const theirs = new Int32Array(right.rings);
rings[fill[3]] = 4096;
rings[fill[0]] = 1;
const data = 8192 + 256;
arena.set([255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 0x88, 0xb5], data);
theirs[tx[3]] = data;
theirs[tx[3] + 2] = 60;
theirs[tx[0]] = 1;
assert.equal(xsks.kick(right.fd, 1), 0);
assert.equal(theirs[done[0]], 1);
assert.equal(theirs[done[3]], data);
for (let i = 0; i < 1e6 && Atomics.load(rings, rx[0]) === 0; i++);
const at = rings[rx[3]];
assert.equal(at, 4096 + 256);
assert.deepEqual(arena.slice(at, at + 14), arena.slice(data, data + 14));
const counts = new Float64Array(6);
assert.equal(xsks.statistics(left.fd, counts), 0);
assert.equal(xsks.statistics(left.fd, new Float64Array(5)), -22);
assert.equal(xsks.statistics(0, counts) < 0, true);
assert.equal(xsks.wake(left.fd), 0);
assert.equal(xsks.wake('x'), -22);
assert.equal(xsks.wake(-1), -9);
assert.equal(xsks.kick(-1, 1000), -9);
assert.equal(xsks.kick(), -22);
xsks.closeXsk(left.handle);
xsks.closeXsk(left.handle);
// Memory without meaning, but memory.
assert.equal(rings[rx[3]], 0);
rings.fill(7);
assert.throws(() => xsks.closeXsk({}), TypeError);
// `right` stays open: the end of the thread has to close it.

// --- packet.c

const socket = packets.openPacket(control, ifindex);
const far = packets.openPacket(control, peer);
assert.throws(() => packets.openPacket(control, 99_999), { errno: 19, syscall: 'bind' });
assert.throws(() => packets.openPacket(-1, 1), { errno: 9 });
const frames = Int32Array.of(4096, 8192, 12_288);
const lengths = Int32Array.of(60, 13, 1500);
const errors = new Int32Array(3);
assert.equal(packets.txBurst(socket, arena, frames, lengths, 0, 3, errors), 2);
assert.deepEqual([...errors], [0, 22, 0]);
assert.equal(packets.txBurst(socket, arena, frames, lengths, 2, 1, errors), 1);
// A header that makes no sense: the kernel refuses it.
arena[4096 - 10] = 1;
arena.fill(255, 4096 - 4, 4096);
assert.equal(packets.txBurst(socket, arena, frames, lengths, 0, 1, errors), 0);
const larges = Int32Array.of(arena.length - 140_000, arena.length - 70_000);
for (let i = 0; i < 20; i++) {
  const [mine, lent] = [Int32Array.of(4096, 8192, 12_288), larges.slice()];
  assert.ok(packets.rxBurst(far, arena, mine, lengths, 3, 100, lent, i % 3) >= 0);
  packets.txBurst(socket, arena, frames, Int32Array.of(60, 300, 1500), 1, 2, errors);
}
assert.ok(packets.rxDiscard(far, 10) >= 0);
assert.equal(packets.rxDiscard('x'), -22);
assert.equal(packets.statistics(far, counts), 0);
assert.equal(packets.statistics(far, new Float64Array(1)), -22);

// Every frame, length and slot outside of its memory is refused, whatever the numbers.
const wild = [-2147483648, -1, 0, 1, 9, arena.length - 1, arena.length, 2147483647];
for (const offset of wild) {
  for (const length of wild) {
    if (offset + length > arena.length || offset < 10 || length < 0) {
      const sent = packets.txBurst(socket, arena, Int32Array.of(offset), Int32Array.of(length), 0, 1, errors);
      assert.equal(sent, 0);
      assert.equal(errors[0], 14);
    }
    for (const third of wild) {
      packets.rxBurst(
        far,
        arena,
        Int32Array.of(offset),
        new Int32Array(1),
        1,
        length,
        Int32Array.of(third),
        1,
      );
      packets.rxBurst(far, arena, frames.slice(), lengths.slice(), offset, length, larges.slice(), third);
      const inside = offset >= 0 && length >= 0 && offset + length <= 3;
      if (!inside) assert.equal(packets.txBurst(socket, arena, frames, lengths, offset, length, errors), -22);
    }
  }
}
assert.equal(packets.txBurst(socket, arena, frames, lengths, 0, 1), -22);
assert.equal(packets.rxBurst(far, arena), -22);
for (const fd of [socket, far, map, link, own, control]) closeSync(fd);

if (isMainThread) {
  const next = String(Number(pair) + 1);
  const worker = new Worker(fileURLToPath(import.meta.url), { argv: [folder, netns, next] });
  const code = await new Promise((resolve, reject) => worker.once('exit', resolve).once('error', reject));
  assert.equal(code, 0);
  // The thread left a socket open on that pair: it is free again.
  const again = native.openControl(netns);
  assert.ok(native.rtnetlink(again, getLink(`p${next}`), reply) > 500);
  const index = new DataView(reply.buffer).getInt32(20, true);
  for (let i = 0; ; i++) {
    try {
      xsks.closeXsk(xsks.openXsk(again, index, 0, 0x1a, arena, 2048, 16, entries, layout).handle);
      break;
    } catch (error) {
      if (i === 100) throw error;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
  console.log('done');
}
