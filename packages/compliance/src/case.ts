/** What a compliance suite is made of: plain cases that any test runner can run, and the adapter for the usual two. */

export interface ComplianceCase {
  /** What holds, as a sentence; unique in its suite. */
  readonly name: string;
  /** The sentence of the contract that demands it, and where it stands. */
  readonly cites: string;
  /** Why this case cannot be run here; runners report it as skipped for this reason. */
  readonly skip?: string;
  /** Sets up, checks, tears down. Rejects with an `AssertionError` where the contract is broken. */
  run(): Promise<void>;
}

/** The part of a test's context that both Vitest and node:test have. Vitest's `skip` throws, node:test's marks. */
export interface CaseContext {
  skip(reason?: string): unknown;
}

/** `describe` and `it` of Vitest or node:test. */
export interface Runner {
  describe(name: string, body: () => void): unknown;
  /** node:test has no time limit by itself and ignores `timeout`, in milliseconds. */
  it(name: string, body: (context: CaseContext) => Promise<void>, timeout?: number): unknown;
}

/** Opening and closing 1,000 TAP devices takes the kernel 10 to 20 s on a busy machine. */
const TIMEOUT = 120_000;

/** Defines a test per case. With `skip` all of them are skipped for that reason: the machine lacks something. */
export function defineSuite(
  name: string,
  cases: readonly ComplianceCase[],
  runner: Runner,
  skip: string | undefined = undefined,
): void {
  runner.describe(name, () => {
    for (const item of cases) {
      const reason = skip ?? item.skip;
      const body = async (context: CaseContext): Promise<void> => {
        if (reason === undefined) await item.run();
        else context.skip(reason);
      };
      runner.it(item.name, body, TIMEOUT);
    }
  });
}
