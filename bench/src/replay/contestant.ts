/** Who takes part in a comparison of datapaths. */

import type { Workload } from './workload.js';

export interface Contestant {
  readonly name: string;
  /** Why it cannot take part; undefined when it can, after installing what it needs. */
  missing(): string | undefined;
  /** Starts it with `workload`, its packets' path on processor `core`, at rest. `folder` is empty and its own. */
  start(workload: Workload, folder: string, core: number): Promise<Running>;
}

export interface Running {
  /** Forwards for `ms` milliseconds, then rests; nanoseconds of processor time per packet that went out. */
  measure(ms: number): Promise<number>;
  stop(): Promise<void>;
}
