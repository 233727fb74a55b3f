/** The client end of the remote methods: calls over one connection, with every failure as a `DpifError`. */

import { DpifError, onAbort } from '@etherloom/core';
import { JsonShapeError } from '../json.js';
import { type UnixctlClient, UnixctlConnectionError, UnixctlServerError } from '../unixctl/client.js';
import type { Codec } from './codec.js';
import { cancel, type RemoteMethod } from './methods.js';
import { ERROR } from './values.js';

export class Link {
  readonly #client: UnixctlClient;
  #nextWait = 0;

  constructor(client: UnixctlClient) {
    this.#client = client;
  }

  /** Readies the connection for calls: results come as JSON, not as text that holds JSON. */
  async start(): Promise<void> {
    try {
      await this.#client.transact('set-options', ['--format', 'json']);
    } catch (error) {
      throw this.#translate('set-options', error);
    }
  }

  /** Calls `method`. Rejects with the server's `DpifError`; ENOTCONN when the connection is gone, ETIMEDOUT without an answer. */
  async call<A, R>(method: RemoteMethod<A, R>, args: A): Promise<R> {
    return this.callPacked(method, JSON.stringify(method.args.pack(args)));
  }

  /** `call` with arguments that are JSON text already. */
  async callPacked<R>(
    { name, result, waits }: Pick<RemoteMethod<never, R>, 'name' | 'result' | 'waits'>,
    args: string,
  ): Promise<R> {
    try {
      const timeout = waits ? Number.POSITIVE_INFINITY : undefined;
      return result.read(await this.#client.transact(name, [args], timeout), 'result');
    } catch (error) {
      throw this.#translate(name, error);
    }
  }

  /** Calls a method that waits, giving it up when `signal` aborts: it then answers what it has, which may be nothing. */
  async wait<A, R>(
    method: RemoteMethod<readonly [number, A], R>,
    args: A,
    signal: AbortSignal | undefined,
  ): Promise<R> {
    const wait = this.#nextWait++;
    const abort = (): void => {
      // Whatever became of it, the call itself says.
      this.call(cancel, wait).catch(() => undefined);
    };
    const forget = signal && onAbort(signal, abort);
    try {
      const answer = this.call(method, [wait, args]);
      if (signal?.aborted) abort();
      return await answer;
    } finally {
      forget?.();
    }
  }

  #translate(name: string, error: unknown): unknown {
    const { path } = this.#client;
    if (error instanceof UnixctlServerError) {
      if (typeof error.reply === 'object') return read(ERROR, error, path);
      return new DpifError(
        'EOPNOTSUPP',
        `the program at ${path} refused "${name}": ${error.message.trim()}; it may be no switchd of this version`,
      );
    }
    if (error instanceof UnixctlConnectionError) {
      if (error.code === 'ETIMEDOUT') return new DpifError('ETIMEDOUT', error.message, { cause: error });
      return new DpifError('ENOTCONN', `${error.message}; connect again`, { cause: error });
    }
    if (error instanceof JsonShapeError) return misshapen(path, error);
    return error;
  }
}

function read(codec: Codec<DpifError>, error: UnixctlServerError, path: string): DpifError {
  try {
    return codec.read(error.reply, 'error');
  } catch (misread) {
    if (!(misread instanceof JsonShapeError)) throw misread;
    return misshapen(path, misread);
  }
}

const misshapen = (path: string, error: JsonShapeError): DpifError =>
  new DpifError(
    'EPROTO',
    `the program at ${path} answered with ${error.message}; it may be of another version than this one`,
  );
