/** The server end of the control protocol: who may connect, how many, and which commands there are. */

import { createServer, type Server, type Socket } from 'node:net';
import type { Logger } from '../daemon/log.js';
import type { ControlCommand } from './command.js';
import { Peer } from './peer.js';

/** Connections at once: what each can make the daemon hold is bounded (peer.ts). */
const MAX_CONNECTIONS = 64;

export class ControlServer {
  readonly #commands = new Map<string, ControlCommand>();
  readonly #log: Logger;
  readonly #server: Server;
  /** Oldest activity first. */
  readonly #peers = new Set<Peer>();
  #received = 0;
  #replied = 0;

  constructor(log: Logger) {
    this.#log = log;
    // Half-open: a peer that sent its requests and closed its side still gets its answers.
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket));
  }

  register(commands: Iterable<ControlCommand>): void {
    for (const command of commands) this.#commands.set(command.name, command);
  }

  commands(): Iterable<ControlCommand> {
    return this.#commands.values();
  }

  /** Requests received so far. */
  get received(): number {
    return this.#received;
  }

  /** Requests answered so far. */
  get replied(): number {
    return this.#replied;
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
    for (const peer of this.#peers) peer.end();
    await closed;
  }

  #accept(socket: Socket): void {
    if (this.#peers.size >= MAX_CONNECTIONS && !this.#makeRoom()) {
      socket.on('error', () => {});
      socket.end(
        JSON.stringify({
          id: null,
          result: null,
          error: `switchd has ${MAX_CONNECTIONS} control connections, all in use; close one`,
        }),
        () => socket.destroy(),
      );
      return;
    }
    const peer = new Peer(socket, {
      log: this.#log,
      command: (name) => this.#commands.get(name),
      received: () => {
        this.#received++;
        this.#peers.delete(peer);
        this.#peers.add(peer);
      },
      replied: () => {
        this.#replied++;
      },
      closed: () => this.#peers.delete(peer),
    });
    this.#peers.add(peer);
    peer.serve();
  }

  /** Cuts the connection that was silent longest among those that nothing is open for and nothing is done for. */
  #makeRoom(): boolean {
    for (const peer of this.#peers) {
      if (peer.busy) continue;
      peer.cut();
      this.#peers.delete(peer);
      return true;
    }
    return false;
  }
}
