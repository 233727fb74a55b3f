/**
 * Datapaths on poll-mode threads come and go, and the process ends in many ways; prints what is left as JSON. Runs the
 * built package in a process of its own.
 *
 *     node --expose-gc leak-child.mjs datapaths COUNT
 *     node leak-child.mjs drained|exit|uncaught|worker
 */

import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { DpifRegistry, FP_CREATE, NetdevRegistry } from '@etherloom/core';
import { DummyProvider } from '@etherloom/netdev-dummy';
import { parseActions, parseFlowKey } from '@etherloom/odp-codec';
import { createUserspaceProvider } from '../../dist/index.js';

const driver = new DummyProvider();
const netdevs = new NetdevRegistry();
netdevs.register(driver);
const dpifs = new DpifRegistry();
const arena = { frames: 256, largeFrames: 4 };
dpifs.register(createUserspaceProvider({ type: 'dummy', netdevs, pmdThreads: 2, arena }));
const turn = () => new Promise((resolve) => setImmediate(resolve));
const frame = Uint8Array.from({ length: 60 }, (_, i) => (i === 12 ? 0x88 : i === 13 ? 0xb5 : i));

/** A datapath that forwards, misses and has flows. */
async function create() {
  const dpif = await dpifs.create('br0', 'dummy');
  await dpif.portAdd({ name: 'a', type: 'dummy' }, 1);
  await dpif.portAdd({ name: 'b', type: 'dummy', config: { n_rxq: '2' } }, 2);
  const flow = { ...parseFlowKey('in_port(1),eth(),eth_type(0x88b5)'), actions: parseActions('2') };
  await dpif.flowPut({ flags: FP_CREATE, ...flow });
  await dpif.recvSet(true);
  driver.device('a').inject(frame);
  driver.device('b').inject(frame);
  while ((await dpif.getDpStats()).hit + (await dpif.getDpStats()).missed < 2) await turn();
  return dpif;
}

async function usage() {
  for (let i = 0; i < 5; i++) {
    globalThis.gc();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return {
    fds: readdirSync('/proc/self/fd').length,
    threads: readdirSync('/proc/self/task').length,
    bytes: heapUsed + arrayBuffers,
    arrays: arrayBuffers,
  };
}

async function datapaths(count) {
  for (let i = 0; i < count; i++) {
    const dpif = await create();
    await dpif.portDel(1);
    await dpif.delete();
    await dpif.close();
  }
}

const [what, count] = isMainThread ? process.argv.slice(2) : [workerData];
switch (what) {
  case 'datapaths': {
    const never = await usage();
    await datapaths(3);
    const before = await usage();
    await datapaths(Number(count));
    console.log(JSON.stringify({ never, before, after: await usage() }));
    break;
  }
  case 'drained':
  case 'exit':
  case 'uncaught':
    await create();
    // Long enough for the threads to be asleep.
    await new Promise((resolve) => setTimeout(resolve, 20));
    console.log('ready');
    if (what === 'exit') process.exit(0);
    if (what === 'uncaught') throw new Error('on purpose');
    break;
  case 'worker': {
    // The control thread is itself a worker that somebody terminates.
    const worker = new Worker(fileURLToPath(import.meta.url), { workerData: 'inside' });
    await new Promise((resolve) => worker.once('message', resolve));
    await worker.terminate();
    console.log('ready');
    break;
  }
  case 'inside':
    await create();
    parentPort.postMessage('ready');
    setInterval(() => undefined, 1000);
    break;
}
