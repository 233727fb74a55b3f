/** The control half that all devices of the kernel have in common: link state, options, statistics. Control thread only. */

import { closeSync } from 'node:fs';
import {
  DpifError,
  type Netdev,
  type NetdevCapabilities,
  type NetdevConfig,
  type NetdevFeatures,
  type NetdevFlags,
  type NetdevStats,
  QUEUE_COUNTERS,
  QUEUE_RX_BYTES,
  QUEUE_RX_PACKETS,
  QUEUE_TX_BYTES,
  QUEUE_TX_PACKETS,
  type QueueDescriptor,
} from '@etherloom/core';
import {
  changeLink,
  IFF_LOOPBACK,
  IFF_LOWER_UP,
  IFF_PROMISC,
  IFF_UP,
  isSystemError,
  kernelError,
  type Link,
  type LinkChange,
  type LinkCounters,
  namespaceError,
  namespacePath,
  parseEtheraddr,
  readLink,
} from '@etherloom/netdev-linux';
import type { ControlBinding } from './binding.js';
import type { DeviceOptions } from './config.js';
import { linkSpeed } from './ethtool.js';
import { STATE_CLOSED, STATE_DOWN, STATE_MTU, stateWords } from './state.hot.js';

/** A control socket in the namespace of the options. Errors say what to do. */
export function openControl(native: ControlBinding, netns: string | undefined): number {
  try {
    return native.openControl(netns === undefined ? undefined : namespacePath(netns));
  } catch (error) {
    const refused = namespaceError(error, netns);
    if (refused !== undefined) throw refused;
    throw kernelError(
      error,
      netns === undefined ? 'cannot talk to rtnetlink' : `cannot use network namespace "${netns}"`,
    );
  }
}

/** The link of device `name` when it is opened. ENODEV when there is none. */
export function findLink(
  native: ControlBinding,
  control: number,
  name: string,
  netns: string | undefined,
): Link {
  try {
    return readLink(native, control, name);
  } catch (error) {
    if (isSystemError(error) && error.errno === 19) {
      const where = netns === undefined ? '' : ` in network namespace "${netns}"`;
      throw new DpifError(
        'ENODEV',
        `there is no network device "${name}"${where}: give one that "ip link" shows`,
        {
          cause: error,
        },
      );
    }
    throw kernelError(error, `cannot read the state of device "${name}"`);
  }
}

/** A mode that cannot be had, and why. */
export type Refusal = NonNullable<NetdevCapabilities['refused']>[number];

/** A device that was found, and what it shall be to its users. */
export interface OpenedDevice<Options extends DeviceOptions> {
  readonly native: ControlBinding;
  readonly name: string;
  readonly type: string;
  /** Control socket in the device's namespace. */
  readonly control: number;
  readonly link: Link;
  readonly options: Options;
}

export abstract class KernelNetdev implements Netdev {
  readonly name: string;
  readonly type: string;
  abstract readonly capabilities: NetdevCapabilities;
  protected readonly native: ControlBinding;
  /** Control socket in the device's namespace; closed with the device. */
  protected readonly control: number;
  protected readonly ifindex: number;
  protected readonly netns: string | undefined;
  protected readonly sharedState: SharedArrayBuffer;
  /** One per queue, then one per transmit half: QUEUE_COUNTERS doubles. */
  protected readonly counters: SharedArrayBuffer[];
  readonly #state: Int32Array;
  /** What the device had counted when it was opened. */
  readonly #before: LinkCounters;
  readonly #carrierChangesBefore: number;
  /** Socket that keeps the device promiscuous; -1 for none. */
  #promiscuous = -1;
  #closed = false;

  /** Brings the device up or down as the options say. Takes over `control`, unless it throws. */
  protected constructor(opened: OpenedDevice<DeviceOptions>, queues: number) {
    const { link, name } = opened;
    if (link.flags & IFF_LOOPBACK) {
      throw new DpifError('EINVAL', `"${name}" is the loopback device and cannot be a port: give another`);
    }
    this.native = opened.native;
    this.name = name;
    this.type = opened.type;
    this.control = opened.control;
    this.ifindex = link.ifindex;
    this.netns = opened.options.netns;
    this.sharedState = new SharedArrayBuffer(stateWords(queues) * Int32Array.BYTES_PER_ELEMENT);
    this.#state = new Int32Array(this.sharedState);
    this.counters = Array.from({ length: queues }, newCounters);
    this.#before = link.counters;
    this.#carrierChangesBefore = link.carrierChanges;
    this.applyOptions(opened.options);
  }

  abstract getConfig(): Promise<NetdevConfig>;
  abstract setConfig(config: NetdevConfig): Promise<void>;
  abstract queueDescriptor(index: number): QueueDescriptor;
  /** Releases what the type has on top; called once. */
  protected abstract release(): void;

  async getStatus(): Promise<Readonly<Record<string, string>>> {
    const { mode = '', refused = [] } = this.capabilities;
    const status: Record<string, string> = { mode };
    if (refused.length > 0) status.refused = refused.map((r) => `${r.mode}: ${r.reason}`).join('; ');
    const { name } = this.link();
    if (name !== this.name) status.renamed = `the device is called "${name}" now`;
    return status;
  }

  async getMtu(): Promise<number> {
    return this.link().mtu;
  }

  async setMtu(mtu: number): Promise<void> {
    const { minMtu, maxMtu } = this.link();
    if (!Number.isInteger(mtu) || mtu < minMtu || (maxMtu !== 0 && mtu > maxMtu) || mtu > 0x7fff_ffff) {
      throw new DpifError(
        'EINVAL',
        `MTU ${mtu} does not suit device "${this.name}": give ${minMtu} to ${maxMtu}`,
      );
    }
    this.change({ mtu }, `cannot set MTU ${mtu} of device "${this.name}"`);
  }

