/** The poll-mode threads of a datapath: starts them, ends them, and puts another one in the place of one that died. */

import { type ArenaOptions, type ClassifierOptions, DpifError, pause, toDpifError } from '@etherloom/core';
import { systemError } from '../native.js';
import { pmdBinding } from './binding.js';
import { CONTROL_WORDS } from './layout.hot.js';
import { PmdThread, type ThreadSlot } from './pmd-thread.js';
import type { PmdEvent } from './report.js';

/** A thread that dies young is replaced after a pause, which doubles from the first figure to the second: milliseconds. */
const FIRST_PAUSE_MS = 100;
const LAST_PAUSE_MS = 5000;
const YOUNG_MS = 10_000;

export interface ThreadOptions {
  /** 1 or more. */
  readonly count: number;
  /** CPUs to bind threads to, in turn; empty leaves it to the system. */
  readonly cpus: readonly number[];
  /** Packet memory of each thread. */
  readonly arena: ArenaOptions;
  readonly limits: ClassifierOptions & { readonly maxFlows: number };
  /** Told of what happens to threads. Must not throw. */
  readonly event: (event: PmdEvent) => void;
}

export interface CrewHost {
  /** Whether a client takes upcalls. */
  readonly listening: boolean;
  /** VLAN tags that are part of a key, 1 or 2. */
  readonly vlanLimit: number;
  /** What a thread adds to the monotonic clock. */
  readonly clock: SharedArrayBuffer;
  bell(thread: PmdThread): void;
  /** A thread is gone; what it wrote to shared memory is all that is left of it. */
  retired(thread: PmdThread): void;
  /** Gives a thread that took another one's place what it needs. */
  initiate(thread: PmdThread): Promise<void>;
}

export interface Slot extends ThreadSlot {
  readonly cpu: number | undefined;
  /** Absent between a crash and the replacement. */
  thread: PmdThread | undefined;
  restarts: number;
  /** Pause before the next replacement. */
  pause: number;
  startedAt: number;
}

export class Crew {
  readonly slots: readonly Slot[];
  readonly #name: string;
  readonly #options: ThreadOptions;
  readonly #host: CrewHost;
  readonly #replacing = new Set<Promise<void>>();
  readonly #closed = new AbortController();
  #alive: readonly PmdThread[] = [];

  /** `name` is the datapath's. Throws a `DpifError` when the native binding is not built or descriptors run out. */
  constructor(name: string, options: ThreadOptions, host: CrewHost) {
    this.#name = name;
    this.#options = options;
    this.#host = host;
    const native = pmdBinding();
    const slots: Slot[] = [];
    try {
      for (let index = 0; index < options.count; index++) {
        slots.push({
          index,
          control: new SharedArrayBuffer(CONTROL_WORDS * Int32Array.BYTES_PER_ELEMENT),
          doorbell: native.doorbell(),
          cpu: options.cpus.length === 0 ? undefined : options.cpus[index % options.cpus.length],
          thread: undefined,
          restarts: 0,
          pause: 0,
          startedAt: 0,
        });
      }
    } catch (error) {
      for (const { doorbell } of slots) native.close(doorbell);
      throw systemError(error, `cannot make a doorbell for a poll-mode thread of ${name}`);
    }
    this.slots = slots;
  }

  /** The threads that run. Replaced when one comes or goes. */
  get alive(): readonly PmdThread[] {
    return this.#alive;
  }

  /** Starts all threads. A failure leaves those to `stop` that began. */
  async start(): Promise<void> {
    await Promise.all(this.slots.map((slot) => this.#start(slot)));
  }

  /** Ends all threads. Idempotent. */
  async stop(): Promise<void> {
    if (this.#closed.signal.aborted) return;
    this.#closed.abort();
    await Promise.all(this.#replacing);
    await Promise.all(this.#alive.map((thread) => thread.stop()));
    for (const slot of this.slots) slot.thread = undefined;
    this.#count();
    const native = pmdBinding();
    for (const { doorbell } of this.slots) native.close(doorbell);
  }

  /** Says that something of `thread` failed without ending it. */
  failed(thread: number, what: string, error: unknown): void {
    this.#say(thread, 'failed', `${what}: ${toDpifError(error).message}`);
  }

  async #start(slot: Slot): Promise<PmdThread> {
    const { arena, limits } = this.#options;
    const thread = await PmdThread.start({
      slot,
      title: `pmd${slot.index}/${this.#name}`,
      cpu: slot.cpu,
      arena,
      limits,
      vlanLimit: this.#host.vlanLimit,
      clock: this.#host.clock,
      listening: this.#host.listening,
      bell: (rung) => this.#host.bell(rung),
      died: (dead, error) => this.#died(slot, dead, error),
    });
    // It is nobody's before it stands here: its end would go unseen.
    if (!thread.alive) throw new DpifError('EIO', 'it ended as soon as it had begun');
    slot.thread = thread;
    this.#count();
    slot.startedAt = performance.now();
    return thread;
  }

  #count(): void {
    this.#alive = this.slots.flatMap(({ thread }) => (thread === undefined ? [] : [thread]));
  }

  #died(slot: Slot, thread: PmdThread, error: DpifError): void {
    this.#host.retired(thread);
    // One that did not even begin is the business of whoever starts it.
    if (slot.thread !== thread) return;
    slot.thread = undefined;
    this.#count();
    this.#say(slot.index, 'crashed', `it ended: ${error.message}; another one takes its place`);
    const young = performance.now() - slot.startedAt < YOUNG_MS;
    slot.pause = young ? Math.min(Math.max(slot.pause * 2, FIRST_PAUSE_MS), LAST_PAUSE_MS) : 0;
    const replacing = this.#replace(slot).finally(() => this.#replacing.delete(replacing));
    this.#replacing.add(replacing);
  }

  /** Tries until a thread runs or the datapath goes. */
  async #replace(slot: Slot): Promise<void> {
    const { signal } = this.#closed;
    for (;;) {
      await pause(slot.pause, signal);
      if (signal.aborted) return;
      try {
        const thread = await this.#start(slot);
        slot.restarts++;
        await this.#initiate(thread);
        return;
      } catch (error) {
        this.failed(slot.index, 'it cannot be replaced yet', error);
        slot.pause = Math.min(Math.max(slot.pause * 2, FIRST_PAUSE_MS), LAST_PAUSE_MS);
      }
    }
  }

  /** Never throws: a thread that dies here has a replacement of its own coming. */
  async #initiate(thread: PmdThread): Promise<void> {
    const { index } = thread.slot;
    try {
      await this.#host.initiate(thread);
    } catch (error) {
      if (thread.alive) this.failed(index, 'it lacks some of what the one before had', error);
    }
    if (thread.alive) this.#say(index, 'restarted', 'another one polls its queues');
  }

  #say(thread: number, type: PmdEvent['type'], what: string): void {
    const message = `poll-mode thread ${thread} of ${this.#name}: ${what}`;
    this.#options.event({ datapath: this.#name, thread, type, message });
  }
}
