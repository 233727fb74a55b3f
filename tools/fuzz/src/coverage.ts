/**
 * Which code ran, from V8's precise block coverage by way of the inspector. Taking it costs about 1.5 ms, so it is taken
 * once per batch of inputs; the code itself runs at about two thirds of its speed.
 *
 * V8 counts blocks only in modules that it compiles after the start: import what is to be measured afterwards.
 */

import { type Profiler, Session } from 'node:inspector';

/** What ran between two calls of {@link Coverage.observe}. */
export type Observation = readonly ObservedFunction[];

interface ObservedFunction {
  /** Identifies the function: the URL of its module and where in it the function starts. */
  readonly id: string;
  readonly start: number;
  /** The first range is the function; each further one lies inside an earlier one and overrides its count. */
  readonly ranges: readonly Profiler.CoverageRange[];
}

export class Coverage {
  readonly #session = new Session();
  readonly #matches: (url: string) => boolean;
  /** For each function, 1 for each character of its source that ran. */
  #covered = new Map<string, Uint8Array>();
  #characters = 0;
  #scratch = new Uint8Array(0);

  /** Starts counting. `matches` says which modules count. */
  constructor(matches: (url: string) => boolean) {
    this.#matches = matches;
    this.#session.connect();
    this.#session.post('Profiler.enable');
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  /** Characters of source that ran so far, as far as committed; code of nested functions counts for both. */
  get characters(): number {
    return this.#characters;
  }

  /** What ran since the last call, or since the start. */
  observe(): Observation {
    let taken: Profiler.TakePreciseCoverageReturnType | undefined;
    // In a session on its own thread the answer comes before `post` returns.
    this.#session.post('Profiler.takePreciseCoverage', (error, result) => {
      if (error !== null) throw new Error(`V8 gives no coverage: ${error.message}`);
      taken = result;
    });
    if (taken === undefined) throw new Error('V8 gave no coverage');
    const scripts = taken.result.filter(({ url }) => this.#matches(url));
    return scripts.flatMap(({ url, functions }) =>
      functions.map(({ ranges }) => {
        const start = ranges[0]!.startOffset;
        return { id: `${url}:${start}`, start, ranges };
      }),
    );
  }

  /** Whether something ran that never ran in what was committed. */
  isNew(observation: Observation): boolean {
    return observation.some((observed) => {
      const ran = this.#paint(observed);
      const known = this.#covered.get(observed.id);
      if (known === undefined) return ran.includes(1);
      for (let at = 0; at < ran.length; at++) if (ran[at] === 1 && known[at] === 0) return true;
      return false;
    });
  }

  /** From now on this is known. */
  commit(observation: Observation): void {
    for (const observed of observation) {
      const ran = this.#paint(observed);
      let known = this.#covered.get(observed.id);
      if (known === undefined) {
        known = new Uint8Array(ran.length);
        this.#covered.set(observed.id, known);
      }
      for (let at = 0; at < ran.length; at++) {
        if (ran[at] === 0 || known[at] === 1) continue;
        known[at] = 1;
        this.#characters++;
      }
    }
  }

  /** Forgets everything, and starts with what runs from now on. */
  reset(): void {
    this.#covered = new Map();
    this.#characters = 0;
    this.observe();
  }

  /** Ends the count. */
  stop(): void {
    this.#session.disconnect();
  }

  /** 1 for each character of the function that ran; valid until the next call. */
  #paint({ start, ranges }: ObservedFunction): Uint8Array {
    const length = ranges[0]!.endOffset - start;
    if (this.#scratch.length < length) this.#scratch = new Uint8Array(length * 2);
    const ran = this.#scratch.subarray(0, length);
    for (const { startOffset, endOffset, count } of ranges) {
      ran.fill(count === 0 ? 0 : 1, startOffset - start, endOffset - start);
    }
    return ran;
  }
}