  async getEtheraddr(): Promise<string> {
    return this.link().address;
  }

  async setEtheraddr(address: string): Promise<void> {
    const checked = parseEtheraddr(address);
    this.change({ address: checked }, `cannot give device "${this.name}" the address ${checked}`);
  }

  /** Packets and bytes are the port's own, from its opening; the rest is what the device counted meanwhile. */
  async getStats(): Promise<NetdevStats> {
    const now = this.link().counters;
    const before = this.#before;
    const stats: NetdevStats = {};
    for (const name of COUNTED) stats[name] = Math.max(0, now[name] - before[name]);
    const queues = this.counters.map((counters) => new Float64Array(counters));
    const sum = (counter: number): number => queues.reduce((total, queue) => total + queue[counter]!, 0);
    stats.rxPackets = sum(QUEUE_RX_PACKETS);
    stats.txPackets = sum(QUEUE_TX_PACKETS);
    stats.rxBytes = sum(QUEUE_RX_BYTES);
    stats.txBytes = sum(QUEUE_TX_BYTES);
    return stats;
  }

  async getCarrier(): Promise<boolean> {
    return (this.link().flags & IFF_LOWER_UP) !== 0;
  }

  async getCarrierResets(): Promise<number> {
    return this.link().carrierChanges - this.#carrierChangesBefore;
  }

  /** A veth states 10 Gbit/s, which limits nothing: nothing is said of virtual devices. */
  async getFeatures(): Promise<NetdevFeatures> {
    const link = this.link();
    return link.kind === '' ? linkSpeed(this.native, this.control, link.name) : {};
  }

  async getFlags(): Promise<NetdevFlags> {
    const { flags, promiscuity } = this.link();
    return { up: (flags & IFF_UP) !== 0, promisc: promiscuity > 0, loopback: false };
  }

  /**
   * Promiscuous mode is ours as long as the port is open: it is counted by the kernel, beside that of others, and goes
   * with this process however that ends. `promisc: false` takes the flag away that somebody set, too. EOPNOTSUPP for
   * `loopback: true`.
   */
  async setFlags(flags: Partial<NetdevFlags>): Promise<void> {
    if (flags.loopback === true) {
      throw new DpifError('EOPNOTSUPP', `device "${this.name}" cannot loop frames back: leave that flag off`);
    }
    this.link();
    if (flags.promisc === true && this.#promiscuous < 0) {
      try {
        this.#promiscuous = this.native.joinAll(this.control, this.ifindex);
      } catch (error) {
        throw kernelError(error, `cannot make device "${this.name}" promiscuous`);
      }
    }
    if (flags.promisc === false) this.#leavePromiscuous();
    const wanted = flags.up === true ? IFF_UP : 0;
    const mask = (flags.up === undefined ? 0 : IFF_UP) | (flags.promisc === false ? IFF_PROMISC : 0);
    if (mask === 0) return;
    this.change({ flags: wanted, flagMask: mask }, `cannot change the flags of device "${this.name}"`);
  }

  async getIfindex(): Promise<number> {
    return this.link().ifindex;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#state[STATE_CLOSED] = 1;
    this.release();
    this.#leavePromiscuous();
    closeSync(this.control);
  }

  /** Reads the link, and tells the queues what it is by now, whoever changed it. */
  protected link(): Link {
    if (this.#closed) throw new DpifError('ENODEV', `device "${this.name}" is closed: open it again`);
    try {
      const link = readLink(this.native, this.control, this.ifindex);
      this.#state[STATE_MTU] = link.mtu;
      this.#state[STATE_DOWN] = (link.flags & IFF_UP) === 0 ? 1 : 0;
      return link;
    } catch (error) {
      throw kernelError(error, `cannot read the state of device "${this.name}"`);
    }
  }

  protected change(change: LinkChange, what: string): void {
    try {
      changeLink(this.native, this.control, this.ifindex, change);
    } catch (error) {
      throw kernelError(error, what);
    }
    this.link();
  }

  protected applyOptions(options: DeviceOptions): void {
    const up = (this.link().flags & IFF_UP) !== 0;
    if (options.up === up) return;
    this.change(
      { flags: options.up ? IFF_UP : 0, flagMask: IFF_UP },
      `cannot set device "${this.name}" ${options.up ? 'up' : 'down'}`,
    );
  }

  /** The options in effect that all types have. */
  protected commonConfig(): Record<string, string> {
    const config: Record<string, string> = {};
    if (this.netns !== undefined) config.netns = this.netns;
    if ((this.link().flags & IFF_UP) === 0) config.up = 'false';
    return config;
  }

  #leavePromiscuous(): void {
    if (this.#promiscuous < 0) return;
    closeSync(this.#promiscuous);
    this.#promiscuous = -1;
  }
}

export function newCounters(): SharedArrayBuffer {
  return new SharedArrayBuffer(QUEUE_COUNTERS * Float64Array.BYTES_PER_ELEMENT);
}

/** Counters that are the device's; packets and bytes are counted by the queues. */
const COUNTED = [
  'rxErrors',
  'txErrors',
  'rxDropped',
  'txDropped',
  'multicast',
  'collisions',
  'rxLengthErrors',
  'rxOverErrors',
  'rxCrcErrors',
  'rxFrameErrors',
  'rxFifoErrors',
  'rxMissedErrors',
  'txAbortedErrors',
  'txCarrierErrors',
  'txFifoErrors',
  'txHeartbeatErrors',
  'txWindowErrors',
] as const satisfies readonly (keyof NetdevStats)[];
