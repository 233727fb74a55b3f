/** What threads report of themselves, and that it adds up. */

import { DpifRegistry, FP_CREATE, NetdevRegistry } from '@etherloom/core';
import { DummyProvider } from '@etherloom/netdev-dummy';
import { parseActions, parseFlowKey } from '@etherloom/odp-codec';
import { afterEach, describe, expect, it } from 'vitest';
import { createUserspaceProvider, type ThreadPerf } from '../src/index.js';
import { SAMPLE_EVERY } from '../src/perf.hot.js';
import { eventually } from './bench.js';

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

/** A datapath with dummy ports 1 and 2. */
async function start(pmdThreads: number) {
  const devices = new DummyProvider();
  const netdevs = new NetdevRegistry();
  netdevs.register(devices);
  const dpifs = new DpifRegistry();
  const arena = { frames: 1024, largeFrames: 8 };
  const provider = createUserspaceProvider({ type: 'dummy', netdevs, arena, pmdThreads });
  dpifs.register(provider);
  const dpif = await dpifs.create('br0', 'dummy');
  ends.push(async () => {
    await dpif.delete();
    await dpif.close();
  });
  for (const portNo of [1, 2]) await dpif.portAdd({ name: `p${portNo}`, type: 'dummy' }, portNo);
  return {
    dpif,
    put: (key: string, actions: string) =>
      dpif.flowPut({ ...parseFlowKey(key), flags: FP_CREATE, actions: parseActions(actions) }),
    /** Sends `packets` of the frame through port 1, `size` at a time, and waits until they were looked up. */
    async send(frame: Uint8Array, packets: number, size: number): Promise<void> {
      for (let sent = 0; sent < packets; sent += size) {
        const { hit, missed } = await dpif.getDpStats();
        devices.device('p1')?.injectMany(Array.from({ length: size }, () => frame));
        await eventually(async () => {
          const now = await dpif.getDpStats();
          return now.hit + now.missed === hit + missed + size;
        });
        devices.device('p2')?.takeTransmitted();
      }
    },
    async report(): Promise<ThreadPerf> {
      const [thread, ...others] = await provider.pmdReports('br0');
      expect(others).toEqual([]);
      const main = await provider.mainReport('br0');
      // One or the other.
      expect(main === undefined).toBe(pmdThreads > 0);
      return thread ?? main!;
    },
  };
}

const frame = (src: number, type = 0x88b5): Uint8Array => {
  const bytes = new Uint8Array(60);
  bytes.set([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, src >> 8, src & 0xff, type >> 8, type & 0xff]);
  return bytes;
};

describe.each([0, 1])('with %i poll-mode threads', (threads) => {
  it('packets, bursts, what was sent and the sample add up', async () => {
    const { put, send, report } = await start(threads);
    await put('in_port(1),eth(),eth_type(0x88b5)', '2');
    const since = performance.now();
    await send(frame(1), 20 * SAMPLE_EVERY, 10);
    await eventually(async () => (await report()).packets === 20 * SAMPLE_EVERY);
    const { packets, bursts, sent, sentBatches, busyIterations, iterations, hits, misses, sample, ...times } =
      await report();
    const elapsed = (performance.now() - since) * 1e6;
    expect([sent, hits, misses]).toEqual([packets, packets, 0]);
    expect([busyIterations, sentBatches]).toEqual([bursts, bursts]);
    expect(iterations).toBeGreaterThanOrEqual(bursts);
    expect(bursts).toBeGreaterThanOrEqual(2 * SAMPLE_EVERY);
    // Every 128th burst, of 1 to 10 packets.
    const samples = Math.floor(bursts / SAMPLE_EVERY);
    expect(sample.packets).toBeGreaterThanOrEqual(samples - 1);
    expect(sample.packets).toBeLessThanOrEqual(10 * samples);
    const { receiveNs, lookupNs, executeNs, transmitNs, upcallNs } = sample;
    for (const stage of [receiveNs, lookupNs, executeNs, transmitNs]) expect(stage).toBeGreaterThan(0);
    expect(upcallNs).toBe(0);
    expect(receiveNs + lookupNs + executeNs + transmitNs).toBeLessThan(elapsed);
    expect(times.busyNs).toBeGreaterThan(0);
    expect(times.busyNs).toBeLessThan(elapsed);
  });

  it('the time of misses is that of upcalls', async () => {
    const { dpif, send, report } = await start(threads);
    await dpif.recvSet(true);
    await send(frame(1), 2 * SAMPLE_EVERY, 1);
    const { sample, misses } = await report();
    expect(misses).toBe(2 * SAMPLE_EVERY);
    expect(sample).toMatchObject({ misses: sample.packets, transmitNs: 0 });
    expect(sample.upcallNs).toBeGreaterThan(0);
  });

  it('hits that the flow cache knew are told apart', async () => {
    const { put, send, report } = await start(threads);
    // More masks than code is generated for one by one.
    for (let bit = 0; bit < 8; bit++) {
      const mask = `ff:ff:ff:ff:ff:${(0xff & ~(1 << bit)).toString(16).padStart(2, '0')}`;
      await put(`in_port(1),eth(src=02:00:00:00:${bit}0:00/${mask}),eth_type(0x88b5)`, '2');
    }
    // Nothing comes out of the cache before its code is made, which needs a list of masks that lasts a while.
    let perf = await report();
    for (let round = 0; round < 10 && perf.cacheHits === 0; round++) {
      await send(frame(0x70_00), 2560, 32);
      perf = await report();
    }
    const { cacheHits, hits, masksProbed } = perf;
    expect(hits % 2560).toBe(0);
    expect(cacheHits).toBeGreaterThan(0);
    expect(cacheHits).toBeLessThanOrEqual(hits - 2048);
    expect(masksProbed).toBeGreaterThan(hits);
  });
});
