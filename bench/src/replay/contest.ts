/** Measures our datapath and its peers in turn on one workload. */

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Axis, median, type Options, type Row, spread } from '../scenario.js';
import type { Contestant, Running } from './contestant.js';
import { ours } from './ours.js';
import type { Workload } from './workload.js';

/** One setting of a scenario. */
export interface Point {
  readonly name: string;
  /** Whether `--quick` measures it too. */
  readonly quick?: boolean;
  readonly axis?: Axis;
  /** Writes captures to `folder`. */
  workload(folder: string): Workload;
}

/**
 * Rows of `scenario`: nanoseconds of processor time per packet. Rounds alternate, so that what else the machine does befalls all alike, and
 * ratios are those of neighbouring rounds.
 */
export async function contest(
  scenario: string,
  points: readonly Point[],
  peers: readonly Contestant[],
  options: Options,
): Promise<Row[]> {
  const present = peers.filter((peer) => {
    const missing = options.peers ? peer.missing() : 'give --peers to compare';
    if (missing !== undefined) console.error(`bench: ${scenario}: without ${peer.name}: ${missing}`);
    return missing === undefined;
  });
  const rows: Row[] = [];
  for (const point of points) {
    if (options.quick && point.quick !== true) continue;
    console.error(`bench: ${scenario}: ${point.name}`);
    rows.push(await measure(scenario, point, present, options));
  }
  return rows;
}

async function measure(
  scenario: string,
  point: Point,
  peers: readonly Contestant[],
  { quick }: Options,
): Promise<Row> {
  const rounds = quick ? 3 : 9;
  const ms = quick ? 300 : 1000;
  // The last processor: interrupts and the threads of daemons prefer the first.
  const core = availableParallelism() - 1;
  const folder = mkdtempSync(join(tmpdir(), 'etherloom-bench-'));
  const running: { readonly name: string; readonly one: Running; readonly figures: number[] }[] = [];
  try {
    const workload = point.workload(folder);
    for (const contestant of [ours, ...peers]) {
      const { name } = contestant;
      const own = join(folder, String(running.length));
      mkdirSync(own, { recursive: true });
      try {
        running.push({ name, one: await contestant.start(workload, own, core), figures: [] });
      } catch (error) {
        if (contestant === ours || !(error instanceof Error)) throw error;
        console.error(`bench: ${scenario}: ${point.name}: without ${name}: ${error.message}`);
      }
    }
    // The first round is for compilers and caches.
    for (let round = -1; round < rounds; round++) {
      for (const { one, figures } of running) {
        const figure = await one.measure(round < 0 ? Math.max(ms, 500) : ms);
        if (round >= 0) figures.push(figure);
      }
    }
    const mine = running[0]!.figures;
    const theirs = running.slice(1);
    return {
      scenario,
      point: point.name,
      metric: 'processor time per packet',
      unit: 'ns',
      ours: median(mine),
      spread: spread(mine),
      peers: Object.fromEntries(theirs.map((peer) => [peer.name, median(peer.figures)])),
      peerSpreads: Object.fromEntries(theirs.map((peer) => [peer.name, spread(peer.figures)])),
      ratio: Object.fromEntries(
        theirs.map((peer) => [peer.name, median(peer.figures.map((figure, i) => figure / mine[i]!))]),
      ),
      ...(point.axis === undefined ? {} : { axis: point.axis }),
    };
  } finally {
    for (const { one } of running.reverse()) await one.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}
