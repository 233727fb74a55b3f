/**
 * Lets ports and flows come and go by the thousand, and prints what is left of them as JSON. Runs the built package in a
 * process of its own: a test runner's translation makes this five times slower and its own objects would be measured too.
 *
 *     node --expose-gc leak-child.mjs ports|flows COUNT
 */

import { readdirSync } from 'node:fs';
import { FP_CREATE, FramePool, NetdevRegistry, PacketArena } from '@etherloom/core';
import { DummyProvider } from '@etherloom/netdev-dummy';
import { parseActions, parseFlowKey } from '@etherloom/odp-codec';
import { Datapath } from '../dist/datapath.js';
import { Opener } from '../dist/opener.js';
import { Runner } from '../dist/runner.js';

/** Flows that are in the table at a time, operations of each kind in a batch. */
const WINDOW = 1000;
const ROUND = 500;

const driver = new DummyProvider();
const netdevs = new NetdevRegistry();
netdevs.register(driver);
const pool = new FramePool(PacketArena.create({ frames: 256, largeFrames: 4 }));
const datapath = await Datapath.create('br0', {
  type: 'dummy',
  netdevs,
  pool,
  runner: new Runner(() => performance.now()),
  limits: { upcalls: 512, upcallBytes: 2 ** 20, upcallTotalBytes: 2 ** 26 },
  actionRules: 'strict',
  vlanLimit: 2,
  openType: () => 'dummy',
});
const opener = new Opener(datapath, { closed: () => datapath.destroy(), destroyed: () => undefined });

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Descriptors, free packet buffers, and bytes of objects and arrays after a collection. */
async function usage() {
  for (let i = 0; i < 3; i++) {
    globalThis.gc();
    await turn();
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return {
    fds: readdirSync('/proc/self/fd').length,
    free: pool.free,
    freeLarge: pool.freeLarge,
    bytes: heapUsed + arrayBuffers,
  };
}

async function ports(count) {
  for (let i = 0; i < count; i++) {
    const portNo = await opener.portAdd({ name: 'p', type: 'dummy', config: {} }, undefined);
    if (i % 100 === 0) {
      driver.device('p').inject(new Uint8Array(60));
      await turn();
    }
    await opener.portDel(portNo);
  }
}

async function flows(count) {
  const { key, mask } = parseFlowKey(
    'in_port(1),eth(),eth_type(0x0800),ipv4(src=1.2.3.4,proto=17,frag=no),udp()',
  );
  const actions = parseActions('2');
  const address = key.findIndex((_, i) => key.subarray(i, i + 4).join('.') === '1.2.3.4');
  // Keys belong to their caller again when operate is done: each round writes into the same ones.
  const keys = Array.from({ length: 2 * ROUND }, () => new DataView(key.slice().buffer));
  const keyOf = (slot, n) => {
    keys[slot].setUint32(address, n);
    return new Uint8Array(keys[slot].buffer);
  };
  for (let first = 0; first < count; first += ROUND) {
    const ops = [];
    for (let n = first; n < first + ROUND; n++) {
      ops.push({ type: 'flowPut', flags: FP_CREATE, key: keyOf(n - first, n), mask, actions });
      if (n >= WINDOW) ops.push({ type: 'flowDel', key: keyOf(ROUND + n - first, n - WINDOW) });
    }
    for (const { error } of await opener.operate(ops)) if (error !== undefined) throw error;
  }
  const left = (await opener.getDpStats()).flows;
  if (left !== WINDOW) throw new Error(`${left} flows are in the table, not ${WINDOW}`);
  await opener.flowFlush();
}

const [what, count] = process.argv.slice(2);
const cycle = { ports, flows }[what];
await opener.recvSet(true);
await cycle(5 * WINDOW);
const before = await usage();
await cycle(Number(count));
console.log(JSON.stringify({ before, after: await usage() }));
await opener.close();
