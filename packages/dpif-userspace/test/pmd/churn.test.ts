/** Ports and flows come and go while packets run at full speed: every packet is accounted for, and so is every flow's count. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DpifOp, FP_CREATE, FP_MODIFY, FP_ZERO_STATS } from '@etherloom/core';
import { PcapWriter } from '@etherloom/netdev-dummy';
import { parseActions, parseFlowKey } from '@etherloom/odp-codec';
import { ethernet, ipv4, udp } from '@etherloom/testkit';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { eventually } from '../bench.js';
import { type PmdBench, pmdBench, readUpcalls } from './bench.js';

const TUPLES = 32;
const ROUNDS = 60;

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'etl-churn-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const flowOf = (port: number, tuple: number) =>
  parseFlowKey(`in_port(${port}),eth(),eth_type(0x0800),ipv4(proto=17,frag=no),udp(src=${1000 + tuple})`);

async function sumDrops({ opener }: PmdBench): Promise<number> {
  let total = 0;
  for await (const { portNo } of opener.portDump()) {
    for (const count of Object.values(await opener.portGetDrops(portNo))) total += count;
  }
  return total;
}

it.each([1, 2])(
  'with %i threads',
  async (threads) => {
    const file = join(directory, 'frames.pcap');
    const pcap = new PcapWriter(file);
    pcap.write(
      Array.from({ length: TUPLES }, (_, i) =>
        ethernet({}, ipv4({ src: '10.0.0.1', dst: '10.0.0.2' }, udp({ src: 1000 + i, dst: 1 }))),
      ),
    );
    pcap.close();
    const bench = await pmdBench(threads);
    const { opener, netdevs } = bench;
    const abort = new AbortController();
    const client = readUpcalls(bench, abort.signal);
    const source = { replay: file, replay_loops: '0', capture: '0', up: 'false', n_rxq: '2' };
    await bench.port('source', 1, source);
    await bench.port('sink', 2, { capture: '0' });
    // Its counters outlive the ports that it is.
    const coming = await netdevs.open('coming', 'dummy', { capture: '0' });
    const start = (): Promise<void> => bench.device('source').setFlags({ up: true });
    const stop = async (): Promise<void> => {
      await bench.device('source').setFlags({ up: false });
      await bench.plane.settle();
    };
    await start();

    let seed = threads;
    const random = (below: number): number => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      return Math.floor((seed / 0x1_0000_0000) * below);
    };
    // Packets that flows counted before they went, or were told to count anew.
    let counted = 0;
    let there = false;
    const present = new Set<number>();
    for (let round = 0; round < ROUNDS; round++) {
      const ops: DpifOp[] = [];
      const zeroed: number[] = [];
      for (let i = 0; i < 8; i++) {
        const tuple = random(TUPLES);
        const actions = parseActions(['2', '3', 'drop', '99', 'userspace(pid=9999)'][random(5)]!);
        const flow = flowOf(1, tuple);
        if (!present.has(tuple)) {
          present.add(tuple);
          ops.push({ type: 'flowPut', flags: FP_CREATE, ...flow, actions });
        } else if (random(3) === 0) {
          zeroed.push(ops.length);
          ops.push({ type: 'flowPut', flags: FP_MODIFY | FP_ZERO_STATS, ...flow, actions });
        } else if (random(2) === 0) ops.push({ type: 'flowPut', flags: FP_MODIFY, ...flow, actions });
        else {
          present.delete(tuple);
          zeroed.push(ops.length);
          ops.push({ type: 'flowDel', key: flow.key });
        }
      }
      const results = await opener.operate(ops);
      for (const { error } of results) expect(error).toBeUndefined();
      for (const index of zeroed) counted += results[index]!.stats!.packets;
      if (round % 3 === 0) {
        if (there) await opener.portDel(3);
        else await bench.port('coming', 3);
        there = !there;
      }
      if (round === ROUNDS / 2) {
        // A flush does not tell what flows had counted: let the packets rest, and take it from the datapath.
        await stop();
        await opener.flowFlush();
        counted = (await opener.getDpStats()).hit;
        present.clear();
        await start();
      }
    }
    await stop();
    const rx = (await bench.device('source').getStats()).rxPackets ?? 0;
    const sent = async (name: string): Promise<number> =>
      (await bench.device(name).getStats()).txPackets ?? 0;
    const accounted = async (): Promise<number> =>
      (await sent('sink')) + (await sent('coming')) + (await sumDrops(bench)) + bench.client.upcalls;
    // The client may still be reading.
    await eventually(async () => (await accounted()) >= rx);
    expect(await accounted()).toBe(rx);
    const { hit, missed } = await opener.getDpStats();
    expect(hit + missed).toBe(rx);
    expect(Math.min(hit, missed, await sent('sink'), await sent('coming'))).toBeGreaterThan(0);
    let live = 0;
    for await (const { stats } of opener.flowDump()) live += stats.packets;
    expect(counted + live).toBe(hit);
    expect(bench.events).toEqual([]);
    abort.abort();
    await client;
    await coming.release();
    await bench.close();
  },
  60_000,
);
