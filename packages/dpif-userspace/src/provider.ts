/** The provider: datapaths by name, and who has them open. */

import {
  type ArenaOptions,
  type ClassifierOptions,
  type DpifBackend,
  DpifError,
  type DpifProvider,
  FramePool,
  type NetdevRegistry,
  PacketArena,
} from '@etherloom/core';
import { MAX_VLANS } from '@etherloom/odp-codec';
import type { ActionRules } from './action-rules.js';
import { Datapath, type Surroundings } from './datapath.js';
import { Opener } from './opener.js';
import type { DataPlane } from './plane.js';
import type { ThreadOptions } from './pmd/crew.js';
import type { PmdEvent, PmdReport, ThreadPerf } from './pmd/report.js';
import { Runner } from './runner.js';
import type { UpcallLimits } from './upcall-queue.js';

export interface UserspaceLimits extends Partial<UpcallLimits>, ClassifierOptions {}

export interface UserspaceOptions {
  /** Name of the datapath type; default "netdev". */
  readonly type?: string;
  /** Where port devices are opened. */
  readonly netdevs: NetdevRegistry;
  /**
   * Netdev type to open for a port type, where the two differ. Default: "internal" is "tap"; for a provider of type
   * "dummy", "internal" and "system" are "dummy".
   */
  readonly portTypes?: Readonly<Record<string, string>>;
  /** Monotonic milliseconds; default `performance.now`. The clock of flow statistics. */
  readonly clock?: () => number;
  /**
   * Packet memory: inline, shared by all datapaths of the provider and allocated with the first one; otherwise that of
   * each poll-mode thread.
   */
  readonly arena?: ArenaOptions;
  readonly limits?: UserspaceLimits;
  /**
   * Which actions are refused when a flow is put: `strict`, the default, those that the Linux datapath refuses because no
   * packet of the flow allows them; `openvswitch` only malformed ones, as Open vSwitch's user-space datapath.
   */
  readonly actionRules?: ActionRules;
  /** VLAN tags that are part of a flow's key (Open vSwitch's `vlan-limit`): 1 or 2; 0, the default, is the maximum, 2. */
  readonly vlanLimit?: 0 | 1 | 2;
  /**
   * Poll-mode threads of each datapath, 0 to 64. Default 0: packets go their way on the thread that made the provider.
   */
  readonly pmdThreads?: number;
  /** CPUs to bind the threads of a datapath to, in turn; default: the system chooses. */
  readonly pmdCpus?: readonly number[];
  /** Told of threads that crash and are replaced. Default: `process.emitWarning`. */
  readonly onPmdEvent?: (event: PmdEvent) => void;
}

/** The provider with what dpif.h does not have. */
export interface UserspaceDpifProvider extends DpifProvider {
  /** What the poll-mode threads of datapath `name` do with their time; none inline. ENODEV. */
  pmdReports(name: string): Promise<readonly PmdReport[]>;
  /** What the main thread does for datapath `name` inline; undefined with poll-mode threads. ENODEV. */
  mainReport(name: string): Promise<ThreadPerf | undefined>;
}

/** Most poll-mode threads of a datapath. */
export const MAX_PMD_THREADS = 64;
const DEFAULT_MAX_FLOWS = 1 << 20;
const DEFAULT_UPCALLS = 512;
const DEFAULT_UPCALL_BYTES = 1 << 20;
const DEFAULT_UPCALL_TOTAL = 64 << 20;
const PORT_TYPES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  dummy: { internal: 'dummy', system: 'dummy' },
};
const DEFAULT_PORT_TYPES: Readonly<Record<string, string>> = { internal: 'tap' };

/** Makes a datapath type that runs in this process. Register it with a `DpifRegistry`. EINVAL for bad options. */
export function createUserspaceProvider(options: UserspaceOptions): UserspaceDpifProvider {
  const { pmdThreads = 0, pmdCpus = [] } = options;
  if (!Number.isInteger(pmdThreads) || pmdThreads < 0 || pmdThreads > MAX_PMD_THREADS) {
    throw new DpifError(
      'EINVAL',
      `pmdThreads ${pmdThreads} is not a number of threads: give 0 to ${MAX_PMD_THREADS}`,
    );
  }
  for (const cpu of pmdCpus) {
    if (!Number.isInteger(cpu) || cpu < 0)
      throw new DpifError('EINVAL', `pmdCpus holds ${cpu}, which is not the number of a CPU`);
  }
  return new UserspaceProvider(options);
}

interface Entry {
  readonly datapath: Promise<Datapath>;
  openers: number;
  deleted: boolean;
}

