/** What figures were measured on, without saying whose machine it is. */

import { availableParallelism, cpus, release, totalmem } from 'node:os';

export interface Machine {
  readonly cpu: string;
  /** Processors that this process may use. */
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly node: string;
}

export function machine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() || 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    // Its version only: what a distribution or a builder appends says more than matters.
    kernel: `${process.platform} ${/^[\d.]*\d/.exec(release())?.[0] ?? ''}`,
    node: process.version,
  };
}
