/** Measures switches in turn, round by round, so that what else the machine does befalls all alike. */

import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { median, type Options, type Row, spread } from '../scenario.js';
import type { Contestant } from './contestant.js';
import { Lane } from './lane.js';
import { Programs } from './programs.js';
import type { Trial } from './trials.js';

/** Rows of `trials`, one for each of ours that takes part; ratios are those of neighbouring rounds. */
export async function contest(
  scenario: string,
  wires: string,
  contestants: readonly Contestant[],
  trials: readonly Trial[],
  options: Options,
): Promise<Row[]> {
  const folder = mkdtempSync(join(tmpdir(), 'etherloom-bench-'));
  const lanes: Lane[] = [];
  const rows: Row[] = [];
  try {
    const programs = await Programs.compile(folder);
    for (const contestant of contestants) {
      const { name } = contestant;
      const missing = contestant.ours || options.peers ? contestant.missing() : 'give --peers to compare';
      try {
        if (missing !== undefined) throw new Error(missing);
        // The last processor: the ends of the wires have the first.
        const core = availableParallelism() - 1;
        lanes.push(await Lane.open(contestant, join(folder, `lane${lanes.length}`), core, programs));
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        console.error(`bench: ${scenario}: ${wires}: without ${name}: ${error.message}`);
      }
    }
    for (const trial of trials) {
      console.error(`bench: ${scenario}: ${wires}: ${trial.name}`);
      rows.push(...(await measure(scenario, wires, lanes, trial, programs, options)));
    }
    return rows;
  } finally {
    await Promise.all(lanes.map((lane) => lane.close()));
    rmSync(folder, { recursive: true, force: true });
  }
}

async function measure(
  scenario: string,
  wires: string,
  all: readonly Lane[],
  trial: Trial,
  programs: Programs,
  { quick }: Options,
): Promise<Row[]> {
  const rounds = quick ? 2 : 9;
  const ms = quick ? 200 : 1000;
  const lanes = all.filter(({ contestant }) => trial.suits(contestant));
  /** By lane and metric. */
  const figures = new Map(lanes.map((lane) => [lane, trial.metrics.map((): number[] => [])]));
  // The first round is for compilers and caches.
  for (let round = -1; round < rounds; round++) {
    for (const [lane, found] of figures) {
      try {
        await lane.thaw();
        await lane.settle(programs);
        const values = await trial.measure(lane, programs, round < 0 ? Math.max(ms, 500) : ms);
        if (round >= 0) found.forEach((series, i) => void series.push(values[i]!));
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        console.error(`bench: ${scenario}: ${trial.name}: without ${lane.contestant.name}: ${error.message}`);
        figures.delete(lane);
      } finally {
        lane.processes.freeze();
      }
    }
  }
  const rows: Row[] = [];
  for (const [lane, mine] of figures) {
    if (!lane.contestant.ours) continue;
    const theirs = [...figures].filter(([{ contestant }]) => !contestant.ours);
    trial.metrics.forEach(({ metric, unit, lowerIsBetter }, i) => {
      const ofPeers = (value: (found: readonly number[]) => number): Record<string, number> =>
        Object.fromEntries(theirs.map(([peer, found]) => [peer.contestant.name, value(found[i]!)]));
      const better = (one: number, other: number): number => (lowerIsBetter ? other / one : one / other);
      rows.push({
        scenario,
        point: `${wires}, ${trial.name}, ${lane.contestant.name}`,
        metric,
        unit,
        ours: median(mine[i]!),
        spread: spread(mine[i]!),
        peers: ofPeers(median),
        peerSpreads: ofPeers(spread),
        ratio: ofPeers((found) => median(mine[i]!.map((figure, round) => better(figure, found[round]!)))),
      });
    });
  }
  return rows;
}
