/** One poll-mode thread as the control thread sees it: its rings, what it was sent, and whether it lives. */

import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import {
  type ArenaOptions,
  type ClassifierOptions,
  DpifError,
  DROP_REASON_COUNT,
  FlowCounters,
  type FlowStats,
  toDpifError,
  watchWord,
} from '@etherloom/core';
import { type PmdBinding, pmdBinding } from './binding.js';
import { CommandWriter } from './command-writer.js';
import {
  ASLEEP,
  COMMAND_RING,
  REPORT_LENGTH,
  UPCALL_RING,
  WOKEN,
  WORD_BELL,
  WORD_DONE,
  WORD_LISTENING,
  WORD_SLEEPING,
  WORD_STOP,
} from './layout.hot.js';
import type { Message, Reply, Request, ThreadInit } from './messages.js';
import type { Pending } from './pending.js';
import { Progress } from './progress.js';
import { ringBytes, SharedRing } from './ring.hot.js';

/** The thread's module, as built: from the sources too, since threads cannot load TypeScript. */
const MODULE = new URL('../../dist/pmd/thread.js', import.meta.url);
/** How long a thread may take to end before it is terminated, in milliseconds. */
const STOP_MS = 2000;

/** What a thread and those that take its place have in common: other threads hold on to it. */
export interface ThreadSlot {
  readonly index: number;
  /** Control words (layout.hot.ts). */
  readonly control: SharedArrayBuffer;
  /** An eventfd. */
  readonly doorbell: number;
}

export interface PmdThreadOptions {
  readonly slot: ThreadSlot;
  readonly title: string;
  readonly cpu: number | undefined;
  readonly arena: ArenaOptions;
  readonly limits: ClassifierOptions & { readonly maxFlows: number };
  /** VLAN tags that are part of a key, 1 or 2. */
  readonly vlanLimit: number;
  readonly clock: SharedArrayBuffer;
  readonly listening: boolean;
  /** Upcalls may wait, or acknowledgements came. */
  bell(thread: PmdThread): void;
  /** The thread ended though nobody asked it to. Called once, when nothing of it runs any more. */
  died(thread: PmdThread, error: DpifError): void;
}

/** Threads that run: a process that exits must wake them, or it would wait for their sleeps to end. */
const running = new Set<PmdThread>();
let exitHooked = false;

/** Not where threads are made: the closure would hold on to the first one, and its 35 MiB of shared memory, for ever. */
function hookExit(): void {
  if (exitHooked) return;
  exitHooked = true;
  process.on('exit', () => {
    for (const thread of running) thread.askToStop();
  });
}

export class PmdThread {
  readonly commands: CommandWriter;
  readonly upcalls: SharedRing;
  readonly report: Float64Array;
  readonly portlessDrops: Float64Array;
  readonly slot: ThreadSlot;
  /** Flows with smaller ids are in the thread's copy of the table; all when it is complete. */
  cursor = Number.POSITIVE_INFINITY;
  /** False from its end on. */
  alive = true;

  readonly #options: PmdThreadOptions;
  readonly #native: PmdBinding;
  readonly #words: Int32Array;
  readonly #ring: SharedRing;
  readonly #progress: Progress;
  readonly #flows = new FlowCounters(0);
  readonly #worker: Worker;
  readonly #port: MessagePort;
  readonly #unwatch: () => void;
  readonly #exited: Promise<void>;
  readonly #requests = new Map<
    number,
    { readonly resolve: () => void; readonly reject: (error: DpifError) => void }
  >();
  #requestId = 0;
  #holds = 0;
  #descriptors = 0;
  #stopping = false;
  #error: DpifError | undefined;

  /** Starts a thread; resolves when it polls. Errors of the system as they are, ENOSYS when the package is not built. */
  static async start(options: PmdThreadOptions): Promise<PmdThread> {
    const thread = new PmdThread(options);
    try {
      await thread.#answer(0);
    } catch (error) {
      await thread.stop();
      throw error;
    }
    return thread;
  }

