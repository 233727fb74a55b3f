/** Tries the I/O drivers for real, in a network namespace that goes away with the process that is in it. */

import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Check } from './check.js';

/** Seen from src (under test) as from dist: the program runs as built. */
const TRIAL = fileURLToPath(new URL('../../dist/doctor/trial.js', import.meta.url));
const TIMEOUT = 30_000;

export async function driverChecks(drivers: readonly string[], directory: string): Promise<Check[]> {
  try {
    const args = ['--net', process.execPath, TRIAL, directory, ...drivers];
    const { stdout } = await promisify(execFile)('unshare', args, {
      timeout: TIMEOUT,
      killSignal: 'SIGKILL',
    });
    const checks: unknown = JSON.parse(stdout);
    if (isChecks(checks)) return checks;
    throw new Error(`the trial printed ${stdout.slice(0, 80)}`);
  } catch (error) {
    const { why, advice } = explain(error);
    return [
      {
        group: 'drivers',
        name: 'trials',
        result: 'fail',
        detail: `no driver could be tried: ${why}`,
        advice,
      },
    ];
  }
}

/** Why the trial did not come about: what the program that failed said last is the reason, what its command line was is not. */
function explain(error: unknown): { why: string; advice: string } {
  const { code, killed, stderr, message } = { ...failure(error) };
  if (code === 'ENOENT') {
    return { why: 'there is no program "unshare"', advice: 'install it (Debian package util-linux)' };
  }
  if (killed === true) {
    return {
      why: `it took more than ${TIMEOUT / 1000} s`,
      advice: 'try again when the machine has less to do',
    };
  }
  const last = stderr?.trim().split('\n').at(-1) ?? '';
  const why = last === '' ? (message ?? String(error)) : last;
  return why.startsWith('unshare: ')
    ? {
        why: `a network namespace cannot be made (${why})`,
        advice: 'run as root, or give the process CAP_SYS_ADMIN',
      }
    : { why, advice: 'look for it in the README of the driver, or load the drivers one by one' };
}

interface Failure {
  readonly code?: unknown;
  readonly killed?: unknown;
  readonly stderr?: string;
  readonly message?: string;
}

/** The members of what execFile rejects with. */
function failure(error: unknown): Failure {
  if (!(error instanceof Error)) return {};
  const { message } = error;
  return {
    message,
    ...('code' in error ? { code: error.code } : {}),
    ...('killed' in error ? { killed: error.killed } : {}),
    ...('stderr' in error && typeof error.stderr === 'string' ? { stderr: error.stderr } : {}),
  };
}

/** From our own program of the same version: only that it got as far as to print it is checked. */
function isChecks(value: unknown): value is Check[] {
  return (
    Array.isArray(value) &&
    value.every((check) => typeof check === 'object' && check !== null && 'result' in check)
  );
}
