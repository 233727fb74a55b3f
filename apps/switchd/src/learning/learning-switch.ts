/**
 * A MAC-learning Ethernet switch on any datapath. It uses nothing but the dpif interface: it receives upcalls, decides,
 * and answers with flows, so that later packets of the same kind never come up again.
 *
 * Everything that changes what the switch knows (planner.ts) runs under one lock, one step after the other: a batch of
 * upcalls, a slice of a dump, a change of ports. A step plans first and then hands all its operations to the datapath
 * in one `operate`, so that a packet never meets flows that contradict what the packets before it taught. Only upcalls are
 * planned ahead, while poll-mode threads are still busy with those before: one batch, and its operations wait for theirs.
 */

import { type Dpif, type OpResult, pause, type Upcall } from '@etherloom/core';
import type { Logger } from 'pino';
import type { MacCounters, MacEntry } from './mac-table.js';
import { LEARNING_DEFAULTS, type LearningOptions, newPlan, type Plan, Planner } from './planner.js';
import { QuietLog } from './quiet-log.js';

/** Upcalls taken at once: two milliseconds of work, since poll-mode threads cost some 30 us to wake for each batch of answers. */
const UPCALL_BATCH = 256;
/** Flows taken from a dump at once: about a millisecond of work. */
const DUMP_BATCH = 256;
/** Milliseconds between the end of one sweep over the flow table and the start of the next, at least, ... */
const SWEEP_PAUSE = 1000;
/** ... and as a multiple of how long the sweep took: of a second with 200,000 flows, which new flows have to share. */
const SWEEP_REST = 4;

/** Lets packets, timers and sockets have their turn. */
const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export interface LearningSwitchInit {
  /** The switch's own handle; `stop` does not close it. */
  readonly dpif: Dpif;
  readonly log: Pick<Logger, 'warn'>;
  readonly options?: Partial<LearningOptions>;
  /** Milliseconds on a monotonic clock. */
  readonly clock?: () => number;
}

export class LearningSwitch {
  readonly #dpif: Dpif;
  readonly #quiet: QuietLog;
  readonly #clock: () => number;
  readonly #planner: Planner;
  readonly #stop = new AbortController();
  readonly #options: LearningOptions;
  #averageFlows = 0;
  #peakFlows = 0;
  #dumpDuration = 0;
  #turn: Promise<unknown> = Promise.resolve();
  /** The operations of the latest batch of upcalls. */
  #answering: Promise<unknown> = Promise.resolve();
  #sweeping: Promise<unknown> = Promise.resolve();
  #tasks: Promise<unknown> = Promise.resolve();

  constructor({ dpif, log, options, clock = () => performance.now() }: LearningSwitchInit) {
    this.#dpif = dpif;
    this.#quiet = new QuietLog(log, clock);
    this.#clock = clock;
    this.#options = { ...LEARNING_DEFAULTS, ...options };
    this.#planner = new Planner(this.#options);
  }

  /** Takes over the upcalls of the datapath. EBUSY when another client has them. */
  async start(): Promise<void> {
    await this.#dpif.handlersSet(1);
    await this.#dpif.recvSet(true);
    await this.#readPorts();
    this.#tasks = Promise.all([this.#receive(), this.#watchPorts(), this.#sweepForever()]);
  }

  /** Stops receiving and waits until nothing is under way. Flows stay; the handle is the caller's to close. Idempotent. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#tasks;
  }

  /** Names of the ports by number, as the switch knows them. */
  get ports(): ReadonlyMap<number, string> {
    return this.#planner.ports;
  }

