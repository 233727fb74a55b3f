/** A datapath: its ports, flows and upcall queues, and the pipeline that packets take through them. Control path. */

import {
  type ClassifierOptions,
  DpifError,
  DROP_REASON_COUNT,
  type FramePool,
  LOCAL_PORT,
  type NetdevQueue,
  type NetdevRegistry,
  PORT_NONE,
} from '@etherloom/core';
import type { ActionRules } from './action-rules.js';
import { FlowTable } from './flow-table.js';
import { Output } from './output.hot.js';
import { DP_COUNTERS, DP_LOST, Pipeline } from './pipeline.hot.js';
import type { Port } from './port.hot.js';
import { namedDrops, type PortHost, PortSet } from './ports.js';
import type { Runnable, Runner } from './runner.js';
import type { UpcallLimits } from './upcall-queue.js';
import { Upcalls } from './upcalls.js';

/** What the datapaths of a provider share. */
export interface Surroundings {
  readonly type: string;
  readonly netdevs: NetdevRegistry;
  readonly pool: FramePool;
  readonly runner: Runner;
  readonly limits: UpcallLimits & ClassifierOptions;
  readonly actionRules: ActionRules;
  /** VLAN tags that are part of a key, 1 or 2. */
  readonly vlanLimit: number;
  openType(portType: string): string;
}

/** Who is told of port changes. */
export interface PortListener {
  portChanged(name: string): void;
}

export class Datapath implements Runnable, PortHost {
  readonly name: string;
  readonly fullName: string;
  readonly netdevs: NetdevRegistry;
  readonly pool: FramePool;
  readonly flows: FlowTable;
  readonly output: Output;
  readonly upcalls: Upcalls;
  readonly pipeline: Pipeline;
  readonly ports: PortSet;
  readonly runner: Runner;
  readonly listeners = new Set<PortListener>();
  readonly #openType: (portType: string) => string;
  readonly #portlessDrops = new Float64Array(DROP_REASON_COUNT);

  /** Makes a datapath with its local port. A failure to open that leaves nothing behind. */
  static async create(name: string, surroundings: Surroundings): Promise<Datapath> {
    const datapath = new Datapath(name, surroundings);
    await datapath.ports.add({ name, type: 'internal', config: {} }, LOCAL_PORT);
    return datapath;
  }

  private constructor(name: string, surroundings: Surroundings) {
    const { type, netdevs, pool, runner, limits, actionRules, vlanLimit } = surroundings;
    this.name = name;
    this.fullName = `${type}@${name}`;
    this.netdevs = netdevs;
    this.pool = pool;
    this.runner = runner;
    this.#openType = surroundings.openType;
    this.flows = new FlowTable(limits, actionRules, vlanLimit);
    this.output = new Output(pool);
    this.upcalls = new Upcalls(pool.arena, limits, vlanLimit);
    this.pipeline = new Pipeline(pool, this.flows, this.output, this.upcalls, this.#portlessDrops, vlanLimit);
    this.ports = new PortSet(this);
  }

  /** Removes ports and flows, for good. */
  async destroy(): Promise<void> {
    try {
      await this.ports.clear();
    } finally {
      this.runner.forget(this);
      this.flows.flush();
    }
  }

  /** DP_* counters: a copy. */
  counters(): Float64Array {
    return this.pipeline.counters.slice(0, DP_COUNTERS);
  }

  /**
   * Drops of port `portNo`, ENODEV; of PORT_NONE those of packets that a client executed with an in_port that does not
   * exist.
   */
  drops(portNo: number): Record<string, number> {
    return portNo === PORT_NONE ? namedDrops(this.#portlessDrops) : this.ports.drops(portNo);
  }

  /** The PID for a port, ENODEV; of PORT_NONE the special one. */
  pid(portNo: number, hash: number): number {
    if (portNo !== PORT_NONE) this.ports.byNumber(portNo);
    if (!Number.isInteger(hash)) throw new DpifError('EINVAL', `hash ${hash} is not a whole number`);
    return this.upcalls.pid(portNo, hash);
  }

  // --- PortHost

  openType(portType: string): string {
    return this.#openType(portType);
  }

  attach(port: Port, queue: NetdevQueue): () => void {
    return this.runner.attach(this, port, queue);
  }

  portAdded(portNo: number): void {
    this.upcalls.addPort(portNo);
  }

  portRemoved(portNo: number): void {
    this.pipeline.counters[DP_LOST]! += this.upcalls.removePort(portNo);
  }

  changed(name: string): void {
    for (const listener of this.listeners) listener.portChanged(name);
  }
}
