/**
 * What operations on flows cost, in a process of its own: heap, caches and memory are those of one datapath. Each
 * function builds a datapath, measures, and takes it down again.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import {
  composePacket,
  type Dpif,
  type DpifOp,
  DpifRegistry,
  NetdevRegistry,
  type OpResult,
} from '@etherloom/core';
import { createUserspaceProvider } from '@etherloom/dpif-userspace';
import { DummyProvider } from '@etherloom/netdev-dummy';
import { formatFlow, KEY_WORDS, keyToFlow, parseFlowKey, W_ETH } from '@etherloom/odp-codec';
import { LearningSwitch } from '@etherloom/switchd';
import { PairsDevice, PairsProvider } from '../drivers/pairs.js';
import { threadTime } from '../replay/processor-time.js';
import { Flows } from './keys.js';

/** Operations in one `operate`, as many as a client that answers upcalls has. */
const BATCH = 128;
/** Operations that are made before their time is taken. */
const PREPARED = 8192;
/** Flows of a dump at a time, as dpctl/dump-flows takes them. */
const DUMP_BATCH = 256;
/** Stations on either side: their pairs are the flows. */
const STATIONS = 512;

export type Figures = Record<string, number>;

/** Milliseconds that this thread has run. */
const ran = (): number => threadTime(process.pid, process.pid) / 1e6;

setFlagsFromString('--expose-gc');
const collect: unknown = runInNewContext('gc');

/** Bytes that this thread's heap and arrays take, and the whole process. */
function memory(): { own: number; resident: number } {
  if (typeof collect !== 'function') throw new Error('this Node cannot collect garbage on demand');
  collect();
  collect();
  const { heapUsed, external, rss } = process.memoryUsage();
  return { own: heapUsed + external, resident: rss };
}

async function datapath(pmdThreads: number, devices?: ReadonlyMap<string, PairsDevice>): Promise<Dpif> {
  const netdevs = new NetdevRegistry();
  netdevs.register(new DummyProvider());
  if (devices !== undefined) netdevs.register(new PairsProvider(devices));
  const dpifs = new DpifRegistry();
  dpifs.register(createUserspaceProvider({ type: 'dummy', netdevs, pmdThreads }));
  return dpifs.create('bench', 'dummy');
}

async function close(dpif: Dpif): Promise<void> {
  await dpif.delete();
  await dpif.close();
}

/** Performs `count` operations that `make` makes, in batches; returns milliseconds of processor time in `operate`. */
async function perform(
  dpif: Dpif,
  count: number,
  make: (first: number, size: number) => DpifOp[],
): Promise<number> {
  let spent = 0;
  for (let first = 0; first < count; first += PREPARED) {
    const batches: DpifOp[][] = [];
    const end = Math.min(first + PREPARED, count);
    for (let at = first; at < end; at += BATCH) batches.push(make(at, Math.min(BATCH, end - at)));
    const results: OpResult[][] = [];
    const began = ran();
    for (const ops of batches) results.push(await dpif.operate(ops));
    spent += ran() - began;
    for (const { error } of results.flat()) if (error !== undefined) throw error;
  }
  return spent;
}

/** Puts and deletes `flows` flows of `masks` masks; rates per second, bytes per flow. */
export async function change(flows: number, masks: number, pmdThreads: number): Promise<Figures> {
  const dpif = await datapath(pmdThreads);
  const source = new Flows(masks);
  const some = Math.min(flows, 20_000);
  // For the compiler.
  await perform(dpif, some, (first, size) => source.puts(first, size));
  await perform(dpif, some, (first, size) => source.dels(first, size));
  const before = memory();
  const put = await perform(dpif, flows, (first, size) => source.puts(first, size));
  const after = memory();
  const del = await perform(dpif, flows, (first, size) => source.dels(first, size));
  await close(dpif);
  return {
    put: (flows * 1000) / put,
    del: (flows * 1000) / del,
    own: (after.own - before.own) / flows,
    resident: (after.resident - before.resident) / flows,
  };
}

