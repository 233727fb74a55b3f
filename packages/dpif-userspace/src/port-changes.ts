/** Port changes as one opener polls them (dpif_port_poll, dpif_port_poll_wait). */

import { onAbort, type PortChange } from '@etherloom/core';
import type { PortListener } from './datapath.js';

/** Changes by name that are kept for a slow reader; from then on it hears "something changed". */
const MAX_NAMES = 256;

export class PortChanges implements PortListener {
  /** Undefined: too many to name. */
  #names: Set<string> | undefined = new Set();
  readonly #waiters = new Set<() => void>();

  portChanged(name: string): void {
    this.#names?.add(name);
    if (this.#names !== undefined && this.#names.size > MAX_NAMES) this.#names = undefined;
    this.wakeAll();
  }

  /** The oldest change not told yet. A port that changed several times is told once. */
  poll(): PortChange | undefined {
    if (this.#names === undefined) {
      this.#names = new Set();
      return {};
    }
    for (const name of this.#names) {
      this.#names.delete(name);
      return { name };
    }
    return undefined;
  }

  wait(signal?: AbortSignal): Promise<void> {
    if (this.#names === undefined || this.#names.size > 0 || signal?.aborted === true)
      return Promise.resolve();
    return new Promise((resolve) => {
      const wake = (): void => {
        forget?.();
        this.#waiters.delete(wake);
        resolve();
      };
      const forget = signal && onAbort(signal, wake);
      this.#waiters.add(wake);
    });
  }

  wakeAll(): void {
    for (const wake of [...this.#waiters]) wake();
  }
}
