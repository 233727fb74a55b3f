/** What only the threads can say about an operation: final statistics, or how an execute went. */

import { DpifError, type FlowStats, type OpResult } from '@etherloom/core';
import { sumStats } from './stats.js';

const EIO = 5;
const ENOBUFS = 105;

export class Pending {
  readonly #own: FlowStats | undefined;
  #stats: FlowStats | undefined;
  #status = 0;

  /** `own`: statistics that the flow table itself held, to which those of the threads are added; none for an execute. */
  constructor(own?: FlowStats) {
    this.#own = own;
    this.#stats = own;
  }

  addStats(stats: FlowStats): void {
    if (this.#stats !== undefined) this.#stats = sumStats(this.#stats, stats);
  }

  /** `status`: 0 or an errno. */
  addStatus(status: number): void {
    this.#status = status;
  }

  /** The operation's outcome, completed, once all threads have answered. */
  complete(result: OpResult): OpResult {
    if (this.#status === ENOBUFS) {
      return { error: new DpifError('ENOBUFS', 'no packet buffer is free for the packet; try again later') };
    }
    if (this.#status === EIO) {
      return {
        error: new DpifError('EIO', 'the poll-mode thread ended that was to send the packet; try again'),
      };
    }
    if (this.#stats === this.#own && result.stats === this.#own) return result;
    return this.#stats === undefined ? result : { ...result, stats: this.#stats };
  }
}
