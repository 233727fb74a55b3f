/** What a switch with eight ports takes of a processor while no packet comes. */

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { median, type Options, type Row, spread } from '../scenario.js';
import type { Contestant } from './contestant.js';
import { namespace } from './lane.js';
import { Processes } from './processes.js';

const PORTS = ['p0', 'p1', 'p2', 'p3', 'p4', 'p5', 'p6', 'p7'];
/** From the start to rest: compilers, and what daemons do in their first seconds. */
const SETTLE_MS = 3000;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Percent of a processor, round by round. */
async function rest(contestant: Contestant, folder: string, rounds: number, ms: number): Promise<number[]> {
  const home = await namespace();
  const processes = new Processes(folder);
  mkdirSync(folder);
  try {
    if (contestant.kind === 'veth') {
      for (const port of PORTS) {
        await home.ip('link', 'add', port, 'type', 'veth', 'peer', 'name', `${port}peer`);
        for (const end of [port, `${port}peer`]) await home.ip('link', 'set', end, 'up');
      }
    }
    await contestant.start(home, PORTS, folder, availableParallelism() - 1);
    await pause(SETTLE_MS);
    const shares: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const before = processes.time();
      const began = performance.now();
      await pause(ms);
      shares.push(((processes.time() - before) / 1e6 / (performance.now() - began)) * 100);
    }
    return shares;
  } finally {
    await processes.stop();
    await home.remove();
  }
}

/** A row for each of ours among `contestants`. */
export async function idle(
  scenario: string,
  wires: string,
  contestants: readonly Contestant[],
  options: Options,
): Promise<Row[]> {
  console.error(`bench: ${scenario}: ${wires}: at rest`);
  const folder = mkdtempSync(join(tmpdir(), 'etherloom-bench-'));
  const figures = new Map<Contestant, number[]>();
  try {
    for (const contestant of contestants) {
      const { name, ours } = contestant;
      try {
        const missing = ours || options.peers ? contestant.missing() : 'give --peers to compare';
        if (missing !== undefined) throw new Error(missing);
        figures.set(contestant, await rest(contestant, join(folder, String(figures.size)), 3, 2000));
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        console.error(`bench: ${scenario}: ${wires}: at rest: without ${name}: ${error.message}`);
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  const theirs = [...figures].filter(([{ ours }]) => !ours);
  const ofPeers = (value: (found: readonly number[]) => number): Record<string, number> =>
    Object.fromEntries(theirs.map(([{ name }, found]) => [name, value(found)]));
  return [...figures]
    .filter(([{ ours }]) => ours)
    .map(([{ name }, mine]) => ({
      scenario,
      point: `${wires}, 8 ports at rest, ${name}`,
      metric: 'share of a processor',
      unit: '%',
      ours: median(mine),
      spread: spread(mine),
      peers: ofPeers(median),
      peerSpreads: ofPeers(spread),
      ratio: ofPeers((found) => median(found) / median(mine)),
    }));
}
