/**
 * Flow dumps: a walk over flow ids. A flow that is younger than the dump is left out, so that a client which deletes and
 * puts flows while it dumps meets none twice.
 */

import { DpifError, type Flow, type FlowDump } from '@etherloom/core';
import type { FlowTable } from './flow-table.js';
import { Pacer } from './pacing.js';

/** Flows that the iterator fetches at a time. */
const CHUNK = 64;

export class TableDump implements FlowDump {
  readonly #table: FlowTable;
  readonly #serial: number;
  readonly #pacer = new Pacer();
  #next = 0;
  #done = false;

  constructor(table: FlowTable) {
    this.#table = table;
    this.#serial = table.classifier.serial;
  }

  async next(max: number): Promise<readonly Flow[]> {
    if (!(max >= 1)) throw new DpifError('EINVAL', `a dump of at most ${max} flows: give 1 or more`);
    const flows: Flow[] = [];
    const { classifier } = this.#table;
    // Readers that share the dump take turns at every pause; each id is taken by whoever comes to it first.
    while (flows.length < max && !this.#done) {
      const id = this.#next++;
      if (id >= classifier.capacity) this.#done = true;
      else if (classifier.isFlow(id, this.#serial)) flows.push(this.#table.read(id));
      if ((id & 31) === 0) await this.#pacer.pause();
    }
    return flows;
  }

  async done(): Promise<void> {
    this.#done = true;
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
