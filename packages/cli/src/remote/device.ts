/** Devices of another process, as far as their control halves go: to be asked and set, not to move packets. */

import {
  DpifError,
  type Netdev,
  type NetdevCapabilities,
  type NetdevConfig,
  type NetdevFeatures,
  type NetdevFlags,
  type NetdevProvider,
  type NetdevQueue,
  type NetdevStats,
  type QueueDescriptor,
} from '@etherloom/core';
import type { Link } from './link.js';
import * as methods from './methods.js';

/** A device type of the switchd at the other end. */
export class RemoteNetdevProvider implements NetdevProvider {
  readonly type: string;
  readonly #link: Link;

  constructor(link: Link, type: string) {
    this.#link = link;
    this.type = type;
  }

  async open(name: string, config: NetdevConfig): Promise<Netdev> {
    const { device, capabilities } = await this.#link.call(methods.netdevOpen, {
      name,
      type: this.type,
      config,
    });
    return new RemoteNetdev(this.#link, { name, type: this.type, device, capabilities });
  }

  openQueue({ netdev }: QueueDescriptor): NetdevQueue {
    throw noQueues(netdev);
  }
}

const noQueues = (name: string): DpifError =>
  new DpifError(
    'EOPNOTSUPP',
    `device "${name}" is in another process: its packets are not to be had over a control socket`,
  );

class RemoteNetdev implements Netdev {
  readonly name: string;
  readonly type: string;
  readonly capabilities: NetdevCapabilities;
  readonly #link: Link;
  readonly #device: number;
  #closed = false;

  constructor(link: Link, opened: methods.NetdevOpened & { readonly name: string; readonly type: string }) {
    this.#link = link;
    this.#device = opened.device;
    this.name = opened.name;
    this.type = opened.type;
    this.capabilities = opened.capabilities;
  }

  getConfig(): Promise<NetdevConfig> {
    return this.#call(methods.netdevGetConfig, undefined);
  }

  setConfig(config: NetdevConfig): Promise<void> {
    return this.#call(methods.netdevSetConfig, config);
  }

  getMtu(): Promise<number> {
    return this.#call(methods.netdevGetMtu, undefined);
  }

  setMtu(mtu: number): Promise<void> {
    return this.#call(methods.netdevSetMtu, mtu);
  }

  getEtheraddr(): Promise<string> {
    return this.#call(methods.netdevGetEtheraddr, undefined);
  }

  setEtheraddr(address: string): Promise<void> {
    return this.#call(methods.netdevSetEtheraddr, address);
  }

  getStats(): Promise<NetdevStats> {
    return this.#call(methods.netdevGetStats, undefined);
  }

  getCarrier(): Promise<boolean> {
    return this.#call(methods.netdevGetCarrier, undefined);
  }

  getCarrierResets(): Promise<number> {
    return this.#call(methods.netdevGetCarrierResets, undefined);
  }

  getFeatures(): Promise<NetdevFeatures> {
    return this.#call(methods.netdevGetFeatures, undefined);
  }

  getFlags(): Promise<NetdevFlags> {
    return this.#call(methods.netdevGetFlags, undefined);
  }

  setFlags(flags: Partial<NetdevFlags>): Promise<void> {
    return this.#call(methods.netdevSetFlags, flags);
  }

  getIfindex(): Promise<number> {
    return this.#call(methods.netdevGetIfindex, undefined);
  }

  getStatus(): Promise<Readonly<Record<string, string>>> {
    return this.#call(methods.netdevGetStatus, undefined);
  }

  queueDescriptor(_index: number): QueueDescriptor {
    throw noQueues(this.name);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    try {
      await this.#call(methods.netdevClose, undefined);
    } catch (error) {
      if (!(error instanceof DpifError && error.code === 'ENOTCONN')) throw error;
    }
  }

  #call<A, R>(method: methods.RemoteMethod<readonly [number, A], R>, args: A): Promise<R> {
    return this.#link.call(method, [this.#device, args]);
  }
}
