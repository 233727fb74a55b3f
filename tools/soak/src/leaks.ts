/**
 * What a process holds when it should hold nothing: descriptors, threads, memory. Looks are taken in the same state each
 * time, with everything torn down and the garbage collected, so that like is compared with like.
 *
 * Descriptors and threads are counted, and none may be left. Memory goes up and down with what compilers and allocators
 * keep, so it is its slope that tells, beyond a floor that is named below: median and minimum of the earlier looks are
 * compared with those of the later ones, so that odd ones change little. The first looks do not count: heaps, and what
 * malloc keeps of them, grow to what the work takes first.
 */

import { readdirSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { openFds } from '@etherloom/testkit';

const KIB = 2 ** 10;
const MIB = 2 ** 20;

/** Looks that do not count, at the beginning: a third, but not so few. */
const WARM_UP = 4;
/** Looks behind these from which on there is a slope to speak of. */
const TREND = 8;

/**
 * What memory may grow by from one look to the next, in bytes. One generation that is not let go would leave more: a closed
 * datapath has 2 MiB of rings in shared memory for each thread, and a thread 10 MiB resident. Objects are those of the
 * control thread; 0.1 to 0.2 MiB a generation are code that V8 compiles as paths become warm.
 */
const FLOORS = {
  heap: { bytes: 512 * KIB, what: 'objects' },
  arrays: { bytes: 64 * KIB, what: 'array buffers and shared memory' },
  rss: { bytes: 1 * MIB, what: 'resident memory' },
} as const;

export interface Look {
  readonly fds: number;
  readonly threads: number;
  /** JavaScript objects of the control thread and what else V8 holds for them, without array buffers: bytes. */
  readonly heap: number;
  /** Array buffers and shared memory that the control thread made, its own and what it shares with threads, in bytes. */
  readonly arrays: number;
  /** Memory as the system counts it, of all threads, in bytes. */
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
  const { heapUsed, external, arrayBuffers, rss } = process.memoryUsage();
  const threads = readdirSync('/proc/self/task').length;
  return { fds: openFds(), threads, heap: heapUsed + external, arrays: arrayBuffers, rss };
}

const mib = (bytes: number): string => `${(bytes / MIB).toFixed(1)} MiB`;

export const describeLook = ({ fds, threads, heap, arrays, rss }: Look): string =>
  `${fds} descriptors, ${threads} threads, ${mib(heap)} of objects, ${mib(arrays)} of arrays, ${mib(rss)} resident`;

/** What grew from look to look, a sentence each. */
export function leaks(looks: readonly Look[]): string[] {
  const [first, last] = [looks[0], looks.at(-1)];
  if (first === undefined || last === undefined) return [];
  const found: string[] = [];
  for (const what of ['fds', 'threads'] as const) {
    if (last[what] > first[what]) found.push(`${what} grew from ${first[what]} to ${last[what]}`);
  }
  const warm = looks.slice(Math.max(WARM_UP, Math.floor(looks.length / 3)));
  if (warm.length < TREND) return found;
  for (const kind of ['heap', 'arrays', 'rss'] as const) {
    const { bytes, what } = FLOORS[kind];
    const slope = slopeOf(warm.map((one) => one[kind]));
    if (slope <= bytes) continue;
    const span = `from ${mib(warm[0]![kind])} to ${mib(last[kind])} in ${warm.length - 1} generations`;
    found.push(`${what} grew by ${mib(slope)} a generation, ${span}; ${mib(bytes)} are let pass`);
  }
  return found;
}

/** By how much both the middle and the least of the second half of `values` are above those of the first, by step. */
function slopeOf(values: readonly number[]): number {
  const half = values.length >> 1;
  const [early, late] = [values.slice(0, half), values.slice(-half)];
  const rise = Math.min(middle(late) - middle(early), Math.min(...late) - Math.min(...early));
  return rise / (values.length - half);
}

const middle = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[values.length >> 1]!;
