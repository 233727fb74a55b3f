/** The client end of the control protocol. */

import { connect, type Socket } from 'node:net';
import { type JsonValue, MAX_REPLY_BYTES, parseReply, UnixctlProtocolError } from './protocol.js';
import { JsonSplitter } from './splitter.js';

/** The server understood the request and refused it; the message is the server's text. */
export class UnixctlServerError extends Error {
  override readonly name = 'UnixctlServerError';
  /** The error as it came: a text for control commands, an object for remote methods. */
  readonly reply: JsonValue;

  constructor(reply: JsonValue) {
    super(typeof reply === 'string' ? reply : JSON.stringify(reply));
    this.reply = reply;
  }
}

/** No answer is to be had: nobody listens, the connection broke, or time ran out. `code` is the system's errno name when it gave one. */
export class UnixctlConnectionError extends Error {
  override readonly name = 'UnixctlConnectionError';
  readonly code: string | undefined;

  constructor(message: string, code?: string) {
    super(message);
    this.code = code;
  }
}

interface Waiting {
  readonly resolve: (result: JsonValue) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout | undefined;
}

/** How long a request may take by default, in milliseconds: a dump of a full flow table takes a few seconds. */
const DEFAULT_TIMEOUT = 60_000;
const CONNECT_ATTEMPTS = 50;
const CONNECT_PAUSE = 50;

/** One connection. Requests may overlap; the server answers them in order, but for those that wait for something. */
export class UnixctlClient {
  /** Of the socket. */
  readonly path: string;
  readonly #socket: Socket;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 0;
  #broken: Error | undefined;

  private constructor(socket: Socket, path: string) {
    this.#socket = socket;
    this.path = path;
    const splitter = new JsonSplitter(MAX_REPLY_BYTES);
    socket.on('data', (chunk: Buffer) => {
      try {
        for (const text of splitter.push(chunk)) this.#receive(text);
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        this.#break(new UnixctlConnectionError(`${path} does not speak the control protocol: ${reason}`));
      }
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.#break(
        new UnixctlConnectionError(`the connection to ${path} broke: ${error.message}`, error.code),
      );
    });
    socket.on('close', () =>
      this.#break(new UnixctlConnectionError(`the server closed the connection to ${path}`)),
    );
  }

  /** Connects to the socket at `path`. Rejects with a `UnixctlConnectionError`. */
  static async connect(path: string): Promise<UnixctlClient> {
    // EAGAIN: more wait to be accepted than the kernel lets. That passes.
    for (let attempt = 0; attempt < CONNECT_ATTEMPTS; attempt++) {
      try {
        return await UnixctlClient.#connect(path);
      } catch (error) {
        if (!(error instanceof UnixctlConnectionError && error.code === 'EAGAIN')) throw error;
        await new Promise((resolve) => setTimeout(resolve, CONNECT_PAUSE));
      }
    }
    return UnixctlClient.#connect(path);
  }

  static #connect(path: string): Promise<UnixctlClient> {
    return new Promise((resolve, reject) => {
      // Not as a bare text: that would be a TCP port if it is a number.
      const socket = connect({ path });
      const failed = (error: NodeJS.ErrnoException): void => {
        reject(
          new UnixctlConnectionError(`cannot connect to ${path}: ${error.code ?? error.message}`, error.code),
        );
      };
      socket.once('error', failed);
      socket.once('connect', () => {
        socket.off('error', failed);
        resolve(new UnixctlClient(socket, path));
      });
    });
  }

  /**
   * Sends one request and resolves to its result. Rejects with a `UnixctlServerError` when the server refuses it and
   * with a `UnixctlConnectionError` when no answer comes within `timeout` milliseconds (`Infinity`: however long it takes).
   */
  transact(
    method: string,
    params: readonly string[] = [],
    timeout: number = DEFAULT_TIMEOUT,
  ): Promise<JsonValue> {
    if (this.#broken !== undefined) return Promise.reject(this.#broken);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const late = (): void => {
        this.#waiting.delete(id);
        const message = `${this.path} did not answer "${method}" within ${timeout} ms`;
        reject(new UnixctlConnectionError(message, 'ETIMEDOUT'));
      };
      const timer = timeout === Number.POSITIVE_INFINITY ? undefined : setTimeout(late, timeout);
      this.#waiting.set(id, { resolve, reject, timer });
      this.#socket.write(JSON.stringify({ id, method, params }));
    });
  }

  close(): void {
    this.#break(new UnixctlConnectionError(`the connection to ${this.path} is closed`));
  }

  #receive(text: string): void {
    const { id, result, error } = parseReply(text);
    if (id === null && error !== null) throw new UnixctlProtocolError(String(error));
    const waiting = typeof id === 'number' ? this.#waiting.get(id) : undefined;
    // A reply to a request that timed out.
    if (waiting === undefined) return;
    this.#waiting.delete(Number(id));
    clearTimeout(waiting.timer);
    if (error === null) waiting.resolve(result);
    else waiting.reject(new UnixctlServerError(error));
  }

  #break(error: Error): void {
    if (this.#broken !== undefined) return;
    this.#broken = error;
    this.#socket.destroy();
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(error);
    }
    this.#waiting.clear();
  }
}
