/** The server end of the control protocol: one connection at a time gets a request answered, in order. */

import { createServer, type Server, type Socket } from 'node:net';
import {
  arityError,
  JsonSplitter,
  type JsonValue,
  MAX_REQUEST_BYTES,
  parseRequest,
  UnixctlProtocolError,
  type UnixctlReply,
} from '@etherloom/cli';
import type { Logger } from '../daemon/log.js';
import type { Answer, ConnectionOptions, ControlCommand } from './command.js';

/** Requests of one connection that are answered before others have their turn (unixctl.c). */
const REQUESTS_PER_TURN = 10;
/** Connections at once: each may hold one request and one reply in memory. */
const MAX_CONNECTIONS = 64;
/** Milliseconds that a peer may take to read a reply before it is cut off. */
const WRITE_TIMEOUT = 30_000;

export class ControlServer {
  readonly #commands = new Map<string, ControlCommand>();
  readonly #log: Logger;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(log: Logger) {
    this.#log = log;
    // Half-open: a peer that sent its requests and closed its side still gets its answers.
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket));
    this.#server.maxConnections = MAX_CONNECTIONS;
  }

  register(commands: Iterable<ControlCommand>): void {
    for (const command of commands) this.#commands.set(command.name, command);
  }

  commands(): Iterable<ControlCommand> {
    return this.#commands.values();
  }

  /** Listens at `path`. The caller's umask decides who may connect. */
  listen(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(path, () => {
        this.#server.off('error', reject);
        this.#server.on('error', (error) => this.#log.error({ err: error }, 'control socket failed'));
        resolve();
      });
    });
  }

  /** Stops listening; replies under way have a moment to leave, then all connections are cut. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.end();
    const cut = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy();
    }, 500);
    await closed;
    clearTimeout(cut);
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    // A peer that went away: its socket closes, and that is all.
    socket.on('error', () => {});
    void this.#serve(socket).catch((error: unknown) => {
      this.#log.error({ err: error }, 'control connection failed');
      socket.destroy();
    });
  }

  /**
   * Reading from the socket stops while its requests are answered: what a peer sends faster than that stays in the
   * kernel's buffer. So a connection holds at most one unfinished request, one chunk of whole ones, and one reply.
   */
  async #serve(socket: Socket): Promise<void> {
    const splitter = new JsonSplitter(MAX_REQUEST_BYTES);
    const options: ConnectionOptions = { format: 'text', errors: 'ovs' };
    let answered = 0;
    try {
      for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
        for (const text of splitter.push(chunk)) {
          await this.#reply(socket, await this.#answer(text, options));
          if (++answered % REQUESTS_PER_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
        }
      }
    } catch (error) {
      if (error instanceof UnixctlProtocolError) {
        await this.#reply(socket, { id: null, result: null, error: error.message }).catch(() => undefined);
      } else if (!(error instanceof Error && 'code' in error)) {
        throw error;
      }
    }
    socket.end();
  }

  async #answer(text: string, options: ConnectionOptions): Promise<UnixctlReply> {
    const { id, method, params } = parseRequest(text);
    try {
      const answer = await this.#run(method, params, options);
      return { id, result: result(answer, options), error: null };
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.#log.debug({ method, params, error: message }, 'control command failed');
      return { id, result: null, error: options.errors === 'ovs' ? ended(message) : message };
    }
  }

  async #run(method: string, params: readonly JsonValue[], options: ConnectionOptions): Promise<Answer> {
    const command = this.#commands.get(method);
    if (command === undefined) {
      throw new Error(
        `"${method}" is not a valid command (use "list-commands" to see a list of valid commands)`,
      );
    }
    const wrong = arityError(method, params.length, command);
    if (wrong !== undefined) throw new Error(wrong);
    const args = params.filter((param) => typeof param === 'string');
    if (args.length < params.length) throw new Error(`"${method}" command has non-string argument`);
    return command.run(args, options);
  }

  /** Resolves when the peer's kernel has taken the reply; rejects when the peer is gone or too slow. */
  async #reply(socket: Socket, reply: UnixctlReply): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        socket.destroy();
        reject(Object.assign(new Error('the peer does not read its replies'), { code: 'ETIMEDOUT' }));
      }, WRITE_TIMEOUT);
      socket.write(JSON.stringify(reply), (error) => {
        clearTimeout(timer);
        if (error) reject(error);
        else resolve();
      });
    });
  }
}

/** Old clients print a text as it is, so it must end its last line. An empty one stays empty. */
const ended = (text: string): string => (text === '' || text.endsWith('\n') ? text : `${text}\n`);

/** In JSON mode a command without a JSON form answers its text, wrapped as Open vSwitch wraps it. */
function result({ text, json }: Answer, { format }: ConnectionOptions): JsonValue {
  if (format === 'text') return ended(text);
  return json ?? { 'reply-format': 'plain', reply: text };
}
