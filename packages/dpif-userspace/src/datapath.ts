/** A datapath: its ports, flows and upcall queues, and the pipeline that packets take through them. Control path. */

import {
  type ClassifierOptions,
  DpifError,
  DROP_PORT_DELETED,
  FramePool,
  LOCAL_PORT,
  type NetdevRegistry,
  PORT_NONE,
} from '@etherloom/core';
import type { ActionRules } from './action-rules.js';
import { Captures } from './capture/captures.js';
import { FlowTable } from './flow-table.js';
import { InlinePlane } from './inline.js';
import type { DataPlane } from './plane.js';
import type { ThreadOptions } from './pmd/crew.js';
import { Replicas } from './pmd/replicas.js';
import { ThreadPlane } from './pmd/threads.js';
import { namedDrops, type PortHost, PortSet } from './ports.js';
import type { Runner } from './runner.js';
import type { UpcallLimits } from './upcall-queue.js';
import { Upcalls } from './upcalls.js';

/** What the datapaths of a provider share. */
export interface Surroundings {
  readonly type: string;
  readonly netdevs: NetdevRegistry;
  /** What carries packets: buffers to do it on this thread, or poll-mode threads, which have their own. */
  readonly pool: FramePool | ThreadOptions;
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

export class Datapath implements PortHost {
  readonly name: string;
  readonly fullName: string;
  readonly netdevs: NetdevRegistry;
  readonly flows: FlowTable;
  readonly upcalls: Upcalls;
  readonly plane: DataPlane;
  readonly ports: PortSet;
  readonly captures: Captures;
  readonly runner: Runner;
  /** VLAN tags that are part of a key, 1 or 2. */
  readonly vlanLimit: number;
  readonly listeners = new Set<PortListener>();
  readonly #openType: (portType: string) => string;

  /** Makes a datapath with its local port. A failure to open that leaves nothing behind. */
  static async create(name: string, surroundings: Surroundings): Promise<Datapath> {
    const datapath = new Datapath(name, surroundings);
    try {
      await datapath.plane.start();
      await datapath.ports.add({ name, type: 'internal', config: {} }, LOCAL_PORT);
    } catch (error) {
      await datapath.plane.close();
      throw error;
    }
    return datapath;
  }

  private constructor(name: string, surroundings: Surroundings) {
    const { type, netdevs, pool, runner, limits, actionRules, vlanLimit } = surroundings;
    this.name = name;
    this.fullName = `${type}@${name}`;
    this.netdevs = netdevs;
    this.runner = runner;
    this.vlanLimit = vlanLimit;
    this.#openType = surroundings.openType;
    if (pool instanceof FramePool) {
      this.flows = new FlowTable(limits, actionRules, vlanLimit);
      this.upcalls = new Upcalls(pool.arena, limits, vlanLimit);
      this.plane = new InlinePlane(pool, runner, this.flows, this.upcalls, vlanLimit);
    } else {
      const replicas = new Replicas(() => runner.now());
      const packets = { bytes: new Uint8Array() };
      this.flows = new FlowTable(limits, actionRules, vlanLimit, replicas);
      this.upcalls = new Upcalls(packets, limits, vlanLimit);
      this.plane = new ThreadPlane({
        name,
        options: pool,
        vlanLimit,
        runner,
        flows: this.flows,
        replicas,
        upcalls: this.upcalls,
        packets,
      });
    }
    this.ports = new PortSet(this);
    this.captures = new Captures(this.plane, vlanLimit);
  }

  /** Removes ports and flows, for good. */
  async destroy(): Promise<void> {
    try {
      await this.ports.clear();
    } finally {
      await this.plane.close();
      this.flows.flush();
    }
  }

  /**
   * Drops of port `portNo`, ENODEV; of PORT_NONE those of packets that a client executed with an in_port that does not
   * exist, and those of packets that waited for clients in vain: their port was deleted, or the client discarded them.
   */
  drops(portNo: number): Record<string, number> {
    return portNo === PORT_NONE ? namedDrops(this.plane.portlessDrops()) : this.ports.drops(portNo);
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

  portAdded(portNo: number): void {
    this.upcalls.addPort(portNo);
  }

  portRemoved(portNo: number): void {
    this.plane.discarded(this.upcalls.removePort(portNo), DROP_PORT_DELETED);
  }

  changed(name: string): void {
    for (const listener of this.listeners) listener.portChanged(name);
  }
}
