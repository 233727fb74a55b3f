/** The ports of a datapath: adding and deleting them, and who wants to hear of it. Control path. */

import {
  DpifError,
  type DpifPort,
  DROP_REASONS,
  isDpifError,
  type NetdevRef,
  type NetdevRegistry,
  type PortSpec,
} from '@etherloom/core';
import { claimDevice } from './device-claims.js';
import { MAX_PORTS } from './output.hot.js';
import type { DataPlane, PortData } from './plane.js';
import { splitAffinity } from './pmd/affinity.js';
import { Undo } from './undo.js';

interface PortEntry {
  readonly port: DpifPort;
  readonly data: PortData;
  /** What adding did, to be undone in reverse order. */
  readonly undo: Undo;
}

/** What a port set needs of its datapath. */
export interface PortHost {
  /** `type@name`, for error sentences. */
  readonly fullName: string;
  readonly plane: DataPlane;
  readonly netdevs: NetdevRegistry;
  /** The netdev type to open for a port type. */
  openType(portType: string): string;
  portAdded(portNo: number): void;
  portRemoved(portNo: number): void;
  /** The set of ports changed. */
  changed(name: string): void;
}

export class PortSet {
  readonly #host: PortHost;
  readonly #byNumber = new Map<number, PortEntry>();
  readonly #byName = new Map<string, PortEntry>();
  /** Additions and deletions run one after the other. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(host: PortHost) {
    this.#host = host;
  }

  /** Opens the device and makes it a port; errors as in `Dpif.portAdd`, and then nothing is left behind. */
  add(spec: Required<PortSpec>, portNo: number | undefined): Promise<number> {
    return this.#serial(() => this.#add(spec, portNo));
  }

  /** Removes a port, and closes its device. ENODEV. A device that fails to close is an error after the removal. */
  del(portNo: number): Promise<void> {
    return this.#serial(() => this.#del(this.byNumber(portNo).portNo));
  }

  /** Removes all ports. */
  clear(): Promise<void> {
    return this.#serial(async () => {
      const failures: unknown[] = [];
      for (const portNo of [...this.#byNumber.keys()].reverse()) {
        await this.#del(portNo).catch((error: unknown) => failures.push(error));
      }
      if (failures.length > 0) throw failures[0];
    });
  }

  has(portNo: number): boolean {
    return this.#byNumber.has(portNo);
  }

  byNumber(portNo: number): DpifPort {
    const entry = this.#byNumber.get(portNo);
    if (entry !== undefined) return describe(entry);
    throw new DpifError('ENODEV', `datapath ${this.#host.fullName} has no port number ${portNo}`);
  }

  byName(name: string): DpifPort {
    const entry = this.#byName.get(name);
    if (entry !== undefined) return describe(entry);
    throw new DpifError('ENODEV', `datapath ${this.#host.fullName} has no port "${name}"`);
  }

  /** All ports by number, as they are now. */
  list(): DpifPort[] {
    return [...this.#byNumber.values()].map(describe).sort((a, b) => a.portNo - b.portNo);
  }

  /** What was dropped, by code of the reason; ENODEV. */
  drops(portNo: number): Record<string, number> {
    this.byNumber(portNo);
    return namedDrops(this.#byNumber.get(portNo)!.data.drops());
  }

  async #add(spec: Required<PortSpec>, wanted: number | undefined): Promise<number> {
    const { name, type } = spec;
    const { affinity, config } = splitAffinity(spec.config);
    const host = this.#host;
    const { netdevs, plane } = host;
    const portNo = this.#chooseNumber(wanted);
    const undo = new Undo();
    try {
      undo.push(claimDevice(netdevs, name, host.fullName));
      const ref = await netdevs.open(name, host.openType(type), config);
      undo.push(() => ref.release());
      await becomePromiscuous(ref, undo);
      host.portAdded(portNo);
      undo.push(() => host.portRemoved(portNo));
      const data = await plane.openPort({ portNo, name, ref, affinity });
      undo.push(() => data.close());
      const entry: PortEntry = { port: { portNo, name, type }, data, undo };
      this.#byNumber.set(portNo, entry);
      this.#byName.set(name, entry);
    } catch (error) {
      // What went wrong first is what the caller should hear.
      await undo.run().catch(() => undefined);
      throw error;
    }
    host.changed(name);
    return portNo;
  }

  async #del(portNo: number): Promise<void> {
    const { port, undo } = this.#byNumber.get(portNo)!;
    this.#byNumber.delete(portNo);
    this.#byName.delete(port.name);
    try {
      await undo.run();
    } finally {
      this.#host.changed(port.name);
    }
  }

  #chooseNumber(wanted: number | undefined): number {
    if (wanted !== undefined) {
      if (wanted >= MAX_PORTS) {
        throw new DpifError('EFBIG', `port number ${wanted} is too large: numbers end at ${MAX_PORTS - 1}`);
      }
      const taken = this.#byNumber.get(wanted);
      if (taken === undefined) return wanted;
      throw new DpifError('EBUSY', `port number ${wanted} is taken by "${taken.port.name}"`);
    }
    for (let portNo = 1; portNo < MAX_PORTS; portNo++) if (!this.#byNumber.has(portNo)) return portNo;
    throw new DpifError('EFBIG', `datapath ${this.#host.fullName} has no free port number`);
  }

  #serial<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => undefined);
    return result;
  }
}

/** Reads a set of drop counters: only reasons that occurred. */
export function namedDrops(drops: Float64Array): Record<string, number> {
  const named: Record<string, number> = {};
  DROP_REASONS.forEach(({ code }, reason) => {
    if (drops[reason]! > 0) named[code] = drops[reason]!;
  });
  return named;
}

/** A switch must see frames for other stations. What the device's flag was comes back when the port goes. */
async function becomePromiscuous(ref: NetdevRef, undo: Undo): Promise<void> {
  const { netdev } = ref;
  const { loopback, promisc } = await netdev.getFlags();
  if (loopback) {
    throw new DpifError('EINVAL', `"${netdev.name}" is a loopback device and cannot be a port`);
  }
  if (promisc) return;
  try {
    await netdev.setFlags({ promisc: true });
  } catch (error) {
    if (isDpifError(error) && error.code === 'EOPNOTSUPP') return;
    throw error;
  }
  undo.push(async () => {
    try {
      await netdev.setFlags({ promisc: false });
    } catch (error) {
      // A device that somebody deleted takes its flag along.
      if (!(isDpifError(error) && error.code === 'ENODEV')) throw error;
    }
  });
}

function describe({ port }: PortEntry): DpifPort {
  return { ...port };
}
