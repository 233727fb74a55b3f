/**
 * Fuzzing of a program from outside: no coverage tells which inputs are worth keeping, so those are that it answers in
 * a way that was not seen before.
 */

import type { Failure } from '../fuzzer.js';
import { Mutator } from '../mutate/mutator.js';
import type { Random } from '../random.js';
import type { Input, Part } from '../target.js';

export interface Service {
  readonly parts: readonly Part[];
  seeds(): Input[];
  start(): Promise<void>;
  /** Gives it one input; resolves to what is characteristic of its answer, rejects when the input is a finding. */
  run(input: Input): Promise<string>;
  stop(): Promise<void>;
}

export class ServiceFuzzer {
  readonly #service: Service;
  readonly #mutator: Mutator;
  readonly #corpus: Input[];
  readonly #answers = new Set<string>();
  #runs = 0;

  constructor(service: Service, random: Random) {
    this.#service = service;
    this.#corpus = service.seeds();
    this.#mutator = new Mutator(random, service.parts, this.#corpus);
  }

  get runs(): number {
    return this.#runs;
  }

  /** Kinds of answers seen. */
  get answers(): number {
    return this.#answers.size;
  }

  /** Runs the seeds and then mutations until `isOver()` or the first failure. */
  async run(isOver: () => boolean): Promise<Failure | undefined> {
    for (const seed of [...this.#corpus]) {
      const failure = await this.#try(seed);
      if (failure !== undefined) return failure;
    }
    while (!isOver()) {
      const failure = await this.#try(this.#mutator.child(this.#corpus));
      if (failure !== undefined) return failure;
    }
    return undefined;
  }

  async #try(input: Input): Promise<Failure | undefined> {
    this.#runs++;
    try {
      const answer = await this.#service.run(input);
      if (!this.#answers.has(answer)) {
        this.#answers.add(answer);
        this.#corpus.push(input);
      }
      return undefined;
    } catch (error) {
      return { input, error: error instanceof Error ? error : new Error(String(error)) };
    }
  }
}
