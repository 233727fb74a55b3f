/** How far a poll-mode thread is with the commands that it was sent: replies to them, and who waits for what. */

import type { FlowStats } from '@etherloom/core';
import { REPLY_RING, REPLY_STATUS_WORDS, WORD_DONE } from './layout.hot.js';
import type { Pending } from './pending.js';
import { ringBytes, SharedRing } from './ring.hot.js';

const EIO = 5;

interface Expected {
  readonly pending: Pending;
  readonly flow: number;
}

interface Waiter {
  readonly sequence: number;
  readonly resolve: () => void;
}

export class Progress {
  /** Of the ring in which the thread replies. */
  readonly memory = new SharedArrayBuffer(ringBytes(REPLY_RING));
  /** Control words (layout.hot.ts). */
  readonly #words: Int32Array;
  readonly #replies = new SharedRing(this.memory);
  readonly #double = new Float64Array(1);
  readonly #half = new Int32Array(this.#double.buffer);
  /** Number of the last command sent, of the last one that the thread is done with, and of those whose waiters know. */
  #sent = 0;
  #done = 0;
  #told = 0;
  #waiters: Waiter[] = [];
  #steps: (() => void)[] = [];
  readonly #expected: Expected[] = [];

  constructor(words: Int32Array) {
    this.#words = words;
  }

  /** Number of the last command that the thread is done with. */
  get done(): number {
    // Numbers grow beyond the 32 bits of the word.
    this.#done += (Atomics.load(this.#words, WORD_DONE) - (this.#done | 0)) | 0;
    return this.#done;
  }

  /** Whether the thread is done with all that was sent, as of the last {@link catchUp}. */
  get complete(): boolean {
    return this.#done >= this.#sent;
  }

  /** Notes that command number `sequence` goes to the thread; returns how the ring spells the number. */
  send(sequence: number): number {
    this.#sent = sequence;
    return sequence | 0;
  }

  /** The thread will reply to the command just sent; `flow` is -1 when that is an execute. */
  expect(pending: Pending, flow: number): void {
    this.#expected.push({ pending, flow });
  }

  /** Resolves when the thread is done with all that was sent so far, and its replies have been read. */
  reached(): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.push({ sequence: this.#sent, resolve });
    });
  }

  /** Resolves when the thread got on. */
  step(): Promise<void> {
    return new Promise((resolve) => this.#steps.push(resolve));
  }

  /** Reads replies and wakes those who wait for what is done. */
  catchUp(): void {
    const { done } = this;
    // The thread publishes replies before it says that it is done.
    this.#readReplies();
    if (done === this.#told) return;
    this.#told = done;
    if (this.#waiters.length > 0) {
      const reached = this.#waiters.filter(({ sequence }) => sequence <= done);
      this.#waiters = this.#waiters.filter(({ sequence }) => sequence > done);
      for (const { resolve } of reached) resolve();
    }
    this.#wakeSteps();
  }

  /** The thread is gone: what it did not say any more is in the statistics, as far as it came. */
  abandon(flowStats: (flow: number) => FlowStats): void {
    this.catchUp();
    for (const { pending, flow } of this.#expected.splice(0)) {
      if (flow < 0) pending.addStatus(EIO);
      else pending.addStats(flowStats(flow));
    }
  }

  /** Wakes all who wait. */
  wakeAll(): void {
    for (const { resolve } of this.#waiters.splice(0)) resolve();
    this.#wakeSteps();
  }

  #wakeSteps(): void {
    for (const resolve of this.#steps.splice(0)) resolve();
  }

  #readReplies(): void {
    const ring = this.#replies;
    let read = 0;
    for (let at = ring.peek(); at >= 0; at = ring.peek()) {
      const { pending } = this.#expected[read++]!;
      if (ring.length(at) === REPLY_STATUS_WORDS) pending.addStatus(ring.words[at]!);
      else {
        const packets = this.#readDouble(at);
        // Most flows that go met no packet of this thread.
        if (packets > 0) {
          pending.addStats({
            packets,
            bytes: this.#readDouble(at + 2),
            used: this.#readDouble(at + 4),
            tcpFlags: ring.words[at + 6]!,
          });
        }
      }
      ring.skip();
    }
    if (read === 0) return;
    this.#expected.splice(0, read);
    ring.release();
  }

  #readDouble(at: number): number {
    const { words } = this.#replies;
    this.#half[0] = words[at]!;
    this.#half[1] = words[at + 1]!;
    return this.#double[0]!;
  }
}