  /**
   * Flows that the switch has in the datapath now, on average (each sweep halves the weight of those before it) and at most,
   * the limit, and how many milliseconds the latest sweep over them took.
   */
  get activity(): {
    readonly flows: number;
    readonly average: number;
    readonly peak: number;
    readonly limit: number;
    readonly dumpDuration: number;
  } {
    const { flows } = this.#planner;
    return {
      flows,
      average: this.#averageFlows,
      peak: Math.max(this.#peakFlows, flows),
      limit: this.#options.maxFlows,
      dumpDuration: this.#dumpDuration,
    };
  }

  /** Learned stations with their age in milliseconds, those heard last at the end. */
  stations(): { readonly entry: MacEntry; readonly age: number }[] {
    const now = this.#clock();
    return [...this.#planner.stations()]
      .map((entry) => ({ entry, age: Math.max(now - entry.seen, 0) }))
      .sort((a, b) => b.age - a.age);
  }

  /** The MAC table: its bound, and what happened in it so far. */
  get macs(): { readonly limit: number; readonly counters: Readonly<MacCounters> } {
    return { limit: this.#options.maxMacs, counters: { ...this.#planner.macCounters } };
  }

  /** Puts station `mac` (see mac.ts) at `port` for good: it neither moves nor ages, until it or the port is removed. */
  fix(vlan: number, mac: number, port: number): Promise<void> {
    return this.#step((plan) => this.#planner.fix(vlan, mac, port, this.#clock(), plan));
  }

  /** Forgets one station, learned or fixed; resolves to false when it is not known. */
  async remove(vlan: number, mac: number): Promise<boolean> {
    let known = false;
    await this.#step((plan) => {
      known = this.#planner.remove(vlan, mac, plan);
    });
    return known;
  }

  /** Forgets all learned stations, and with them the flows that rest on what was learned. */
  flush(): Promise<void> {
    return this.#step((plan) => this.#planner.flush(plan));
  }

  /**
   * Goes over the flow table once: flows in use keep their sender young, idle ones are deleted, and so are stations
   * that were silent for too long. Runs by itself every second; tests call it.
   */
  sweep(): Promise<void> {
    const run = this.#sweeping.then(() => this.#sweepOnce());
    this.#sweeping = run.catch(() => undefined);
    return run;
  }

  async #sweepOnce(): Promise<void> {
    const planner = this.#planner;
    const began = performance.now();
    this.#averageFlows = (this.#averageFlows + planner.flows) / 2;
    this.#peakFlows = Math.max(this.#peakFlows, planner.flows);
    if (planner.flows > 0) {
      const offset = this.#clock() - (await this.#dpif.now());
      let started = 0;
      // Between two steps: a flow whose put is under way would be installed before the dump, and not be in it.
      const dump = await this.#step(() => {
        started = this.#clock();
        planner.beginSweep();
        return this.#dpif.flowDump();
      });
      try {
        for (;;) {
          const flows = await dump.next(DUMP_BATCH);
          if (flows.length === 0) break;
          await this.#step((plan) => planner.visit(flows, offset, this.#clock(), plan));
          await breathe();
        }
      } finally {
        await dump.done();
      }
      await this.#step((plan) => planner.endSweep(started, plan));
    }
    await this.#step((plan) => planner.expire(this.#clock(), plan));
    this.#dumpDuration = performance.now() - began;
  }

  async #receive(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const upcalls = await this.#survive('receiving upcalls', () =>
        this.#dpif.recvBatch(0, UPCALL_BATCH, signal),
      );
      if (upcalls === undefined || upcalls.length === 0) break;
      await this.#survive('handling upcalls', () => this.#answer(upcalls));
      await breathe();
    }
    await this.#answering;
  }

  async #watchPorts(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const changed = await this.#survive('watching ports', async () => {
        await this.#dpif.portPollWait(signal);
        return (await this.#dpif.portPoll()) !== undefined;
      });
      if (changed === undefined) return;
      if (changed) await this.#survive('reading ports', () => this.#readPorts());
    }
  }

  async #sweepForever(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await pause(Math.max(SWEEP_PAUSE, SWEEP_REST * this.#dumpDuration), signal);
      if (!signal.aborted) await this.#survive('sweeping flows', () => this.sweep());
    }
  }

  async #readPorts(): Promise<void> {
    const ports: [number, string][] = [];
    for await (const { portNo, name } of this.#dpif.portDump()) ports.push([portNo, name]);
    ports.sort(([a], [b]) => a - b);
    await this.#step((plan) => this.#planner.setPorts(new Map(ports), plan));
  }

  /** Plans alone, when nothing is under way, then has the operations done as one batch. */
  #step<T>(decide: (plan: Plan) => T): Promise<T> {
    const run = this.#turn.then(async () => {
      await this.#answering;
      const plan = newPlan();
      const decided = decide(plan);
      await this.#perform(plan);
      return decided;
    });
    this.#turn = run.catch(() => undefined);
    return run;
  }

  /** Plans for upcalls while those before are being answered, and resolves when the datapath has begun with these. */
  #answer(upcalls: readonly Upcall[]): Promise<void> {
    const run = this.#turn.then(async () => {
      const plan = newPlan();
      this.#planner.handle(upcalls, this.#clock(), plan);
      await this.#answering;
      this.#answering = this.#survive('handling upcalls', () => this.#perform(plan));
    });
    this.#turn = run.catch(() => undefined);
    return run;
  }

  async #perform(plan: Plan): Promise<void> {
    let results: readonly OpResult[] = [];
    try {
      if (plan.ops.length > 0) results = await this.#dpif.operate(plan.ops);
    } finally {
      for (const { op, error } of this.#planner.settle(plan, results)) {
        this.#quiet.warn(op, `${this.#dpif.name}: ${op} failed: ${error.message}`);
      }
    }
  }

  /** Runs `work`; a failure is logged, unless the switch is being stopped, and answered with undefined. */
  async #survive<T>(what: string, work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (!this.#stop.signal.aborted) {
        const reason = error instanceof Error ? error.message : error;
        this.#quiet.warn(what, `${this.#dpif.name}: ${what} failed: ${reason}`);
      }
      return undefined;
    }
  }
}
