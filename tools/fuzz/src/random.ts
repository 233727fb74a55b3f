/** Random numbers that a seed repeats: sfc32 (Doty-Humphrey), good enough to fuzz with and a few nanoseconds each. */

export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** Any 32-bit number is a seed. */
  constructor(seed: number) {
    this.#a = seed | 0;
    this.#b = 0x9e3779b9 | 0;
    this.#c = 0x243f6a88 | 0;
    for (let i = 0; i < 12; i++) this.next();
  }

  /** 0..2 ** 32 - 1. */
  next(): number {
    const out = (this.#a + this.#b + this.#counter++) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = ((this.#c << 21) | (this.#c >>> 11)) + out;
    return out >>> 0;
  }

  /** 0..n - 1; 0 for n = 0. */
  below(n: number): number {
    return Math.floor((this.next() / 2 ** 32) * n);
  }

  /** True once in `n` times. */
  oneIn(n: number): boolean {
    return this.below(n) === 0;
  }

  /** One of `values`, which are not empty. */
  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!;
  }
}
