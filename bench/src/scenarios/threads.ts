/**
 * What a busy control thread does to packets on a poll-mode thread: latency from the moment a packet was due until it was
 * sent, 100,000 packets a second, while the control thread rests, dumps a large flow table over and over, puts and deletes
 * flows, or collects garbage without end.
 */

import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type Dpif, type DpifOp, DpifRegistry, FP_CREATE, NetdevRegistry } from '@etherloom/core';
import { createUserspaceProvider } from '@etherloom/dpif-userspace';
import { DummyProvider } from '@etherloom/netdev-dummy';
import { parseActions, parseFlowKey } from '@etherloom/odp-codec';
import { ProbeProvider } from '../drivers/probe.js';
import { median, type Options, type Row, type Scenario, spread } from '../scenario.js';

const RATE = 100_000;
const BATCH = 500;
const QUANTILES = [0.5, 0.99, 0.999, 1] as const;

/** Latency in microseconds below which `part` of the frames are. */
function quantile(histogram: Int32Array, part: number): number {
  const total = histogram.reduce((sum, count) => sum + count, 0);
  let seen = 0;
  for (let bucket = 0; bucket < histogram.length; bucket++) {
    seen += histogram[bucket]!;
    if (seen >= total * part) return bucket + 1;
  }
  return histogram.length;
}

/** Keys of flows that differ in their source address, of a port that is not there. */
function keysFrom(first: number, count: number): { keys: Uint8Array[]; mask: Uint8Array } {
  const { key, mask } = parseFlowKey(
    'in_port(9),eth(),eth_type(0x0800),ipv4(src=1.2.3.4,proto=17,frag=no),udp()',
  );
  const at = key.findIndex((_, i) => key.subarray(i, i + 4).join('.') === '1.2.3.4');
  const keys = Array.from({ length: count }, (_, i) => {
    const copy = key.slice();
    new DataView(copy.buffer).setUint32(at, first + i);
    return copy;
  });
  return { keys, mask };
}

async function fill(dpif: Dpif, flows: number): Promise<void> {
  const actions = parseActions('drop');
  for (let first = 0; first < flows; first += BATCH) {
    const { keys, mask } = keysFrom(first, BATCH);
    const puts = keys.map((key): DpifOp => ({ type: 'flowPut', flags: FP_CREATE, key, mask, actions }));
    for (const { error } of await dpif.operate(puts)) if (error !== undefined) throw error;
  }
}

/** What the control thread does meanwhile, in pieces that let timers run. */
function loads(dpif: Dpif): Record<string, () => Promise<void>> {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  if (typeof collect !== 'function') throw new Error('this Node cannot collect garbage on demand');
  const { keys, mask } = keysFrom(0x4000_0000, BATCH);
  const actions = parseActions('drop');
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const dump = dpif.flowDump();
  let current = dump;
  return {
    rest: () => new Promise((resolve) => setTimeout(resolve, 10)),
    dump: async () => {
      if ((await current.next(1000)).length === 0) current = dpif.flowDump();
    },
    'put and del': async () => {
      await dpif.operate(
        keys.map((key): DpifOp => ({ type: 'flowPut', flags: FP_CREATE, key, mask, actions })),
      );
      await dpif.operate(keys.map((key): DpifOp => ({ type: 'flowDel', key })));
    },
    'major GC': async () => {
      collect();
      await turn();
    },
  };
}

async function run(options: Options): Promise<Row[]> {
  const flows = options.quick ? 100_000 : 1_000_000;
  const probes = new ProbeProvider();
  const netdevs = new NetdevRegistry();
  netdevs.register(probes);
  netdevs.register(new DummyProvider());
  const dpifs = new DpifRegistry();
  dpifs.register(createUserspaceProvider({ type: 'dummy', netdevs, pmdThreads: 1 }));
  const dpif = await dpifs.create('bench', 'dummy');
  try {
    const source = await dpif.portAdd({ name: 'source', type: 'probe' });
    const sink = await dpif.portAdd({ name: 'sink', type: 'probe' });
    const { key, mask } = parseFlowKey(`in_port(${source}),eth(),eth_type(0x88b5)`);
    await dpif.flowPut({ flags: FP_CREATE, key, mask, actions: parseActions(String(sink)) });
    await fill(dpif, flows);
    probes.rate[0] = RATE;
    const rows: Row[] = [];
    const rounds = options.quick ? 3 : 5;
    for (const [name, piece] of Object.entries(loads(dpif))) {
      const figures = QUANTILES.map((): number[] => []);
      // The first round is for the compiler.
      for (let round = -1; round < rounds; round++) {
        probes.histogram.fill(0);
        const end = performance.now() + (options.quick ? 500 : 2000);
        while (performance.now() < end) await piece();
        if (round < 0) continue;
        const histogram = probes.histogram.slice();
        for (const [i, part] of QUANTILES.entries()) figures[i]!.push(quantile(histogram, part));
      }
      QUANTILES.forEach((part, i) => {
        rows.push({
          scenario: 'threads',
          point: `${flows / 1000}k flows, control thread: ${name}`,
          metric: part === 1 ? 'longest latency' : `latency p${part * 100}`,
          unit: 'us',
          ours: median(figures[i]!),
          spread: spread(figures[i]!),
        });
      });
    }
    return rows;
  } finally {
    await dpif.delete();
    await dpif.close();
  }
}

export const threads: Scenario = {
  name: 'threads',
  about: 'latency on a poll-mode thread while the control thread dumps, changes flows, or collects garbage',
  run,
};
