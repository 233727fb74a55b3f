/**
 * The driver by itself, forwarding between two devices on this thread without a datapath: what netbench.c's forwarder does
 * in C. `node forward.mjs TYPE A B [OPTIONS]`, until it is killed; prints "ready".
 */

import { DROP_REASON_COUNT, FramePool, PacketArena, PacketBatch } from '@etherloom/core';
import { createNetdevProviders } from '@etherloom/netdev-afxdp';

const [type, a, b, mode] = process.argv.slice(2);
const provider = createNetdevProviders().find((candidate) => candidate.type === type);
const pool = new FramePool(PacketArena.create());
const open = async (name) => {
  const netdev = await provider.open(name, mode === undefined ? {} : { mode });
  const drops = new Float64Array(DROP_REASON_COUNT);
  return { drops, queue: provider.openQueue(netdev.queueDescriptor(0), { pool, drops }) };
};
const left = await open(a);
const right = await open(b);
const batch = new PacketBatch(64);
const move = (from, to) => {
  if (from.queue.rxBurst(batch) > 0) to.queue.txBurst(batch);
};
const slice = () => {
  for (let i = 0; i < 10_000; i++) {
    move(left, right);
    move(right, left);
  }
  setImmediate(slice);
};
process.on('SIGTERM', () => {
  if (process.env.VERBOSE) console.error('drops', left.drops.join(), right.drops.join());
  process.exit();
});
console.log('ready');
slice();
