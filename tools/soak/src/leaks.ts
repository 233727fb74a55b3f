/** What a process holds when it should hold nothing: descriptors, threads, memory. */

import { readdirSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { openFds } from '@etherloom/testkit';

const MIB = 2 ** 20;
/** Heap and shared memory may grow by this between the first look and the last, in bytes. */
const GROWTH = 8 * MIB;
/** And memory as the system counts it by this part, between the second third of the looks and the last. */
const RSS_GROWTH = 0.15;
/** Looks from which on there is a trend. */
const TREND = 6;

export interface Look {
  readonly fds: number;
  readonly threads: number;
  /** JavaScript objects, array buffers and what else V8 holds for us, in bytes. */
  readonly heap: number;
  readonly rss: number;
}

setFlagsFromString('--expose-gc');
const collect: unknown = runInNewContext('gc');

/** Looks after the garbage is collected; some of it goes only when its finalizers ran. */
export async function look(): Promise<Look> {
  if (typeof collect !== 'function') throw new Error('this Node cannot collect garbage on demand');
  for (let i = 0; i < 5; i++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const { heapUsed, external, rss } = process.memoryUsage();
  return { fds: openFds(), threads: readdirSync('/proc/self/task').length, heap: heapUsed + external, rss };
}

export const describeLook = ({ fds, threads, heap, rss }: Look): string =>
  `${fds} descriptors, ${threads} threads, ${(heap / MIB).toFixed(1)} MiB of objects, ${(rss / MIB).toFixed(0)} MiB resident`;

/** What grew from look to look, a sentence each. */
export function leaks(looks: readonly Look[]): string[] {
  const [first, last] = [looks[0], looks.at(-1)];
  if (first === undefined || last === undefined) return [];
  const found: string[] = [];
  for (const what of ['fds', 'threads'] as const) {
    if (last[what] > first[what]) found.push(`${what} grew from ${first[what]} to ${last[what]}`);
  }
  if (last.heap - first.heap > GROWTH) {
    found.push(`objects grew by ${((last.heap - first.heap) / MIB).toFixed(1)} MiB`);
  }
  if (looks.length >= TREND) {
    // Until then heaps grow to what the work takes.
    const warm = looks.slice(Math.floor(looks.length / 3));
    const half = warm.length >> 1;
    const [early, late] = [middle(warm.slice(0, half)), middle(warm.slice(half))];
    if (late > early * (1 + RSS_GROWTH)) {
      found.push(`resident memory grew from ${(early / MIB).toFixed(0)} to ${(late / MIB).toFixed(0)} MiB`);
    }
  }
  return found;
}

const middle = (looks: readonly Look[]): number =>
  looks.map(({ rss }) => rss).sort((a, b) => a - b)[looks.length >> 1]!;
