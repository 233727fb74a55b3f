/** The real ovs-appctl. */

import { execFile, spawnSync } from 'node:child_process';
import type { Outcome } from './transcript.js';

const APPCTL = 'ovs-appctl';
/** Seconds after which ovs-appctl gives up. */
const TIMEOUT = '20';
const MAX_OUTPUT = 64 << 20;

/** Why ovs-appctl cannot run here; undefined when it can. */
export function whyNoAppctl(): string | undefined {
  const { error, status } = spawnSync(APPCTL, ['--version'], { stdio: 'ignore' });
  if (error === undefined && status === 0) return undefined;
  return `${APPCTL} does not run here: install it (Debian and Ubuntu: openvswitch-common)`;
}

/** Runs ovs-appctl with `args` on the daemon that listens at `socket`. */
export function appctl(socket: string, args: readonly string[]): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const argv = ['-t', socket, '-T', TIMEOUT, ...args];
    execFile(APPCTL, argv, { maxBuffer: MAX_OUTPUT }, (error, stdout, stderr) => {
      const exit = error === null ? 0 : error.code;
      if (typeof exit !== 'number') reject(error);
      else resolve({ exit, stdout, stderr });
    });
  });
}
