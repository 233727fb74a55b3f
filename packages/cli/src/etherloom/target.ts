/** Finds the control socket of the running switchd. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { UnixctlClient, UnixctlConnectionError } from '../unixctl/client.js';
import { CliError } from './errors.js';

export const DEFAULT_RUN_DIR = '/run/etherloom';

/** The run directory when nobody says which: that of Open vSwitch's tools, where they are told one. */
export const defaultRunDir = (): string => process.env.OVS_RUNDIR || DEFAULT_RUN_DIR;

/** Name of the daemon in its pidfile and socket: `switchd.pid` and `switchd.PID.ctl`. */
const DAEMON = 'switchd';

const HOW_TO_START =
  'start one with "switchd --datapath br0 --port tap0,type=tap", or name its directory with --run-dir';

/** Connects to the socket at `socket`, or to that of the daemon whose pidfile is in `runDir`. */
export async function connectDaemon(target: {
  readonly socket?: string;
  readonly runDir: string;
}): Promise<UnixctlClient> {
  const path = target.socket ?? socketOf(target.runDir);
  if (path === '')
    throw new CliError('--socket is empty; give the path of the control socket, or leave it out');
  try {
    return await UnixctlClient.connect(path);
  } catch (error) {
    if (!(error instanceof UnixctlConnectionError)) throw error;
    if (error.code === 'EACCES' || error.code === 'EPERM') {
      throw new CliError(
        `no permission to talk to switchd at ${path}; run the command as the user that runs switchd`,
      );
    }
    if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') {
      throw new CliError(`no switchd listens at ${path}; ${HOW_TO_START}`);
    }
    throw new CliError(error.message);
  }
}

function socketOf(runDir: string): string {
  const pidfile = join(runDir, `${DAEMON}.pid`);
  let text: string;
  try {
    text = readFileSync(pidfile, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      throw new CliError(`no switchd is running in ${runDir} (there is no ${DAEMON}.pid); ${HOW_TO_START}`);
    }
    throw new CliError(`${pidfile} cannot be read (${code}); run the command as the user that runs switchd`);
  }
  const pid = text.trim();
  if (!/^\d+$/.test(pid))
    throw new CliError(`${pidfile} holds "${pid}", which is not a process id; restart switchd`);
  return join(runDir, `${DAEMON}.${pid}.ctl`);
}
