/** A run of small numbers that decides how something is spelled; zero is always the plainest way. */

import fc from 'fast-check';

const COUNT = 24;
const LIMIT = 1000;

export const choicesArbitrary: fc.Arbitrary<readonly number[]> = fc.array(fc.nat(LIMIT - 1), {
  minLength: COUNT,
  maxLength: COUNT,
});

export class Choices {
  readonly #numbers: readonly number[];
  #next = 0;

  constructor(numbers: readonly number[]) {
    this.#numbers = numbers;
  }

  /** 0..n-1. */
  below(n: number): number {
    return this.#numbers[this.#next++ % this.#numbers.length]! % n;
  }

  /** True in one of `n` cases. */
  oneIn(n: number): boolean {
    return this.below(n) === n - 1;
  }

  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
}
