/**
 * Readiness of raw file descriptors for the event loop: what an inline datapath sleeps on, where a poll-mode thread
 * would call ppoll(2).
 *
 * From the write to the callback it takes 40 us (median over a pipe with the loop asleep, 30 at best): two threads wake
 * one after the other. native/fdwait.c is the one that waits. A descriptor is reported once and then left alone until
 * {@link WatchHandle.arm} (0.6 us): a datapath that keeps finding packets calls it only when it found none.
 */

import { DpifError } from '@etherloom/core';
import { loadBinding, systemError } from './native.js';

/** How long `arm` waits when a descriptor had an error and nothing to read: a deleted TAP would otherwise spin. */
const BROKEN_DELAY_MS = 100;

/** What native/fdwait.c offers. Functions throw an Error with numeric `errno`. */
interface FdWaitBinding {
  create(ready: (token: number, broken: boolean) => void): object;
  add(watcher: object, fd: number, token: number): void;
  arm(watcher: object, fd: number, token: number): void;
  remove(watcher: object, fd: number): void;
  ref(watcher: object): void;
  unref(watcher: object): void;
  close(watcher: object): void;
}

/** One descriptor that is watched. */
export interface WatchHandle {
  /**
   * Asks for the next report, which comes at once when the descriptor is readable already. No effect when the handle
   * or the descriptor is closed.
   */
  arm(): void;
  /** Stops watching; the callback is not called any more. Call it before the descriptor is closed. Idempotent. */
  close(): void;
}

export interface FdWatcherOptions {
  /** Whether the process stays alive while something is watched; default true. */
  readonly ref?: boolean;
}

/** Watches descriptors with one thread, for one thread: callbacks run on the event loop that made the watcher. */
export class FdWatcher {
  readonly #native: FdWaitBinding;
  readonly #watcher: object;
  readonly #ref: boolean;
  readonly #watched = new Map<number, Watched>();
  #tokens = 0;
  #closed = false;

  /** Starts the thread. ENOSYS when the native binding is not built; EMFILE, EAGAIN as the system says. */
  constructor(options: FdWatcherOptions = {}) {
    this.#native = loadBinding('fdwait', ['create', 'add', 'arm', 'remove', 'ref', 'unref', 'close']);
    this.#ref = options.ref ?? true;
    // Not `this`: the thread must not keep a watcher alive that its user forgot.
    const watched = this.#watched;
    try {
      this.#watcher = this.#native.create((token, broken) => watched.get(token)?.report(broken));
    } catch (error) {
      throw systemError(error, 'cannot start watching file descriptors');
    }
    this.#native.unref(this.#watcher);
  }

  /**
   * Calls `callback` once when `fd` is readable, or has an error; again only after `arm`. The descriptor stays the
   * caller's. EEXIST when it is watched already, EPERM when it is of a kind that is always ready (a file), EBADF when
   * it is not open or the watcher is closed.
   */
  watch(fd: number, callback: () => void): WatchHandle {
    if (this.#closed)
      throw new DpifError('EBADF', `cannot watch file descriptor ${fd}: the watcher is closed`);
    const token = this.#tokens++;
    try {
      this.#native.add(this.#watcher, fd, token);
    } catch (error) {
      throw systemError(error, `cannot watch file descriptor ${fd}`);
    }
    const watched = new Watched(
      callback,
      () => this.#native.arm(this.#watcher, fd, token),
      () => this.#forget(fd, token),
    );
    this.#watched.set(token, watched);
    if (this.#ref && this.#watched.size === 1) this.#native.ref(this.#watcher);
    return watched;
  }

  /** Ends all watching, and the thread. Idempotent. */
  close(): void {
    if (this.#closed) return;
    for (const watched of [...this.#watched.values()]) watched.close();
    this.#closed = true;
    this.#native.close(this.#watcher);
  }

  #forget(fd: number, token: number): void {
    this.#watched.delete(token);
    this.#native.remove(this.#watcher, fd);
    if (this.#ref && this.#watched.size === 0) this.#native.unref(this.#watcher);
  }
}

class Watched implements WatchHandle {
  readonly #callback: () => void;
  readonly #arm: () => void;
  readonly #forget: () => void;
  #broken = false;
  #closed = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(callback: () => void, arm: () => void, forget: () => void) {
    this.#callback = callback;
    this.#arm = arm;
    this.#forget = forget;
  }

  report(broken: boolean): void {
    this.#broken = broken;
    this.#callback();
  }

  arm(): void {
    if (this.#closed || this.#timer !== undefined) return;
    if (!this.#broken) {
      this.#arm();
      return;
    }
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#arm();
    }, BROKEN_DELAY_MS);
    this.#timer.unref();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#forget();
  }
}
