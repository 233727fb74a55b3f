/**
 * What a busy control thread does to packets on a poll-mode thread: latency from the moment a packet was due until it was
 * sent, at half of the rate that the thread can do, while the control thread rests, dumps a large flow table over and over,
 * puts and deletes flows, or collects garbage without end. Rounds of these alternate.
 *
 * The poll-mode thread has the last processor, the rest of the process the others. What the machine itself does to a thread
 * there is measured the same way, by one that only reads the clock: packets that were due while it did not run are late.
 */

import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type Dpif, type DpifOp, DpifRegistry, FP_CREATE, NetdevRegistry } from '@etherloom/core';
import { createUserspaceProvider } from '@etherloom/dpif-userspace';
import { DummyProvider } from '@etherloom/netdev-dummy';
import { formatFlow, parseActions, parseFlowKey } from '@etherloom/odp-codec';
import { measureNoise } from '../drivers/noise.js';
import { ProbeProvider } from '../drivers/probe.js';
import { median, type Options, type Row, type Scenario, spread } from '../scenario.js';

/** More than any thread can do, in packets a second. */
const FLOOD = 50_000_000;
const BATCH = 500;
/** Until a thread has seen that there is nothing more to do. */
const SETTLE_MS = 20;
const QUANTILES = [0.5, 0.99, 0.999, 1] as const;
/** What the control thread's work adds to this one is told too. */
const JUDGED = 0.999;
/** What others are compared with. */
const REST = 'rests';

const metricOf = (part: number): string => (part === 1 ? 'longest latency' : `latency p${part * 100}`);

/** Latency in microseconds below which `part` of the packets are. */
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

/** A dump without end, a page a call. */
function dumper(dpif: Dpif, text: boolean): () => Promise<void> {
  let dump = dpif.flowDump();
  return async () => {
    const flows = await dump.next(1000);
    if (flows.length === 0) dump = dpif.flowDump();
    if (text) for (const flow of flows) formatFlow({ ...flow, ...flow.stats });
  };
}

