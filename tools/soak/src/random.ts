/** Random numbers that a seed repeats (mulberry32). */

/** A whole number from 0 to below `below`. */
export type Random = (below: number) => number;

export function randomOf(seed: number): Random {
  let state = seed | 0;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

/** One of `values`, which are not empty. */
export const pick = <T>(random: Random, values: readonly T[]): T => values[random(values.length)]!;
