/**
 * The run directory of a daemon: pidfile `switchd.pid`, control socket `switchd.PID.ctl` and log `switchd.log`, the
 * names by which ovs-appctl and `etherloom` find them. One daemon per directory.
 */

import { existsSync, mkdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join, resolve } from 'node:path';
import { UserError } from '../user-error.js';

/** Only its owner may enter: whoever reaches the control socket controls the switch. */
const DIR_MODE = 0o700;
const FILE_MODE = 0o600;
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
  static async claim(directory: string): Promise<RunDir> {
    const path = resolve(directory);
    const excess = Buffer.byteLength(socketPath(path, process.pid)) - MAX_SOCKET_PATH;
    if (excess > 0) {
      throw new UserError(
        `run directory ${path} is ${excess} bytes too long for the path of a socket; choose a shorter --run-dir`,
      );
    }
    let made: string | undefined;
    try {
      made = mkdirSync(path, { recursive: true, mode: DIR_MODE });
    } catch (error) {
      throw cannot('be made', path, error);
    }
    const runDir = new RunDir(path, made);
    try {
      await runDir.#writePidfile();
    } catch (error) {
      runDir.#removeMade();
      throw error;
    }
    return runDir;
  }

  async #writePidfile(): Promise<void> {
    // A second try after a dead daemon's pidfile is gone; a third daemon that starts meanwhile wins.
    for (let attempt = 0; ; attempt++) {
      try {
        writeFileSync(this.pidfile, `${process.pid}\n`, { flag: 'wx', mode: FILE_MODE });
        process.once('exit', this.#atExit);
        return;
      } catch (error) {
        if (codeOf(error) !== 'EEXIST' || attempt > 0) throw cannot('be written to', this.path, error);
      }
      await this.#removeDead();
    }
  }

  async #removeDead(): Promise<void> {
    const pid = readPid(this.pidfile);
    const socket = socketPath(this.path, pid);
    // A process id may have been given to another program since: only a daemon answers at its socket.
    if (isAlive(pid) && (await answers(socket))) {
      throw new UserError(
        `switchd runs in ${this.path} already (process ${pid}); stop it with "etherloom exit --run-dir ${this.path}" or choose another --run-dir`,
      );
    }
    rmSync(socket, { force: true });
    rmSync(this.pidfile, { force: true });
  }

  /** Removes pidfile and socket; the log stays. Idempotent. */
  release(): void {
    process.off('exit', this.#atExit);
    rmSync(this.socket, { force: true });
    // Unless the next daemon has written its own meanwhile.
    if (readPid(this.pidfile) === process.pid) rmSync(this.pidfile, { force: true });
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

const socketPath = (directory: string, pid: number): string => join(directory, `switchd.${pid}.ctl`);

/** NaN for a pidfile that is gone or holds anything but a number. */
function readPid(pidfile: string): number {
  try {
    const text = readFileSync(pidfile, 'utf8').trim();
    return text === '' ? Number.NaN : Number(text);
  } catch {
    return Number.NaN;
  }
}

const codeOf = (error: unknown): unknown =>
  error instanceof Error && 'code' in error ? error.code : undefined;

const cannot = (what: string, path: string, error: unknown): UserError =>
  new UserError(
    `run directory ${path} cannot ${what} (${codeOf(error) ?? error}); choose another with --run-dir or run switchd as root`,
  );

function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // It lives, but belongs to another user.
    return codeOf(error) === 'EPERM';
  }
}

/** Whether something listens at a Unix socket. */
function answers(path: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(path);
    const finish = (answer: boolean): void => {
      socket.destroy();
      done(answer);
    };
    socket.once('connect', () => finish(true));
    socket.once('error', () => finish(false));
  });
}
