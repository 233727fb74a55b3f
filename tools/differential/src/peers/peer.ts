/** One of the two daemons of a run: what a script may do with it. */

import { UnixctlClient, UnixctlConnectionError, UnixctlServerError } from '@etherloom/cli';
import type { Outcome } from '@etherloom/conformance';

/** The daemon is gone or hangs, in the middle of a script. */
export class PeerGoneError extends Error {
  override readonly name = 'PeerGoneError';
}

export interface Peer {
  /** Where files of scripts are, `@RT@` in its commands and answers. */
  readonly directory: string;
  /** Runs a command over the control socket, or by the real ovs-appctl. Rejects with a `PeerGoneError`. */
  run(cmd: readonly string[], appctl: boolean): Promise<Outcome>;
  /** The packets that `port` sent since the last call, in hexadecimal. */
  transmitted(port: string): Promise<string[]>;
  /** Back to the start state, whatever scripts made of it. */
  reset(): Promise<void>;
  /** Ends the daemon and removes what it left behind. Idempotent. */
  stop(): Promise<void>;
}

/** Milliseconds that a daemon may take for one command. */
const TIMEOUT = 20_000;

/** {@link transactOn} a connection of its own. */
export async function transact(socket: string, cmd: readonly string[]): Promise<Outcome> {
  let client: UnixctlClient;
  try {
    client = await UnixctlClient.connect(socket);
  } catch (error) {
    if (error instanceof UnixctlConnectionError) throw new PeerGoneError(error.message, { cause: error });
    throw error;
  }
  try {
    return await transactOn(client, socket, cmd);
  } finally {
    client.close();
  }
}

/** What ovs-appctl would print and return for `cmd`, without the price of a process. */
export async function transactOn(
  client: UnixctlClient,
  socket: string,
  [method = '', ...params]: readonly string[],
): Promise<Outcome> {
  try {
    const result = await client.transact(method, params, TIMEOUT);
    return { exit: 0, stdout: typeof result === 'string' ? result : '', stderr: '' };
  } catch (error) {
    if (error instanceof UnixctlServerError) {
      return {
        exit: 2,
        stdout: '',
        stderr: `${error.message}ovs-appctl: ${socket}: server returned an error\n`,
      };
    }
    if (error instanceof UnixctlConnectionError) throw new PeerGoneError(error.message, { cause: error });
    throw error;
  }
}

/** Runs `cmd`, which prepares a script and must work. */
export async function prepare(peer: Pick<Peer, 'run'>, cmd: readonly string[]): Promise<void> {
  const { exit, stderr } = await peer.run(cmd, false);
  if (exit !== 0) throw new Error(`"${cmd.join(' ')}" failed: ${stderr.trim()}`);
}
