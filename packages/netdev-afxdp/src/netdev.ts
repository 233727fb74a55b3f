/** The control half that AF_XDP and AF_PACKET devices have in common: finding one, options, statistics. Control thread only. */

import { closeSync } from 'node:fs';
import { DpifError, type NetdevCapabilities, type NetdevFeatures, type NetdevStats } from '@etherloom/core';
import {
  type FlagChange,
  IFF_LOOPBACK,
  IFF_PROMISC,
  IFF_UP,
  isSystemError,
  kernelError,
  type Link,
  type LinkChange,
  LinuxNetdev,
  namespaceError,
  namespacePath,
  readLink,
} from '@etherloom/netdev-linux';
import type { ControlBinding } from './binding.js';
import type { DeviceOptions } from './config.js';
import { linkSpeed } from './ethtool.js';
import { STATE_DOWN, stateWords } from './state.hot.js';

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

export abstract class KernelNetdev extends LinuxNetdev<ControlBinding> {
  protected readonly ifindex: number;
  protected readonly netns: string | undefined;
  /** Socket that keeps the device promiscuous; -1 for none. */
  #promiscuous = -1;

  /** Brings the device up or down as the options say. Takes over `control`, unless it throws. */
  protected constructor(opened: OpenedDevice<DeviceOptions>, queues: number) {
    const { link, name } = opened;
    if (link.flags & IFF_LOOPBACK) {
      throw new DpifError('EINVAL', `"${name}" is the loopback device and cannot be a port: give another`);
    }
    super({ ...opened, title: `device "${name}"`, queues, stateWords: stateWords(queues) });
    this.ifindex = link.ifindex;
    this.netns = opened.options.netns;
    this.applyOptions(opened.options);
  }

  /** Releases what the type has on top; called once. */
  protected abstract detach(): void;

  override async getStatus(): Promise<Readonly<Record<string, string>>> {
    const { mode = '' } = this.capabilities;
    const { name } = this.link();
    const status: Record<string, string> = { mode, ...(await super.getStatus()) };
    if (name !== this.name) status.renamed = `the device is called "${name}" now`;
    return status;
  }

  /** Packets and bytes are the port's own, from its opening; the rest is what the device counted meanwhile. */
  async getStats(): Promise<NetdevStats> {
    const now = this.link().counters;
    const before = this.opened.counters;
    const stats: NetdevStats = this.counted();
    for (const name of COUNTED) stats[name] = Math.max(0, now[name] - before[name]);
    return stats;
  }

  /** A veth states 10 Gbit/s, which limits nothing: nothing is said of virtual devices. */
  async getFeatures(): Promise<NetdevFeatures> {
    const link = this.link();
    return link.kind === '' ? linkSpeed(this.native, this.control, link.name) : {};
  }

  /**
   * Promiscuous mode is ours as long as the port is open: it is counted by the kernel, beside that of others, and goes
   * with this process however that ends. Turned off, it takes the flag away that somebody set, too.
   */
  protected override promiscuous(on: boolean): FlagChange {
    if (!on) {
      this.#leavePromiscuous();
      return { flags: 0, mask: IFF_PROMISC };
    }
    if (this.#promiscuous < 0) {
      try {
        this.#promiscuous = this.native.joinAll(this.control, this.ifindex);
      } catch (error) {
        throw kernelError(error, `cannot make ${this.title} promiscuous`);
      }
    }
    return { flags: 0, mask: 0 };
  }

  protected override device(): number {
    return this.ifindex;
  }

  protected override release(): void {
    this.detach();
    this.#leavePromiscuous();
    closeSync(this.control);
  }

  /** Tells the queues, too, whether the device is up. */
  protected override link(): Link {
    const link = super.link();
    this.state[STATE_DOWN] = (link.flags & IFF_UP) === 0 ? 1 : 0;
    return link;
  }

  protected override change(link: Link, change: LinkChange, what: string): void {
    super.change(link, change, what);
    this.link();
  }

  protected applyOptions(options: DeviceOptions): void {
    const link = this.link();
    if (options.up === ((link.flags & IFF_UP) !== 0)) return;
    this.change(
      link,
      { flags: options.up ? IFF_UP : 0, flagMask: IFF_UP },
      `cannot set ${this.title} ${options.up ? 'up' : 'down'}`,
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
