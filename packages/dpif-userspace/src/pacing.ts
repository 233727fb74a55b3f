/** Long work of the control path in slices, so that packets, timers and sockets have their turns in between. */

/** How long one slice may keep the event loop, in milliseconds. */
export const SLICE_MS = 2;

/** Resolves when everything else that is ready had its turn. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

export class Pacer {
  #since = performance.now();

  /** Lets others have their turn when the slice is used up. Cheap when it is not: ask often. */
  async pause(): Promise<void> {
    if (!this.due()) return;
    await nextTurn();
    this.#since = performance.now();
  }

  due(): boolean {
    return performance.now() - this.#since > SLICE_MS;
  }
}
