/**
 * What changing and reading the flow table costs: puts and deletions through `operate` up to a million flows, memory per
 * flow, dumps, and a learning switch whose every packet is the first of its flow. Each figure comes from a process of its
 * own; rates are per second of processor time of the thread that owns the datapath, of the learning switch also by the clock.
 */

import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Figures } from '../flows/measure.js';
import { median, type Options, type Row, type Scenario, spread } from '../scenario.js';

const PROCESS = fileURLToPath(new URL('../flows/process.js', import.meta.url));

const isFigures = (value: unknown): value is Figures => typeof value === 'object' && value !== null;

function measure(...args: readonly (string | number)[]): Promise<Figures> {
  return new Promise((resolve, reject) => {
    const child = fork(PROCESS, args.map(String));
    let figures: Figures | undefined;
    child.on('message', (message: unknown) => {
      if (isFigures(message)) figures = message;
    });
    child.on('exit', (code) => {
      if (figures === undefined || code !== 0)
        reject(new Error(`measuring ${args.join(' ')} ended with ${code}`));
      else resolve(figures);
    });
  });
}

interface Metric {
  readonly figure: string;
  readonly metric: string;
  readonly unit: string;
}

interface Part {
  readonly point: string;
  readonly quick: boolean;
  readonly args: readonly (string | number)[];
  readonly metrics: readonly Metric[];
}

const CHANGES: readonly Metric[] = [
  { figure: 'put', metric: 'put through operate', unit: 'flows/s' },
  { figure: 'del', metric: 'delete through operate', unit: 'flows/s' },
  { figure: 'own', metric: 'heap and arrays of a flow', unit: 'B' },
  { figure: 'resident', metric: 'resident memory of a flow', unit: 'B' },
];
const DUMPS: readonly Metric[] = [
  { figure: 'netlink', metric: 'dump as Netlink', unit: 's' },
  { figure: 'text', metric: 'dump as text', unit: 's' },
  { figure: 'longest', metric: 'longest turn of the event loop', unit: 'ms' },
];
const MISSES: readonly Metric[] = [
  { figure: 'spent', metric: 'miss to flow', unit: 'flows/s' },
  { figure: 'elapsed', metric: 'miss to flow, by the clock', unit: 'flows/s' },
];

const PARTS: readonly Part[] = [
  { point: '100k flows, 1 mask', quick: true, args: ['change', 100_000, 1, 0], metrics: CHANGES },
  { point: '1M flows, 1 mask', quick: false, args: ['change', 1_000_000, 1, 0], metrics: CHANGES },
  { point: '1M flows, 4 masks', quick: false, args: ['change', 1_000_000, 4, 0], metrics: CHANGES },
  { point: '1M flows, 1 mask, 1 thread', quick: false, args: ['change', 1_000_000, 1, 1], metrics: CHANGES },
  { point: '100k flows', quick: true, args: ['dump', 100_000], metrics: DUMPS },
  { point: '1M flows', quick: false, args: ['dump', 1_000_000], metrics: DUMPS },
  { point: 'learning switch, 65k flows, inline', quick: true, args: ['learning', 0, 256], metrics: MISSES },
  { point: 'learning switch, 262k flows, inline', quick: false, args: ['learning', 0, 512], metrics: MISSES },
  {
    point: 'learning switch, 262k flows, 1 thread',
    quick: false,
    args: ['learning', 1, 512],
    metrics: MISSES,
  },
];

async function run({ quick }: Options): Promise<Row[]> {
  const rows: Row[] = [];
  for (const { point, args, metrics } of PARTS.filter((part) => !quick || part.quick)) {
    const rounds: Figures[] = [];
    for (let round = 0; round < (quick ? 2 : 3); round++) rounds.push(await measure(...args));
    for (const { figure, metric, unit } of metrics) {
      const figures = rounds.map((round) => round[figure]!);
      rows.push({ scenario: 'flows', point, metric, unit, ours: median(figures), spread: spread(figures) });
    }
  }
  return rows;
}

export const flows: Scenario = {
  name: 'flows',
  about: 'flow puts and deletions, memory per flow, dumps, and a learning switch that misses every packet',
  run,
};
