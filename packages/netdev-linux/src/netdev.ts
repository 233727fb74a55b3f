/** The control half that all devices of Linux have in common: link state, address, flags, what the queues counted. Control thread only. */

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
import { kernelError } from './errors.js';
import {
  changeLink,
  IFF_LOOPBACK,
  IFF_LOWER_UP,
  IFF_PROMISC,
  IFF_UP,
  type Link,
  type LinkChange,
  readLink,
} from './link.js';
import { parseEtheraddr } from './names.js';
import type { Rtnetlink } from './rtnetlink.js';
import { STATE_CLOSED, STATE_MTU } from './state.hot.js';

/** A device that was opened, and what it shall be to its users. */
export interface LinuxDevice<Native extends Rtnetlink> {
  readonly native: Native;
  readonly name: string;
  readonly type: string;
  /** Descriptor that stands for the device's namespace; closed by the subclass. */
  readonly control: number;
  /** What sentences call it. */
  readonly title: string;
  readonly link: Link;
  readonly queues: number;
  /** 32-bit words of shared state: STATE_WORDS and the driver's own. */
  readonly stateWords: number;
}

/** Which IFF_* bits are to be changed, and to what. */
export interface FlagChange {
  readonly flags: number;
  readonly mask: number;
}

export abstract class LinuxNetdev<Native extends Rtnetlink> implements Netdev {
  readonly name: string;
  readonly type: string;
  abstract readonly capabilities: NetdevCapabilities;
  protected readonly native: Native;
  protected readonly control: number;
  protected readonly title: string;
  /** The link when the device was opened: it may have counted before. */
  protected readonly opened: Link;
  /** STATE_* words. */
  protected readonly state: Int32Array;
  protected readonly sharedState: SharedArrayBuffer;
  /** One per queue, then one per transmit half: QUEUE_COUNTERS doubles. */
  protected readonly counters: SharedArrayBuffer[];
  #closing: Promise<void> | undefined;

  protected constructor(device: LinuxDevice<Native>) {
    this.native = device.native;
    this.name = device.name;
    this.type = device.type;
    this.control = device.control;
    this.title = device.title;
    this.opened = device.link;
    this.sharedState = new SharedArrayBuffer(device.stateWords * Int32Array.BYTES_PER_ELEMENT);
    this.state = new Int32Array(this.sharedState);
    this.state[STATE_MTU] = device.link.mtu;
    this.counters = Array.from({ length: device.queues }, newCounters);
  }

  abstract getConfig(): Promise<NetdevConfig>;
  abstract setConfig(config: NetdevConfig): Promise<void>;
  abstract getStats(): Promise<NetdevStats>;
  abstract getFeatures(): Promise<NetdevFeatures>;
  abstract queueDescriptor(index: number): QueueDescriptor;
  /** Name or index by which rtnetlink knows the device now. May throw a `SystemError`. */
  protected abstract device(): string | number;
  /** Closes what was opened; called once. */
  protected abstract release(): void | Promise<void>;

  /** What could not be had, and why. */
  async getStatus(): Promise<Readonly<Record<string, string>>> {
    const { refused = [] } = this.capabilities;
    if (refused.length === 0) return {};
    return { refused: refused.map(({ mode, reason }) => `${mode}: ${reason}`).join('; ') };
  }

  async getMtu(): Promise<number> {
    return this.link().mtu;
  }

  async setMtu(mtu: number): Promise<void> {
    const link = this.link();
    this.checkMtu(mtu, link);
    this.change(link, { mtu }, `cannot set MTU ${mtu} of ${this.title}`);
  }

  async getEtheraddr(): Promise<string> {
    return this.link().address;
  }

  async setEtheraddr(text: string): Promise<void> {
    const address = parseEtheraddr(text);
    this.change(this.link(), { address }, `cannot give ${this.title} the address ${address}`);
  }

  async getCarrier(): Promise<boolean> {
    return (this.link().flags & IFF_LOWER_UP) !== 0;
  }

  async getCarrierResets(): Promise<number> {
    return this.link().carrierChanges - this.opened.carrierChanges;
  }

  async getFlags(): Promise<NetdevFlags> {
    const { flags, promiscuity } = this.link();
    return {
      up: (flags & IFF_UP) !== 0,
      promisc: promiscuity > 0,
      loopback: (flags & IFF_LOOPBACK) !== 0,
    };
  }

  /** EOPNOTSUPP for `loopback: true`: no device here can. */
  async setFlags(flags: Partial<NetdevFlags>): Promise<void> {
    if (flags.loopback === true) {
      throw new DpifError('EOPNOTSUPP', `${this.title} cannot loop frames back: leave that flag off`);
    }
    const link = this.link();
    const promisc = flags.promisc === undefined ? { flags: 0, mask: 0 } : this.promiscuous(flags.promisc);
    const mask = promisc.mask | (flags.up === undefined ? 0 : IFF_UP);
    if (mask === 0) return;
    const wanted = promisc.flags | (flags.up === true ? IFF_UP : 0);
    this.change(link, { flags: wanted, flagMask: mask }, `cannot change the flags of ${this.title}`);
  }

  async getIfindex(): Promise<number> {
    return this.link().ifindex;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.state[STATE_CLOSED] = 1;
    await this.release();
  }

  /** The flag that people set. */
  protected promiscuous(on: boolean): FlagChange {
    return { flags: on ? IFF_PROMISC : 0, mask: IFF_PROMISC };
  }

  /** Reads the link, and tells the queues the MTU that it has by now, whoever set it. ENODEV when the device is closed, or gone. */
  protected link(): Link {
    if (this.#closing !== undefined) throw new DpifError('ENODEV', `${this.title} is closed: open it again`);
    try {
      const link = readLink(this.native, this.control, this.device());
      this.state[STATE_MTU] = link.mtu;
      return link;
    } catch (error) {
      throw kernelError(error, `cannot read the state of ${this.title}`);
    }
  }

  /** Changes the link; `what` says for the error's sentence what was tried. */
  protected change(link: Link, change: LinkChange, what: string): void {
    try {
      changeLink(this.native, this.control, link.ifindex, change);
    } catch (error) {
      throw kernelError(error, what);
    }
    if (change.mtu !== undefined) this.state[STATE_MTU] = change.mtu;
  }

  /** EINVAL when the device cannot have that MTU. */
  protected checkMtu(mtu: number, { minMtu, maxMtu }: Link): void {
    const most = maxMtu === 0 ? 0x7fff_ffff : maxMtu;
    if (Number.isInteger(mtu) && mtu >= minMtu && mtu <= most) return;
    throw new DpifError('EINVAL', `MTU ${mtu} does not suit ${this.title}: give ${minMtu} to ${most}`);
  }

  /** Packets and bytes that the queues counted, from the opening on. */
  protected counted(): NetdevStats {
    const queues = this.counters.map((counters) => new Float64Array(counters));
    const sum = (counter: number): number => queues.reduce((total, queue) => total + queue[counter]!, 0);
    return {
      rxPackets: sum(QUEUE_RX_PACKETS),
      txPackets: sum(QUEUE_TX_PACKETS),
      rxBytes: sum(QUEUE_RX_BYTES),
      txBytes: sum(QUEUE_TX_BYTES),
    };
  }
}

/** Counters of one queue or transmit half. */
export function newCounters(): SharedArrayBuffer {
  return new SharedArrayBuffer(QUEUE_COUNTERS * Float64Array.BYTES_PER_ELEMENT);
}