/** What the control thread does meanwhile, in pieces that let timers run. */
function loads(dpif: Dpif): Record<string, () => Promise<void>> {
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  if (typeof collect !== 'function') throw new Error('this Node cannot collect garbage on demand');
  const { keys, mask } = keysFrom(0x4000_0000, BATCH);
  const actions = parseActions('drop');
  return {
    [REST]: () => new Promise((resolve) => setTimeout(resolve, 10)),
    'dumps (Netlink)': dumper(dpif, false),
    'dumps (text)': dumper(dpif, true),
    'puts and deletes': async () => {
      await dpif.operate(
        keys.map((key): DpifOp => ({ type: 'flowPut', flags: FP_CREATE, key, mask, actions })),
      );
      await dpif.operate(keys.map((key): DpifOp => ({ type: 'flowDel', key })));
    },
    'collects garbage': async () => {
      collect();
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

/** Keeps all threads of this process that there are on `cpus` (taskset(1)); returns where the main thread was. */
function confine(cpus: string): string {
  const taskset = (...args: readonly string[]): string => {
    const { status, stdout, stderr, error } = spawnSync('taskset', args, { encoding: 'utf8' });
    if (status !== 0) throw new Error(`taskset ${args.join(' ')}: ${error?.message ?? stderr.trim()}`);
    return stdout;
  };
  const before = /: (\S+)\s*$/.exec(taskset('-p', '-c', String(process.pid)))?.[1] ?? cpus;
  taskset('-a', '-p', '-c', cpus, String(process.pid));
  return before;
}

/** Packets that a round brought, and their latencies by quantile. */
async function round(
  probes: ProbeProvider,
  rate: number,
  ms: number,
  piece: () => Promise<void>,
): Promise<{ packets: number; latencies: number[] }> {
  // What a round left undone is not the next one's.
  probes.rate[0] = 0;
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  const { histogram } = probes;
  histogram.fill(0);
  probes.rate[0] = rate;
  const end = performance.now() + ms;
  while (performance.now() < end) await piece();
  const copy = histogram.slice();
  return {
    packets: copy.reduce((sum, count) => sum + count, 0),
    latencies: QUANTILES.map((part) => quantile(copy, part)),
  };
}

async function measure(core: number, { quick }: Options): Promise<Row[]> {
  const flows = quick ? 100_000 : 1_000_000;
  // Many short ones: what else the machine does then falls into some of them, and medians do not see it.
  const [rounds, ms] = quick ? [5, 100] : [31, 500];
  const probes = new ProbeProvider();
  const netdevs = new NetdevRegistry();
  netdevs.register(probes);
  netdevs.register(new DummyProvider());
  const dpifs = new DpifRegistry();
  dpifs.register(createUserspaceProvider({ type: 'dummy', netdevs, pmdThreads: 1, pmdCpus: [core] }));
  const dpif = await dpifs.create('bench', 'dummy');
  const latencies = new Map<string, number[][]>();
  const note = (what: string, figures: readonly number[]): void => {
    const lists = latencies.get(what) ?? QUANTILES.map(() => []);
    for (const [i, figure] of figures.entries()) lists[i]!.push(figure);
    latencies.set(what, lists);
  };
  let rate: number;
  try {
    const source = await dpif.portAdd({ name: 'source', type: 'probe' });
    const sink = await dpif.portAdd({ name: 'sink', type: 'probe' });
    const { key, mask } = parseFlowKey(`in_port(${source}),eth(),eth_type(0x88b5)`);
    await dpif.flowPut({ flags: FP_CREATE, key, mask, actions: parseActions(String(sink)) });
    await fill(dpif, flows);
    const works = loads(dpif);
    const rest = works[REST]!;
    await round(probes, FLOOD, ms, rest);
    rate = Math.round((await round(probes, FLOOD, ms, rest)).packets / (ms / 1000) / 2);
    // The first round is for the compiler.
    for (let i = -1; i < rounds; i++) {
      for (const [name, piece] of Object.entries(works)) {
        const figures = await round(probes, rate, ms, piece);
        if (i >= 0) note(name, figures.latencies);
      }
    }
  } finally {
    await dpif.delete();
    await dpif.close();
  }
  const noise: number[][] = QUANTILES.map(() => []);
  for (let i = 0; i < rounds; i++) {
    const histogram = await measureNoise(core, rate, ms);
    for (const [q, part] of QUANTILES.entries()) noise[q]!.push(quantile(histogram, part));
  }
  const load: Row = {
    scenario: 'latency',
    point: `${flows / 1000}k flows`,
    metric: 'half load',
    unit: 'Mpps',
    ours: rate / 1e6,
    spread: 0,
  };
  return [load, ...rowsOf(latencies, noise)];
}

function rowsOf(latencies: ReadonlyMap<string, readonly number[][]>, noise: readonly number[][]): Row[] {
  const row = (point: string, metric: string, figures: readonly number[]): Row => ({
    scenario: 'latency',
    point,
    metric,
    unit: 'us',
    ours: median(figures),
    spread: spread(figures),
  });
  const rows: Row[] = [];
  const rest = latencies.get(REST)!;
  for (const [q, part] of QUANTILES.entries()) {
    const metric = metricOf(part);
    rows.push(row('no datapath, the machine alone', metric, noise[q]!));
    for (const [what, lists] of latencies) rows.push(row(`control thread ${what}`, metric, lists[q]!));
  }
  const q = QUANTILES.indexOf(JUDGED);
  for (const [what, lists] of latencies) {
    if (what === REST) continue;
    // Of neighbouring rounds, so that what else the machine does is not taken for ours.
    const added = lists[q]!.map((figure, i) => figure - rest[q]![i]!);
    rows.push(row(`control thread ${what}`, `added to ${metricOf(JUDGED)}`, added));
  }
  return rows;
}

async function run(options: Options): Promise<Row[]> {
  const core = availableParallelism() - 1;
  if (core === 0)
    throw new Error('it needs two processors: one for the poll-mode thread, one for the others');
  const before = confine(core === 1 ? '0' : `0-${core - 1}`);
  try {
    return await measure(core, options);
  } finally {
    confine(before);
  }
}

export const latency: Scenario = {
  name: 'latency',
  about:
    'on a poll-mode thread at half load while the control thread dumps, changes flows, or collects garbage',
  run,
};
