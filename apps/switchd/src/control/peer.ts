/**
 * One control connection. It holds at most one unfinished request, one chunk of whole ones, one reply or a piece of one, and
 * the bounded replies of commands that wait; reading stops while requests are answered, so that what a peer sends faster
 * than that stays in the kernel's buffer.
 */

import type { Socket } from 'node:net';
import {
  arityError,
  JsonSplitter,
  type JsonValue,
  MAX_REQUEST_BYTES,
  parseRequest,
  UnixctlProtocolError,
  type UnixctlRequest,
} from '@etherloom/cli';
import type { Logger } from '../daemon/log.js';
import type { Answer, Connection, ControlCommand } from './command.js';
import { ControlError } from './command.js';
import { ReplyStream } from './reply-stream.js';

/** Requests of one connection that are answered before others have their turn (unixctl.c). */
const REQUESTS_PER_TURN = 10;
/** Milliseconds that a peer may take to read a piece of a reply before it is cut off. */
const WRITE_TIMEOUT = 30_000;
/** Milliseconds that a peer has to close its side after we closed ours. */
const LINGER = 500;

export interface PeerHost {
  readonly log: Logger;
  command(name: string): ControlCommand | undefined;
  /** A request came. */
  received(): void;
  /** A reply left as a whole. */
  replied(): void;
  /** The connection is gone, and everything that was under way for it has ended. */
  closed(): void;
}

/** The peer went away, or does not read. */
class Gone extends Error {
  override readonly name = 'Gone';
}

export class Peer {
  readonly #socket: Socket;
  readonly #host: PeerHost;
  readonly #ended = new AbortController();
  readonly #connection: Connection;
  /** Answers of commands that wait. */
  readonly #waiting = new Set<Promise<void>>();
  #answering = false;

  constructor(socket: Socket, host: PeerHost) {
    this.#socket = socket;
    this.#host = host;
    this.#connection = { format: 'text', errors: 'ovs', ended: this.#ended.signal, inUse: false };
    // A peer that went away: its socket closes, and that is all.
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#ended.abort();
      host.closed();
    });
  }

  /** Whether a request is being answered, or something is open for it. */
  get busy(): boolean {
    return this.#answering || this.#connection.inUse || this.#waiting.size > 0;
  }

  serve(): void {
    this.#serve().catch((error: unknown) => {
      this.#host.log.error({ err: error }, 'control connection failed');
      this.cut();
    });
  }

  /** Lets the reply under way leave, then closes. */
  end(): void {
    this.#socket.end();
    // What it still sends is of no interest, but its end is.
    this.#socket.resume();
    const timer = setTimeout(() => this.cut(), LINGER);
    this.#socket.once('close', () => clearTimeout(timer));
  }

  cut(): void {
    this.#socket.destroy();
  }

  async #serve(): Promise<void> {
    const splitter = new JsonSplitter(MAX_REQUEST_BYTES);
    let answered = 0;
    try {
      for await (const chunk of this.#socket.iterator({ destroyOnReturn: false })) {
        for (const text of splitter.push(chunk)) {
          this.#answering = true;
          await this.#answer(parseRequest(text));
          if (++answered % REQUESTS_PER_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
        }
        this.#answering = false;
      }
    } catch (error) {
      if (error instanceof UnixctlProtocolError) {
        this.#reply(null, { error: error.message }).catch(() => undefined);
      } else if (!(error instanceof Gone) && !(error instanceof Error && 'code' in error)) {
        throw error;
      }
    }
    this.#answering = false;
    // Nobody will ask again: what waits for something ends now.
    this.#ended.abort();
    await Promise.all(this.#waiting);
    this.end();
  }

  async #answer(request: UnixctlRequest): Promise<void> {
    this.#host.received();
    const command = this.#host.command(request.method);
    const done = this.#perform(command, request);
    if (command?.waits !== true) return done;
    const settled = done.catch(() => this.cut());
    this.#waiting.add(settled);
    void settled.then(() => this.#waiting.delete(settled));
  }

  async #perform(command: ControlCommand | undefined, { id, method, params }: UnixctlRequest): Promise<void> {
    const { format } = this.#connection;
    const stream = new ReplyStream(id, format, (piece) => this.#write(piece));
    let answer: Answer;
    try {
      answer = await run(command, method, params, this.#connection, stream);
    } catch (error) {
      // Half an answer is out: only the end of the connection can say that it is not a whole one.
      if (stream.begun || error instanceof Gone) {
        this.#host.log.debug({ method, err: error }, 'control command failed in the middle of its answer');
        throw error instanceof Gone ? error : new Gone('half an answer');
      }
      const message = error instanceof Error ? error.message : String(error);
      this.#host.log.debug({ method, error: message }, 'control command failed');
      const text = this.#connection.errors === 'ovs' ? ended(message) : message;
      return this.#reply(id, { error: error instanceof ControlError ? error.json : text });
    }
    if (stream.begun) {
      await stream.end();
      this.#host.replied();
      return;
    }
    const { text, json } = answer;
    // Set-options itself answers in the format that it sets.
    if (this.#connection.format === 'text') return this.#reply(id, { result: ended(text) });
    // In JSON mode a command without a JSON form answers its text, wrapped as Open vSwitch wraps it.
    return this.#reply(id, { result: json === undefined ? { 'reply-format': 'plain', reply: text } : json });
  }

  async #reply(
    id: JsonValue,
    { result = null, error = null }: { result?: JsonValue; error?: JsonValue },
  ): Promise<void> {
    await this.#write(JSON.stringify({ id, result, error }));
    this.#host.replied();
  }

  /** Resolves when the peer's kernel has taken the bytes; rejects when the peer is gone or too slow. */
  async #write(bytes: string): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.cut();
        reject(new Gone('the peer does not read its replies'));
      }, WRITE_TIMEOUT);
      this.#socket.write(bytes, (error) => {
        clearTimeout(timer);
        if (error) reject(new Gone(error.message));
        else resolve();
      });
    });
  }
}

function run(
  command: ControlCommand | undefined,
  method: string,
  params: readonly JsonValue[],
  connection: Connection,
  stream: ReplyStream,
): Promise<Answer> {
  if (command === undefined) {
    throw new Error(
      `"${method}" is not a valid command (use "list-commands" to see a list of valid commands)`,
    );
  }
  const wrong = arityError(method, params.length, command);
  if (wrong !== undefined) throw new Error(wrong);
  const args = params.filter((param) => typeof param === 'string');
  if (args.length < params.length) throw new Error(`"${method}" command has non-string argument`);
  return command.run(args, connection, stream);
}

/** Old clients print a text as it is, so it must end its last line. An empty one stays empty. */
const ended = (text: string): string => (text === '' || text.endsWith('\n') ? text : `${text}\n`);
