/**
 * Runs a target on mutated inputs and keeps those that reach code that no other reached. One batch at a time, since
 * coverage is dear: only a batch that reached something new is halved until the inputs that did it are found.
 */

import type { Coverage } from './coverage.js';
import { runFor } from './guard.js';
import { Mutator } from './mutate/mutator.js';
import type { Random } from './random.js';
import type { Input, Target } from './target.js';

/**
 * Least and most inputs per batch. Coverage costs as much as a hundred runs, and to find the input that reached something
 * new costs about two runs of the batch: so small batches while much is new, large ones later.
 */
const MIN_BATCH = 32;
const MAX_BATCH = 1024;
/** What an input may take, in milliseconds. */
const SLOW = 1000;
/** Runs in a row that must be too slow, so that a busy machine is no finding. */
const SLOW_RUNS = 3;

/** An input that does what it must not, and what that was. */
export interface Failure {
  readonly input: Input;
  readonly error: Error;
}

/** An input ran for too long. */
export class TooSlow extends Error {
  override readonly name = 'TooSlow';
  constructor() {
    super(`the input takes longer than ${SLOW} ms`);
  }
}

const toError = (thrown: unknown): Error =>
  thrown instanceof Error ? thrown : new Error(`something that is no error was thrown: ${String(thrown)}`);

/** Runs one input; returns what is wrong with it. */
export function tryInput(target: Target, input: Input): Error | undefined {
  let error: Error | undefined;
  const work = (): void => {
    try {
      target.run(input);
    } catch (thrown) {
      error = toError(thrown);
    }
  };
  for (let run = 0; run < SLOW_RUNS; run++) if (runFor(SLOW, work)) return error;
  return new TooSlow();
}

export class Fuzzer {
  readonly #target: Target;
  readonly #coverage: Coverage;
  readonly #mutator: Mutator;
  readonly #seeds: readonly Input[];
  readonly #corpus: Input[];
  #runs = 0;

  /** Starts with `seeds`; there must be one at least. */
  constructor(target: Target, seeds: readonly Input[], coverage: Coverage, random: Random) {
    this.#target = target;
    this.#coverage = coverage;
    this.#seeds = seeds;
    this.#corpus = [...seeds];
    this.#mutator = new Mutator(random, target.parts, seeds);
  }

  /** Inputs that reached something new, in the order in which they were found. */
  get found(): readonly Input[] {
    return this.#corpus.slice(this.#seeds.length);
  }

  /** Inputs run, without those that were run again to find out which one it was. */
  get runs(): number {
    return this.#runs;
  }

  /** Runs the seeds, then mutations of them and of what was found, until `isOver()` or the first failure. */
  run(isOver: () => boolean): Failure | undefined {
    const failure = this.#sweep(this.#seeds);
    if (failure !== undefined) return failure;
    this.#runs += this.#seeds.length;
    this.#coverage.commit(this.#coverage.observe());
    let size = MIN_BATCH;
    while (!isOver()) {
      const before = this.#corpus.length;
      const batch = Array.from({ length: size }, () => this.#mutator.child(this.#corpus));
      const found = this.#explore(batch);
      if (found !== undefined) return found;
      size = this.#corpus.length === before ? Math.min(size * 2, MAX_BATCH) : Math.max(size >> 1, MIN_BATCH);
    }
    return undefined;
  }

  /** Runs `batch` and keeps what is new in it. */
  #explore(batch: readonly Input[]): Failure | undefined {
    const failure = this.#sweep(batch);
    if (failure !== undefined) return failure;
    this.#runs += batch.length;
    const reached = this.#coverage.observe();
    if (!this.#coverage.isNew(reached)) return undefined;
    this.#locate(batch, 0, batch.length);
    // What needs several inputs in a row would be new again and again.
    this.#coverage.commit(reached);
    return undefined;
  }

  /** Keeps those of the inputs `from` to `to` that reach something new. */
  #locate(batch: readonly Input[], from: number, to: number): void {
    this.#sweep(batch.slice(from, to));
    const reached = this.#coverage.observe();
    if (!this.#coverage.isNew(reached)) return;
    if (to - from === 1) {
      this.#coverage.commit(reached);
      this.#corpus.push(batch[from]!);
      return;
    }
    const middle = (from + to) >> 1;
    this.#locate(batch, from, middle);
    this.#locate(batch, middle, to);
  }

  /** Runs inputs up to the first that fails. */
  #sweep(inputs: readonly Input[]): Failure | undefined {
    let at = 0;
    let error: Error | undefined;
    const work = (): void => {
      try {
        for (; at < inputs.length; at++) this.#target.run(inputs[at]!);
      } catch (thrown) {
        error = toError(thrown);
      }
    };
    while (at < inputs.length) {
      // Most inputs are refused; a stack trace for each error costs more than all the rest.
      const limit = Error.stackTraceLimit;
      Error.stackTraceLimit = 0;
      const slow = !runFor(SLOW, work);
      Error.stackTraceLimit = limit;
      const input = inputs[at];
      // On a busy machine the time may run out behind the last of them.
      if (input === undefined) return undefined;
      // A batch that takes as long as one input may has a slow one in it, or the machine is busy.
      if (slow || error !== undefined) error = tryInput(this.#target, input) ?? error;
      if (error !== undefined) return { input, error };
      if (slow) at++;
    }
    return undefined;
  }
}
