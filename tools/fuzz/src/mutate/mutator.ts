/** Makes new inputs of those that were found so far. */

import type { Random } from '../random.js';
import { bytesOfText, type Input, type Part, textOf } from '../target.js';
import { mutateBytes, mutateInPlace } from './bytes.js';
import { mutateNetlink } from './netlink.js';
import { mutateText, wordsOf } from './text.js';

/** Most mutations of one input. */
const ROUNDS = 5;
const MAX_WORD_TEXTS = 2000;

export class Mutator {
  readonly #random: Random;
  readonly #parts: readonly Part[];
  readonly #words: readonly string[];

  /** `seeds` tell which words texts are made of. */
  constructor(random: Random, parts: readonly Part[], seeds: readonly Input[]) {
    this.#random = random;
    this.#parts = parts;
    const texts = parts.flatMap(({ kind }, i) =>
      kind === 'text' ? seeds.slice(0, MAX_WORD_TEXTS).map((seed) => textOf(seed[i]!)) : [],
    );
    this.#words = wordsOf(texts);
  }

  /** A child of one of `corpus`, which is not empty; younger ones are chosen more often. */
  child(corpus: readonly Input[]): Input {
    const random = this.#random;
    const youth = 1 - (random.next() / 2 ** 32) ** 2;
    const input = [...corpus[Math.min(Math.floor(youth * corpus.length), corpus.length - 1)]!];
    for (let round = random.below(ROUNDS); round >= 0; round--) {
      const place = random.below(this.#parts.length);
      input[place] = this.#mutate(place, input, random.pick(corpus));
    }
    return input;
  }

  #mutate(place: number, input: Input, donor: Input): Uint8Array {
    const random = this.#random;
    const { kind, maxLength } = this.#parts[place]!;
    const bytes = input[place]!;
    if (kind === 'knobs') return mutateInPlace(random, bytes);
    const alike = this.#parts.flatMap((part, i) => (part.kind === kind ? [i] : []));
    const given = donor[random.pick(alike)]!;
    if (kind === 'netlink') return mutateNetlink(random, bytes, given).subarray(0, maxLength);
    if (kind === 'bytes') return mutateBytes(random, bytes, given).subarray(0, maxLength);
    return bytesOfText(mutateText(random, textOf(bytes), textOf(given), this.#words)).subarray(0, maxLength);
  }
}
