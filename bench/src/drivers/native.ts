/** What drivers of benchmarks ask of the datapath's native binding. */

import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

export interface Native {
  /** Monotonic milliseconds to `into[0]`. `performance.now()` makes garbage, whose collection would be what is measured. */
  clock(into: Float64Array): void;
  /** Lets the calling thread run on that CPU only. */
  pin(cpu: number): void;
}

export function native(): Native {
  const path = fileURLToPath(new URL('../../../packages/dpif-userspace/native/pmd.node', import.meta.url));
  return createRequire(import.meta.url)(path);
}
