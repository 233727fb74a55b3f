/**
 * The run directory of a daemon: pidfile `switchd.pid`, control socket `switchd.PID.ctl` and log `switchd.log`, the
 * names by which ovs-appctl and `etherloom` find them. One daemon per directory.
 */

import { existsSync, mkdirSync, rmdirSync, rmSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { UserError } from '../user-error.js';
import { Pidfile } from './pidfile.js';

/** Only its owner may enter: whoever reaches the control socket controls the switch. */
const DIR_MODE = 0o700;
/** Bytes that fit sun_path with its terminator (unix(7)). Node cuts off what is longer, without a word. */
const MAX_SOCKET_PATH = 107;

export class RunDir {
  readonly path: string;
  readonly pidfile: string;
  readonly socket: string;
  readonly log: string;
  /** The outermost directory that `claim` had to make. */
  readonly #made: string | undefined;
  readonly #logIsNew: boolean;
  #claimed: Pidfile | undefined;
  /** Also when the process ends by an error that nobody foresaw. */
  readonly #atExit = (): void => this.release();

  private constructor(path: string, made: string | undefined) {
    this.path = path;
    this.pidfile = join(path, 'switchd.pid');
    this.socket = socketPath(path, process.pid);
    this.log = join(path, 'switchd.log');
    this.#made = made;
    this.#logIsNew = !existsSync(this.log);
  }

  /**
   * Takes the directory for this process, making it where it is missing. What a dead daemon left is cleaned up; a
   * living one makes it throw a `UserError`, as does everything that cannot be written.
   */
  static claim(directory: string): RunDir {
    const path = resolve(directory);
    const excess = Buffer.byteLength(socketPath(path, process.pid)) - MAX_SOCKET_PATH;
    if (excess > 0) {
      throw new UserError(
        `run directory ${path} is ${excess} bytes too long for the path of a socket; choose a shorter --run-dir`,
      );
    }
    let made: string | undefined;
    try {
      made = makeDirectory(path);
    } catch (error) {
      throw cannot('be made', path, error);
    }
    const runDir = new RunDir(path, made);
    try {
      runDir.#claimPidfile();
    } catch (error) {
      runDir.#removeMade();
      throw error;
    }
    return runDir;
  }

  #claimPidfile(): void {
    let claimed: Pidfile | number;
    try {
      claimed = Pidfile.claim(this.pidfile);
    } catch (error) {
      throw error instanceof UserError ? error : cannot('be written to', this.path, error);
    }
    if (typeof claimed === 'number') {
      throw new UserError(
        `switchd runs in ${this.path} already (process ${claimed}); stop it with "etherloom exit --run-dir ${this.path}" or choose another --run-dir`,
      );
    }
    this.#claimed = claimed;
    process.once('exit', this.#atExit);
    if (!Number.isNaN(claimed.dead)) rmSync(socketPath(this.path, claimed.dead), { force: true });
  }

  /** Removes pidfile and socket; the log stays. Idempotent. */
  release(): void {
    process.off('exit', this.#atExit);
    rmSync(this.socket, { force: true });
    this.#claimed?.release();
  }

  /** After a start that failed: also removes the log and the directories, where they are this start's own. */
  abandon(): void {
    this.release();
    if (this.#logIsNew) rmSync(this.log, { force: true });
    this.#removeMade();
  }

  #removeMade(): void {
    if (this.#made === undefined) return;
    for (let path = this.path; ; path = resolve(path, '..')) {
      try {
        rmdirSync(path);
      } catch {
        // Somebody put something there: it is not only ours any more.
        return;
      }
      if (path === this.#made) return;
    }
  }
}

/**
 * Makes a directory and those above it; returns the outermost one that was not there. Node's own recursive mkdir never comes back,
 * and takes all memory, where the system says ENOENT of a directory that is there, as it does below /proc.
 */
function makeDirectory(path: string): string | undefined {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return undefined;
  const parent = dirname(path);
  const made = existsSync(parent) ? undefined : makeDirectory(parent);
  mkdirSync(path, { mode: DIR_MODE });
  return made ?? path;
}

const socketPath = (directory: string, pid: number): string => join(directory, `switchd.${pid}.ctl`);

const codeOf = (error: unknown): unknown =>
  error instanceof Error && 'code' in error ? error.code : undefined;

const cannot = (what: string, path: string, error: unknown): UserError =>
  new UserError(
    `run directory ${path} cannot ${what} (${codeOf(error) ?? error}); choose another with --run-dir or run switchd as root`,
  );
