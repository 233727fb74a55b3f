/** Nothing leaks: ports and flows come and go by the thousand, and memory, descriptors and packet buffers stay. */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type DpifOp, FP_CREATE } from '@etherloom/core';
import { parseActions, parseFlowKey } from '@etherloom/odp-codec';
import { openFds } from '@etherloom/testkit';
import { expect, it } from 'vitest';
import { type Bench, bench } from './bench.js';

setFlagsFromString('--expose-gc');
const collect: unknown = runInNewContext('gc');

/** Bytes in use after a collection: objects, and the memory of arrays. */
async function memory(): Promise<number> {
  if (typeof collect !== 'function') throw new Error('this Node.js has no gc function');
  for (let i = 0; i < 3; i++) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

async function portCycles({ dpif, device }: Bench, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const portNo = await dpif.portAdd({ name: 'p', type: 'dummy' });
    if (i % 100 === 0) {
      device('p').inject(new Uint8Array(60));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await dpif.portDel(portNo);
  }
}

it('10,000 ports come and go', async () => {
  const rig = await bench();
  await rig.dpif.recvSet(true);
  await portCycles(rig, 500);
  const [fds, before] = [openFds(), await memory()];
  await portCycles(rig, 10_000);
  expect(openFds()).toBe(fds);
  expect((await memory()) - before).toBeLessThan(2 ** 20);
  await rig.close();
}, 120_000);

/** Puts and deletes `count` flows, `window` of which are in the table at a time. */
async function flowCycles({ dpif }: Bench, count: number, window: number): Promise<void> {
  const { key, mask } = parseFlowKey(
    'in_port(1),eth(),eth_type(0x0800),ipv4(src=1.2.3.4,proto=17,frag=no),udp()',
  );
  const actions = parseActions('2');
  const address = key.findIndex(
    (byte, i) => byte === 1 && key[i + 1] === 2 && key[i + 2] === 3 && key[i + 3] === 4,
  );
  // Keys belong to their caller again when operate is done: each round writes into the same ones.
  const ROUND = 500;
  const keys = Array.from({ length: 2 * ROUND }, () => new DataView(key.slice().buffer));
  const keyOf = (slot: number, n: number): Uint8Array => {
    const view = keys[slot]!;
    view.setUint32(address, n);
    return new Uint8Array(view.buffer);
  };
  for (let first = 0; first < count; first += ROUND) {
    const ops: DpifOp[] = [];
    for (let n = first; n < first + ROUND; n++) {
      ops.push({ type: 'flowPut', flags: FP_CREATE, key: keyOf(n - first, n), mask, actions });
      if (n >= window) ops.push({ type: 'flowDel', key: keyOf(ROUND + n - first, n - window) });
    }
    for (const { error } of await dpif.operate(ops)) if (error !== undefined) throw error;
  }
  expect((await dpif.getDpStats()).flows).toBe(window);
  await dpif.flowFlush();
}

it('1,000,000 flows come and go', async () => {
  const rig = await bench();
  await flowCycles(rig, 5000, 1000);
  const before = await memory();
  await flowCycles(rig, 1_000_000, 1000);
  expect((await memory()) - before).toBeLessThan(2 ** 20);
  expect((await rig.dpif.getDpStats()).flows).toBe(0);
  await rig.close();
}, 120_000);
