/** Dumps over a connection: a slice per request, so that neither end holds more than a slice, whatever the size of the table. */

import { DpifError, type DpifPort, type Flow, type FlowDump } from '@etherloom/core';
import type { Link } from './link.js';
import * as methods from './methods.js';

/** Flows that the iterator fetches at a time. */
const CHUNK = 64;

export async function* dumpPorts(link: Link, handle: number): AsyncGenerator<DpifPort> {
  const dump = await link.call(methods.portDump, [handle, undefined]);
  try {
    for (;;) {
      const ports = await link.call(methods.portDumpNext, [handle, dump]);
      if (ports.length === 0) return;
      yield* ports;
    }
  } finally {
    // A connection that broke has told the reader already.
    await link.call(methods.dumpDone, [handle, dump]).catch(() => undefined);
  }
}

export class RemoteFlowDump implements FlowDump {
  readonly #link: Link;
  readonly #handle: number;
  /** The number of the dump, asked for with the first flows. */
  #dump: Promise<number> | undefined;
  #ended = false;

  constructor(link: Link, handle: number) {
    this.#link = link;
    this.#handle = handle;
  }

  async next(max: number): Promise<readonly Flow[]> {
    if (!(max >= 1)) throw new DpifError('EINVAL', `a dump of at most ${max} flows: give 1 or more`);
    if (this.#ended) return [];
    this.#dump ??= this.#link.call(methods.flowDump, [this.#handle, undefined]);
    const wanted = Math.min(Math.floor(max), methods.SLICE_ITEMS);
    const flows = await this.#link.call(methods.flowDumpNext, [this.#handle, [await this.#dump, wanted]]);
    if (flows.length === 0) await this.done();
    return flows;
  }

  async done(): Promise<void> {
    this.#ended = true;
    const started = this.#dump;
    this.#dump = undefined;
    if (started === undefined) return;
    try {
      await this.#link.call(methods.dumpDone, [this.#handle, await started]);
    } catch {
      // It never began, or it ended with its connection.
    }
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Flow> {
    try {
      for (;;) {
        const flows = await this.next(CHUNK);
        if (flows.length === 0) return;
        yield* flows;
      }
    } finally {
      await this.done();
    }
  }
}
