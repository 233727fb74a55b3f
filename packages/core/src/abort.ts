/** Waiting calls and the signal that ends them. */

const waiting = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Calls `callback` when `signal`, which has not aborted yet, does; not any more after what is returned was called. A signal gets one
 * listener, however many calls wait with it: a client may end all of its own with one, and Node takes more than ten for a leak.
 */
export function onAbort(signal: AbortSignal, callback: () => void): () => void {
  let callbacks = waiting.get(signal);
  if (callbacks === undefined) {
    const all = new Set<() => void>();
    callbacks = all;
    waiting.set(signal, all);
    const listener = (): void => {
      for (const call of all) call();
    };
    signal.addEventListener('abort', listener, { once: true });
  }
  const registered = callbacks;
  registered.add(callback);
  return () => {
    registered.delete(callback);
  };
}

/** Resolves after so many milliseconds, or when `signal` aborts. Does not keep the process alive. */
export function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = (): void => {
      clearTimeout(timer);
      forget();
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    timer.unref();
    const forget = onAbort(signal, done);
  });
}
