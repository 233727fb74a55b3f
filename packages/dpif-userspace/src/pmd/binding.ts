/** The native binding of poll-mode threads, native/pmd.c. Functions throw an Error with numeric `errno`. */

import { loadBinding } from '../native.js';

export interface PmdBinding {
  /** A new eventfd. */
  doorbell(): number;
  /** Makes it readable. */
  ring(doorbell: number): void;
  /** Closes it. */
  close(doorbell: number): void;
  /** Sleeps until one of `fds[0, count)` is readable; the first is the thread's doorbell. Complements broken ones. */
  sleep(fds: Int32Array, count: number, milliseconds: number): number;
  /** Lets the calling thread run on that CPU only. */
  pin(cpu: number): void;
  /** Names the calling thread. */
  name(text: string): void;
  /** CLOCK_MONOTONIC in milliseconds to `into[0]`: 0.1 us. */
  clock(into: Float64Array): void;
}

/** ENOSYS when it is not built. */
export function pmdBinding(): PmdBinding {
  return loadBinding('pmd', ['doorbell', 'ring', 'close', 'sleep', 'pin', 'name', 'clock']);
}
