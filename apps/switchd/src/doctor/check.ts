/** What `switchd --doctor` finds out, one by one: its shape is what `etherloom doctor --json` prints. */

/** `note`: good to know; `warn`: something works less well; `fail`: something does not work. */
export type Result = 'ok' | 'note' | 'warn' | 'fail';

export type Check = {
  /** `machine`, `drivers`, or `interface NAME`. */
  readonly group: string;
  readonly name: string;
  readonly result: Result;
  readonly detail: string;
  /** What to do, when there is something to do. */
  readonly advice?: string;
};

export type Diagnosis = {
  /** Whether nothing failed. */
  readonly ok: boolean;
  readonly checks: readonly Check[];
};
