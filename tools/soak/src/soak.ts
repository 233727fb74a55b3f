/** Generations of epochs: each generation has a datapath of its own, after which nothing of it may be left. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { missingPrivileges, Netns } from '@etherloom/testkit';
import { writeCapture } from './capture.js';
import { runEpoch, SoakError } from './epoch.js';
import { type Look, leaks, look } from './leaks.js';
import { randomOf } from './random.js';
import { Rig } from './rig.js';

/** Epochs of a generation, and operations of an epoch. */
const EPOCHS = 3;
const OPERATIONS = 120;

export interface SoakOptions {
  readonly seed: number;
  /** The generation to begin with. */
  readonly first: number;
  /** Whether to go on, asked after each generation with their number so far. */
  more(generations: number): boolean;
  /** Told of progress now and then. */
  progress(summary: Summary): void;
  /** Told what is left at rest, after each generation. */
  rested(generation: number, look: Look): void;
}

export interface Summary {
  generations: number;
  epochs: number;
  operations: number;
  /** Packets received; all of them are accounted for. */
  packets: number;
  /** Nanoseconds of traffic. */
  time: number;
  upcalls: number;
  crashes: number;
  readonly drops: Record<string, number>;
  readonly looks: Look[];
}

/** Runs until told otherwise. Throws a {@link SoakError} when something is lost or left; the message says how to repeat it. */
export async function soak(options: SoakOptions): Promise<Summary> {
  const summary: Summary = {
    generations: 0,
    epochs: 0,
    operations: 0,
    packets: 0,
    time: 0,
    upcalls: 0,
    crashes: 0,
    drops: {},
    looks: [],
  };
  const folder = mkdtempSync(join(tmpdir(), 'etherloom-soak-'));
  try {
    do {
      const generation = options.first + summary.generations;
      try {
        await runGeneration(generation, options, folder, summary);
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        throw new SoakError(
          `generation ${generation}: ${error.message}\nagain: npm run soak -- --seed ${options.seed} --first ${generation}`,
          { cause: error },
        );
      }
      summary.generations++;
      const rest = await look();
      summary.looks.push(rest);
      options.rested(generation, rest);
      options.progress(summary);
    } while (options.more(summary.generations));
  } finally {
    rmSync(folder, { recursive: true });
  }
  const found = leaks(summary.looks);
  if (found.length > 0) throw new SoakError(`something leaks: ${found.join('; ')}`);
  return summary;
}

/** Why there are no TAPs; undefined when there are. */
export const withoutTaps = (): string | undefined => missingPrivileges(['tun', 'netns']);

async function runGeneration(
  generation: number,
  { seed, progress }: SoakOptions,
  folder: string,
  summary: Summary,
): Promise<void> {
  const random = randomOf(Math.imul(seed, 0x9e3779b1) ^ generation);
  const capture = join(folder, 'frames.pcap');
  writeCapture(capture, random);
  const netns = withoutTaps() === undefined ? await Netns.create() : undefined;
  try {
    const rig = await Rig.start({
      threads: 1 + random(2),
      handlers: 1 + random(3),
      capture,
      seed: random(2 ** 31),
      netns,
    });
    const { upcalls, crashes } = summary;
    try {
      for (let epoch = 0; epoch < EPOCHS; epoch++) {
        const began = performance.now();
        const { rx, operations } = await runEpoch(rig, random, OPERATIONS);
        summary.time += (performance.now() - began) * 1e6;
        summary.epochs++;
        summary.packets += rx;
        summary.operations += operations;
        summary.upcalls = upcalls + rig.client.upcalls;
        summary.crashes = crashes + rig.crashes;
        progress(summary);
      }
      const { drops } = await rig.count();
      for (const [reason, count] of Object.entries(drops)) {
        summary.drops[reason] = (summary.drops[reason] ?? 0) + count;
      }
      const missing = await rig.clear();
      if (missing.length > 0) throw new SoakError(missing.join('; '));
    } finally {
      await rig.close();
    }
  } finally {
    await netns?.remove();
  }
}
