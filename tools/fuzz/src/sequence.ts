/**
 * What a fuzz sequence is: a world that random steps are done to, one after the other, for code that keeps state and
 * answers with promises. Not guided by coverage: an episode is a new world, made and tried with the random numbers of its own
 * seed, so that a finding is repeated by its number.
 */

import type { Random } from './random.js';
import type { ReadVectors } from './target.js';

export interface Sequence {
  /** One episode: makes a world, does steps to it, and rejects when something does not hold. `log` gets each step first. */
  episode(random: Random, log: (step: string) => void): Promise<void>;
}

export interface SequenceEntry {
  readonly name: string;
  /** One line for `--list`. */
  readonly about: string;
  load(read: ReadVectors): Promise<Sequence>;
}

export const SEQUENCES: readonly SequenceEntry[] = [
  {
    name: 'operate',
    about: 'a user-space datapath: random operations with hostile bytes, packets, ports that come and go',
    load: async (read) => (await import('./sequences/operate.js')).operate(read),
  },
];

export interface SequenceFailure {
  readonly episode: number;
  readonly error: Error;
  /** The last steps. */
  readonly steps: readonly string[];
}

/** What an episode may take, in milliseconds: a turn of the event loop that lasts longer is a finding. */
const STALL = 3000;
const KEPT_STEPS = 40;

/** Seed of an episode: any two differ. */
export const episodeSeed = (seed: number, episode: number): number =>
  (seed + Math.imul(episode, 0x9e3779b1)) | 0;

/** Runs episodes from `first` on until `isOver()`, or the first failure. Returns how many there were, or the failure. */
export async function runSequence(
  sequence: Sequence,
  randomOf: (episode: number) => Random,
  first: number,
  isOver: () => boolean,
): Promise<number | SequenceFailure> {
  let unhandled: unknown;
  const onUnhandled = (reason: unknown): void => {
    unhandled ??= reason;
  };
  process.on('unhandledRejection', onUnhandled);
  let turn = performance.now();
  let longest = 0;
  const watch = setInterval(() => {
    const now = performance.now();
    longest = Math.max(longest, now - turn);
    turn = now;
  }, 100);
  let episode = first;
  try {
    for (; !isOver(); episode++) {
      const steps: string[] = [];
      const log = (step: string): void => {
        steps.push(step);
        if (steps.length > KEPT_STEPS) steps.shift();
      };
      try {
        await sequence.episode(randomOf(episode), log);
        // Rejections that nobody handles are told a turn later.
        await new Promise((resolve) => setImmediate(resolve));
        if (unhandled !== undefined) throw unhandled;
        if (longest > STALL) throw new Error(`the event loop stood still for ${Math.round(longest)} ms`);
      } catch (thrown) {
        const error =
          thrown instanceof Error ? thrown : new Error(`something that is no error: ${String(thrown)}`);
        return { episode, error, steps };
      }
    }
    return episode - first;
  } finally {
    clearInterval(watch);
    process.off('unhandledRejection', onUnhandled);
  }
}