  private constructor(options: PmdThreadOptions) {
    this.#options = options;
    this.#native = pmdBinding();
    const { slot } = options;
    this.slot = slot;
    const shared = (bytes: number): SharedArrayBuffer => new SharedArrayBuffer(bytes);
    const { port1, port2 } = new MessageChannel();
    const doubles = (count: number): SharedArrayBuffer => shared(count * Float64Array.BYTES_PER_ELEMENT);
    this.#words = new Int32Array(slot.control);
    this.#progress = new Progress(this.#words);
    const init: ThreadInit = {
      title: options.title,
      cpu: options.cpu,
      arena: options.arena,
      limits: options.limits,
      vlanLimit: options.vlanLimit,
      control: slot.control,
      report: doubles(REPORT_LENGTH),
      commands: shared(ringBytes(COMMAND_RING)),
      replies: this.#progress.memory,
      upcalls: shared(ringBytes(UPCALL_RING)),
      // All at once, so that it never moves: the system gives the memory when it is first touched.
      flows: shared(FlowCounters.bytes(options.limits.maxFlows)),
      portlessDrops: doubles(DROP_REASON_COUNT),
      clock: options.clock,
      doorbell: slot.doorbell,
      port: port2,
    };
    for (const word of [WORD_SLEEPING, WORD_DONE, WORD_STOP]) Atomics.store(this.#words, word, 0);
    this.#words[WORD_LISTENING] = options.listening ? 1 : 0;
    this.#ring = new SharedRing(init.commands);
    this.commands = new CommandWriter(this.#ring);
    this.upcalls = new SharedRing(init.upcalls);
    this.report = new Float64Array(init.report);
    this.portlessDrops = new Float64Array(init.portlessDrops);
    this.#flows.values = new Float64Array(init.flows);
    this.#port = port1;
    port1.on('message', (reply: Reply) => this.#replied(reply));
    port1.unref();
    // Without the parent's loaders and conditions: the thread runs what is built.
    this.#worker = new Worker(MODULE, { workerData: init, transferList: [port2], execArgv: [] });
    this.#worker.unref();
    this.#worker.on('error', (error) => {
      this.#error = toDpifError(error);
    });
    this.#exited = new Promise((resolve) => {
      this.#worker.on('exit', () => {
        this.#ended();
        resolve();
      });
    });
    this.#unwatch = watchWord(this.#words, WORD_BELL, () => {
      this.#progress.catchUp();
      options.bell(this);
    });
    running.add(this);
    hookExit();
  }

  /** Number of the last command that the thread is done with. */
  get done(): number {
    return this.#progress.done;
  }

  /** Whether `flow` is in the thread's copy of the table. */
  has(flow: number): boolean {
    return flow < this.cursor;
  }

  /** What the thread counted for a flow. */
  flowStats(flow: number): FlowStats {
    const counters = this.#flows;
    // Packets first, since the thread writes them last.
    return {
      packets: counters.packets(flow),
      bytes: counters.bytes(flow),
      used: counters.used(flow),
      tcpFlags: counters.tcpFlags(flow),
    };
  }

  // --- commands

  /** Whether a command of `words` words fits into the ring now. */
  fits(words: number): boolean {
    if (this.#ring.fits(words)) return true;
    this.#ring.refresh();
    return this.#ring.fits(words);
  }

  /** Notes that command number `sequence` goes to the thread; returns how the ring spells the number. */
  send(sequence: number): number {
    return this.#progress.send(sequence);
  }

  /** The thread will reply to the command just sent; `flow` is -1 when that is an execute. */
  expect(pending: Pending, flow: number): void {
    this.#progress.expect(pending, flow);
  }

  /** Lets the thread see what was sent. */
  publish(): void {
    if (this.#ring.publish()) this.kick();
  }

  /** Wakes the thread if it sleeps. */
  kick(): void {
    if (this.alive && Atomics.compareExchange(this.#words, WORD_SLEEPING, ASLEEP, WOKEN) === ASLEEP) {
      this.#native.ring(this.slot.doorbell);
    }
  }

  /** Resolves when the thread is done with all that was sent so far, and its replies have been read; also when it died. */
  reached(): Promise<void> {
    this.publish();
    this.#progress.catchUp();
    if (!this.alive || this.#progress.complete) return Promise.resolve();
    return this.#held(this.#progress.reached());
  }

  /** Resolves when the thread got on with its commands, or died. */
  progress(): Promise<void> {
    this.publish();
    if (!this.alive) return Promise.resolve();
    return this.#held(this.#progress.step());
  }

  listen(enabled: boolean): void {
    Atomics.store(this.#words, WORD_LISTENING, enabled ? 1 : 0);
  }

  /** Sends a message and waits for the answer. Rejects with the thread's error, or with EIO when it dies meanwhile. */
  async request(message: Message, sequence: number): Promise<void> {
    if (!this.alive) throw this.#death();
    const request: Request = { id: ++this.#requestId, message };
    this.#port.postMessage(request);
    this.commands.message(this.send(sequence));
    this.publish();
    await this.#answer(request.id);
  }

  /** Ends the thread. Idempotent. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.askToStop();
    this.#hold();
    const timer = setTimeout(() => void this.#worker.terminate(), STOP_MS);
    await this.#exited;
    clearTimeout(timer);
    this.#unhold();
  }

  /** Tells the thread to end, and waits for nothing. */
  askToStop(): void {
    if (!this.alive) return;
    Atomics.store(this.#words, WORD_STOP, 1);
    this.#native.ring(this.slot.doorbell);
  }

  /** Ends the thread at once, whatever it does: what a crash would be. */
  async terminate(): Promise<void> {
    if (!this.alive) return;
    const ended = this.#worker.terminate();
    this.#native.ring(this.slot.doorbell);
    await ended;
  }

  // --- inside

  #answer(id: number): Promise<void> {
    return this.#held(
      new Promise((resolve, reject) => {
        this.#requests.set(id, { resolve, reject });
      }),
    );
  }

  #replied({ id, error, descriptors }: Reply): void {
    if (descriptors > 0 !== this.#descriptors > 0) {
      // As an open socket does, a port with a descriptor keeps the process alive.
      if (descriptors > 0) this.#hold();
      else this.#unhold();
    }
    this.#descriptors = descriptors;
    const waiting = this.#requests.get(id);
    this.#requests.delete(id);
    if (error === undefined) waiting?.resolve();
    else waiting?.reject(new DpifError(error.code, error.message));
  }

  /** Keeps the process alive until `promise` settles: nothing else might. */
  async #held(promise: Promise<void>): Promise<void> {
    this.#hold();
    try {
      await promise;
    } finally {
      this.#unhold();
    }
  }

  #hold(): void {
    if (this.#holds++ === 0) this.#worker.ref();
  }

  #unhold(): void {
    if (--this.#holds === 0) this.#worker.unref();
  }

  #death(): DpifError {
    return this.#error ?? new DpifError('EIO', `poll-mode thread ${this.slot.index} ended`);
  }

  #ended(): void {
    this.alive = false;
    running.delete(this);
    this.#unwatch();
    this.#port.close();
    this.#progress.abandon((flow) => this.flowStats(flow));
    const requests = [...this.#requests.values()];
    this.#requests.clear();
    for (const { reject } of requests) reject(this.#death());
    if (!this.#stopping) this.#options.died(this, this.#death());
    this.#progress.wakeAll();
  }
}
