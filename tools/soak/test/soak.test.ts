/** A short soak finds nothing, and one whose account does not add up says so. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { writeCapture } from '../src/capture.js';
import { runEpoch } from '../src/epoch.js';
import { type Look, leaks } from '../src/leaks.js';
import { randomOf } from '../src/random.js';
import { Rig } from '../src/rig.js';

let folder: string;
let rig: Rig | undefined;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'etl-soak-'));
});
afterEach(async () => {
  await rig?.close();
  rig = undefined;
  rmSync(folder, { recursive: true });
});

async function start(threads: number, patience: number): Promise<Rig> {
  const capture = join(folder, 'frames.pcap');
  writeCapture(capture, randomOf(1));
  rig = await Rig.start({ threads, handlers: 2, capture, seed: 1, netns: undefined, patience });
  return rig;
}

it.each([1, 2])(
  'every packet is accounted for and every packet buffer comes back, with %i threads',
  async (threads) => {
    const running = await start(threads, 20_000);
    const random = randomOf(threads);
    let packets = 0;
    for (let epoch = 0; epoch < 2; epoch++) packets += (await runEpoch(running, random, 15)).rx;
    expect(packets).toBeGreaterThan(1000);
    expect(running.client.misses).toBeGreaterThan(0);
    expect(await running.clear()).toEqual([]);
  },
  120_000,
);

it('a packet that nobody accounts for ends it', async () => {
  const running = await start(1, 500);
  running.executed++;
  await expect(runEpoch(running, randomOf(3), 1)).rejects.toThrow(/^1 packets more came in than went out/);
}, 60_000);

it('what grows is a leak, what goes up and down is none', () => {
  const MIB = 2 ** 20;
  const look = (more: Partial<Look>): Look => ({
    ...{ fds: 20, threads: 11, heap: 10 * MIB, arrays: 36 * MIB, rss: 200 * MIB },
    ...more,
  });
  // Grows until it is warm, and is uneven.
  const calm = Array.from({ length: 18 }, (_, i) =>
    look({ rss: (Math.min(200 + 10 * i, 240) + (i % 3) * 40) * MIB, heap: (10 + (i % 2)) * MIB }),
  );
  expect(leaks([])).toEqual([]);
  expect(leaks(calm)).toEqual([]);
  expect(leaks([...calm, look({ fds: 21 })])).toEqual(['fds grew from 20 to 21']);
  expect(leaks([...calm, look({ threads: 12 })])).toEqual(['threads grew from 11 to 12']);
  // One odd look is no slope.
  expect(leaks([...calm, look({ heap: 30 * MIB, arrays: 90 * MIB, rss: 900 * MIB })])).toEqual([]);
  const growing = (more: (i: number) => Partial<Look>): string[] =>
    leaks(calm.map((one, i) => ({ ...one, ...more(i) })));
  expect(growing((i) => ({ rss: (200 + 2 * i) * MIB }))).toEqual([
    'resident memory grew by 2.0 MiB a generation, from 212.0 MiB to 234.0 MiB in 11 generations; 1.0 MiB are let pass',
  ]);
  expect(growing((i) => ({ heap: (10 + i + (i % 2)) * MIB }))).toEqual([
    expect.stringMatching(/^objects grew by 1\.0 MiB a generation/),
  ]);
  expect(growing((i) => ({ arrays: (36 + i / 4) * MIB }))).toEqual([
    expect.stringMatching(/^array buffers and shared memory grew by 0\.3 MiB a generation/),
  ]);
  expect(growing((i) => ({ heap: (10 + i / 8) * MIB, rss: (200 + i / 2) * MIB }))).toEqual([]);
});
