/** A client that reads upcalls of all handlers, sometimes eagerly, sometimes after a nap. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { Dpif } from '@etherloom/core';
import type { Random } from './random.js';

const BATCH = 64;
const LONGEST_NAP_MS = 100;

export class Client {
  misses = 0;
  actions = 0;
  readonly #dpif: Dpif;
  readonly #random: Random;
  #abort = new AbortController();
  #readers: Promise<void>[] = [];

  constructor(dpif: Dpif, random: Random) {
    this.#dpif = dpif;
    this.#random = random;
  }

  get upcalls(): number {
    return this.misses + this.actions;
  }

  /** Comes, with so many handlers. Not while it is there. */
  async start(handlers: number): Promise<void> {
    await this.#dpif.handlersSet(handlers);
    await this.#dpif.recvSet(true);
    const abort = new AbortController();
    this.#abort = abort;
    this.#readers = Array.from({ length: handlers }, (_, handler) => this.#read(handler, abort.signal));
  }

  /** Goes; what waits for it is lost. */
  async stop(): Promise<void> {
    this.#abort.abort();
    await Promise.all(this.#readers);
    await this.#dpif.recvSet(false);
  }

  async #read(handler: number, signal: AbortSignal): Promise<void> {
    const random = this.#random;
    while (!signal.aborted) {
      const upcalls = await this.#dpif.recvBatch(handler, 1 + random(BATCH), signal);
      for (const { type } of upcalls) {
        if (type === 'miss') this.misses++;
        else this.actions++;
      }
      if (random(16) === 0) await sleep(random(LONGEST_NAP_MS));
    }
  }
}
