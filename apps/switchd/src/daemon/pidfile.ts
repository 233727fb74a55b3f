/**
 * The pidfile, locked as Open vSwitch's clients want it: `ovs-appctl -t NAME` believes a pidfile only while the process that it
 * names holds a lock on it (native/pidlock.c). The lock also says whether another daemon runs; it cannot be stale.
 */

import {
  closeSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { UserError } from '../user-error.js';

const FILE_MODE = 0o600;

/** Those of this process, whose locks do not keep it out itself. */
const ours = new Set<string>();

export class Pidfile {
  readonly #path: string;
  readonly #fd: number;
  /** Process id of a daemon that died and left its pidfile; NaN when none did. */
  readonly dead: number;
  #held = true;

  private constructor(path: string, fd: number, dead: number) {
    this.#path = path;
    this.#fd = fd;
    this.dead = dead;
  }

  /**
   * Makes and locks the pidfile at `path`; returns the process id of the daemon that holds it when another does. Throws what the
   * system says, and a `UserError` when the native part is not there.
   */
  static claim(path: string): Pidfile | number {
    const lock = lockFunction();
    // A second try when its owner removed the file between our opening and locking it.
    for (;;) {
      if (ours.has(path)) return process.pid;
      const fd = openSync(path, 'a+', FILE_MODE);
      try {
        const holder = lock(fd);
        if (holder !== 0) {
          closeSync(fd);
          return holder;
        }
        if (!isAt(path, fd)) {
          closeSync(fd);
          continue;
        }
        const pidfile = new Pidfile(path, fd, readPid(fd));
        ftruncateSync(fd);
        writeSync(fd, `${process.pid}\n`);
        ours.add(path);
        return pidfile;
      } catch (error) {
        closeSync(fd);
        throw error;
      }
    }
  }

  /** Removes the file and gives the lock back. Idempotent. */
  release(): void {
    if (!this.#held) return;
    this.#held = false;
    // In this order: whoever gets the lock first finds no file that is about to be removed.
    rmSync(this.#path, { force: true });
    ours.delete(this.#path);
    closeSync(this.#fd);
  }
}

/** Whether the file behind `fd` is still the one at `path`. */
function isAt(path: string, fd: number): boolean {
  const there = statSync(path, { throwIfNoEntry: false });
  const { dev, ino } = fstatSync(fd);
  return there !== undefined && there.dev === dev && there.ino === ino;
}

/** NaN for anything but a number. */
function readPid(fd: number): number {
  const buffer = Buffer.alloc(32);
  const text = buffer.toString('latin1', 0, readSync(fd, buffer, 0, buffer.length, 0)).trim();
  return /^\d+$/.test(text) ? Number(text) : Number.NaN;
}

/** Loaded when it is needed. The only place that trusts its shape. */
function lockFunction(): (fd: number) => number {
  const path = fileURLToPath(new URL('../../native/pidlock.node', import.meta.url));
  try {
    const module: unknown = createRequire(import.meta.url)(path);
    if (isBinding(module)) return module.lock;
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new UserError(
      `the native part of @etherloom/switchd cannot be loaded (${reason}); build it with the package's script "native"`,
    );
  }
  throw new UserError(`${path} is of another version; build it anew with the package's script "native"`);
}

const isBinding = (module: unknown): module is { lock(fd: number): number } =>
  typeof module === 'object' && module !== null && 'lock' in module && typeof module.lock === 'function';
