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
    const said = error instanceof Error ? error.message.trim().replaceAll('\n', ' ') : String(error);
    return [
      {
        group: 'drivers',
        name: 'trials',
        result: 'fail',
        detail: `no driver could be tried in a network namespace: ${said}`,
        advice: 'it takes root, and the program "unshare" (Debian package util-linux)',
      },
    ];
  }
}

/** From our own program of the same version: only that it got as far as to print it is checked. */
function isChecks(value: unknown): value is Check[] {
  return (
    Array.isArray(value) &&
    value.every((check) => typeof check === 'object' && check !== null && 'result' in check)
  );
}