/** Dumps `flows` flows as Netlink and as text: seconds; and the longest that the event loop had to wait, in ms. */
export async function dump(flows: number): Promise<Figures> {
  const dpif = await datapath(0);
  const source = new Flows(4);
  await perform(dpif, flows, (first, size) => source.puts(first, size));
  let longest = 0;
  let last = performance.now();
  let timing = true;
  const tick = (): void => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    if (timing) setImmediate(tick);
  };
  const walk = async (text: boolean): Promise<number> => {
    const began = ran();
    let seen = 0;
    let length = 0;
    const walked = dpif.flowDump();
    for (;;) {
      const some = await walked.next(DUMP_BATCH);
      if (some.length === 0) break;
      seen += some.length;
      if (!text) continue;
      for (const { key, mask, actions, stats } of some) {
        const { packets, bytes, tcpFlags } = stats;
        length += formatFlow({ key, mask, actions, packets, bytes, tcpFlags }).length;
      }
    }
    const spent = ran() - began;
    if (seen !== flows || (text && length < flows * 100)) throw new Error(`a dump of ${seen} flows is short`);
    return spent / 1000;
  };
  await walk(true);
  setImmediate(tick);
  await new Promise((resolve) => setImmediate(resolve));
  longest = 0;
  const netlink = await walk(false);
  timing = false;
  const text = await walk(true);
  await close(dpif);
  return { netlink, text, longest };
}

/** Frames between stations, `from` to `to` for each of `pairs`. */
function frames(pairs: readonly (readonly [from: number, to: number])[]): Uint8Array[] {
  const words = new Int32Array(KEY_WORDS);
  keyToFlow(
    parseFlowKey(
      'in_port(1),eth(src=00:00:00:00:00:00,dst=00:00:00:00:00:00),eth_type(0x0800),' +
        'ipv4(src=10.0.0.1,dst=10.0.0.2,proto=17,tos=0,ttl=64,frag=no),udp(src=1000,dst=2000)',
    ).key,
    words,
  );
  return pairs.map(([from, to]) => {
    words[W_ETH] = 0x0200_0000;
    words[W_ETH + 1] = (to << 16) | 0x0200;
    words[W_ETH + 2] = from;
    return composePacket(words, { payloadLength: 18 });
  });
}

/** A learning switch between two sides of stations, every packet the first of its pair: flows per second. */
export async function learning(pmdThreads: number): Promise<Figures> {
  const left = Array.from({ length: STATIONS }, (_, i) => 1 + i);
  const right = Array.from({ length: STATIONS }, (_, i) => 1 + STATIONS + i);
  const pairs = left.flatMap((from) => right.map((to): [number, number] => [from, to]));
  // First every station says where it is, to one that is not there.
  const devices = new Map([
    ['left', new PairsDevice(frames([...left.map((from): [number, number] => [from, 0]), ...pairs]))],
    ['right', new PairsDevice(frames(right.map((from): [number, number] => [from, 0])))],
  ]);
  const [source, other] = [devices.get('left')!, devices.get('right')!];
  const dpif = await datapath(pmdThreads, devices);
  for (const name of devices.keys()) await dpif.portAdd({ name, type: 'pairs' });
  const learner = new LearningSwitch({
    dpif,
    log: {
      warn: (...args: unknown[]) => {
        console.error(`the switch complains: ${args.join(' ')}`);
      },
    },
    options: { maxFlows: 1 << 20, maxIdle: 3600 },
  });
  await learner.start();
  const bring = async (device: PairsDevice, flows: number, base: number): Promise<void> => {
    const end = performance.now() + 60_000;
    device.allow(flows);
    while (learner.activity.flows - base < flows) {
      await sleep(1);
      if (performance.now() > end)
        throw new Error(
          `only ${learner.activity.flows - base} of ${flows} flows came: ${JSON.stringify([await dpif.getDpStats(), await dpif.portGetDrops(1), await dpif.portGetDrops(2), device.received, learner.macs, learner.activity])}`,
        );
    }
  };
  await bring(other, STATIONS, 0);
  await bring(source, STATIONS, STATIONS);
  const began = performance.now();
  const cpu = ran();
  await bring(source, source.count, STATIONS);
  const elapsed = performance.now() - began;
  const spent = ran() - cpu;
  await learner.stop();
  const { flows, lost } = await dpif.getDpStats();
  if (flows !== pairs.length + 2 * STATIONS || lost !== 0)
    throw new Error(`${flows} flows were put, ${lost} packets lost`);
  await close(dpif);
  return { elapsed: (pairs.length * 1000) / elapsed, spent: (pairs.length * 1000) / spent };
}
