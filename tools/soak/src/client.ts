/** A client that reads upcalls of all handlers, sometimes eagerly, sometimes after a nap. */

import { setTimeout as sleep } from 'node:timers/promises';
import type { Dpif } from '@etherloom/core';
import type { Random } from './random.js';

const BATCH = 64;
const LONGEST_NAP_MS = 100;

export class Client {
  misses = 0;
  actions = 0;
  readonly #abort = new AbortController();
  readonly #readers: Promise<void>[];

  constructor(dpif: Dpif, handlers: number, random: Random) {
    this.#readers = Array.from({ length: handlers }, (_, handler) => this.#read(dpif, handler, random));
  }

  get upcalls(): number {
    return this.misses + this.actions;
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await Promise.all(this.#readers);
  }

  async #read(dpif: Dpif, handler: number, random: Random): Promise<void> {
    const { signal } = this.#abort;
    for (;;) {
      const upcalls = await dpif.recvBatch(handler, 1 + random(BATCH), signal);
      if (upcalls.length === 0) return;
      for (const { type } of upcalls) {
        if (type === 'miss') this.misses++;
        else this.actions++;
      }
      if (random(16) === 0) await sleep(random(LONGEST_NAP_MS));
    }
  }
}