class UserspaceProvider implements UserspaceDpifProvider {
  readonly type: string;
  readonly #options: UserspaceOptions;
  readonly #portTypes: Readonly<Record<string, string>>;
  readonly #runner: Runner;
  readonly #datapaths = new Map<string, Entry>();
  #pool: FramePool | undefined;

  constructor(options: UserspaceOptions) {
    const { vlanLimit = 0 } = options;
    if (vlanLimit !== 0 && vlanLimit !== 1 && vlanLimit !== 2) {
      throw new DpifError(
        'EINVAL',
        `a VLAN limit of ${String(vlanLimit)} tags: give 0 (the maximum), 1 or 2`,
      );
    }
    this.type = options.type ?? 'netdev';
    this.#options = options;
    this.#portTypes = options.portTypes ?? PORT_TYPES[this.type] ?? DEFAULT_PORT_TYPES;
    this.#runner = new Runner(options.clock ?? (() => performance.now()));
  }

  async enumerate(): Promise<readonly string[]> {
    return [...this.#datapaths].filter(([, { deleted }]) => !deleted).map(([name]) => name);
  }

  portOpenType(portType: string): string {
    return Object.hasOwn(this.#portTypes, portType) ? this.#portTypes[portType]! : portType;
  }

  async pmdReports(name: string): Promise<readonly PmdReport[]> {
    return (await this.#planeOf(name)).reports();
  }

  async mainReport(name: string): Promise<ThreadPerf | undefined> {
    return (await this.#planeOf(name)).main();
  }

  async #planeOf(name: string): Promise<DataPlane> {
    const entry = this.#datapaths.get(name);
    if (entry === undefined) throw new DpifError('ENODEV', `there is no datapath ${this.type}@${name}`);
    return (await entry.datapath).plane;
  }

  async open(name: string, create: boolean): Promise<DpifBackend> {
    const existing = this.#datapaths.get(name);
    if (create) {
      if (existing === undefined) return this.#create(name);
      throw existing.deleted
        ? new DpifError(
            'EBUSY',
            `datapath ${this.type}@${name} was deleted but ${existing.openers} handle(s) on it are open; close them first`,
          )
        : new DpifError('EEXIST', `datapath ${this.type}@${name} exists already`);
    }
    if (existing === undefined || existing.deleted) {
      throw new DpifError('ENODEV', `there is no datapath ${this.type}@${name}; create it first`);
    }
    return this.#opener(name, existing, await existing.datapath);
  }

  async #create(name: string): Promise<DpifBackend> {
    const entry: Entry = {
      datapath: Datapath.create(name, this.#surroundings()),
      openers: 0,
      deleted: false,
    };
    this.#datapaths.set(name, entry);
    try {
      return this.#opener(name, entry, await entry.datapath);
    } catch (error) {
      this.#datapaths.delete(name);
      throw error;
    }
  }

  #opener(name: string, entry: Entry, datapath: Datapath): DpifBackend {
    entry.openers++;
    return new Opener(datapath, {
      destroyed: () => {
        entry.deleted = true;
      },
      closed: async () => {
        entry.openers--;
        if (!entry.deleted || entry.openers > 0) return;
        try {
          await datapath.destroy();
        } finally {
          this.#datapaths.delete(name);
        }
      },
    });
  }

  #surroundings(): Surroundings {
    const { netdevs, limits, actionRules, vlanLimit } = this.#options;
    return {
      type: this.type,
      netdevs,
      pool: this.#carriers(),
      runner: this.#runner,
      limits: {
        upcalls: DEFAULT_UPCALLS,
        upcallBytes: DEFAULT_UPCALL_BYTES,
        upcallTotalBytes: DEFAULT_UPCALL_TOTAL,
        ...limits,
      },
      actionRules: actionRules ?? 'strict',
      vlanLimit: vlanLimit || MAX_VLANS,
      openType: (portType) => this.portOpenType(portType),
    };
  }

  #carriers(): FramePool | ThreadOptions {
    const { arena = {}, limits, pmdThreads = 0, pmdCpus = [], onPmdEvent = warn } = this.#options;
    if (pmdThreads === 0) {
      this.#pool ??= new FramePool(PacketArena.create(arena));
      return this.#pool;
    }
    return {
      count: pmdThreads,
      cpus: pmdCpus,
      arena,
      limits: { maxFlows: DEFAULT_MAX_FLOWS, ...limits },
      event: onPmdEvent,
    };
  }
}

function warn({ message }: PmdEvent): void {
  process.emitWarning(message);
}
