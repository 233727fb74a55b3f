/** Waits for a shared word to change without holding a thread: how one thread's data reach another one's event loop. */

/// <reference lib="es2024.sharedmemory" />

/**
 * Calls `changed` on this thread after each change of `words[index]` that `Atomics.notify` announces, until the returned
 * function is called. Does not keep the process alive.
 */
export function watchWord(words: Int32Array, index: number, changed: () => void): () => void {
  let stopped = false;
  const loop = async (): Promise<void> => {
    let seen = Atomics.load(words, index);
    while (!stopped) {
      const wait = Atomics.waitAsync(words, index, seen);
      await wait.value;
      seen = Atomics.load(words, index);
      if (!stopped) changed();
    }
  };
  void loop();
  return () => {
    stopped = true;
    // Ends the wait. Other waiters of the word look, see nothing new, and wait again.
    Atomics.notify(words, index);
  };
}
