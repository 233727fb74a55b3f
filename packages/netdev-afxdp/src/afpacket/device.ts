/** The control half of an AF_PACKET device. Control thread only. */

import { closeSync } from 'node:fs';
import {
  DpifError,
  MAX_PACKET,
  type Netdev,
  type NetdevCapabilities,
  type NetdevConfig,
  type NetdevStats,
  OFFLOAD_CSUM_PARTIAL,
  OFFLOAD_CSUM_VALID,
  OFFLOAD_GSO,
  OFFLOAD_GSO_ECN,
} from '@etherloom/core';
import { checkName, isSystemError, kernelError, type Link, newCounters } from '@etherloom/netdev-linux';
import { controlBinding, packetBinding } from '../binding.js';
import { type DeviceOptions, parsePacketOptions } from '../config.js';
import { findLink, KernelNetdev, type OpenedDevice, openControl, type Refusal } from '../netdev.js';
import type { PacketDescriptor } from './queue.hot.js';

/** Seen from src (under test) as from dist: threads without a TypeScript loader need the built module. */
const QUEUE_MODULE = new URL('../../dist/afpacket/queue.js', import.meta.url).href;

const OFFLOADS = OFFLOAD_CSUM_PARTIAL | OFFLOAD_GSO | OFFLOAD_GSO_ECN;

/**
 * Opens device `name`, for users of provider `type`; `refused` says what else was tried. On failure nothing is left
 * behind.
 */
export async function openAfpacket(
  name: string,
  config: NetdevConfig,
  type = 'afpacket',
  refused: readonly Refusal[] = [],
): Promise<Netdev> {
  checkName(name);
  const options = parsePacketOptions(name, config);
  const native = controlBinding();
  const control = openControl(native, options.netns);
  let socket = -1;
  try {
    const link = findLink(native, control, name, options.netns);
    socket = openSocket(control, link);
    return new AfpacketNetdev({ native, name, type, control, link, options }, socket, refused);
  } catch (error) {
    if (socket >= 0) closeSync(socket);
    closeSync(control);
    throw error;
  }
}

function openSocket(control: number, link: Link): number {
  const what = `cannot open a packet socket on "${link.name}"`;
  try {
    return packetBinding().openPacket(control, link.ifindex);
  } catch (error) {
    if (isSystemError(error) && error.errno === 1) {
      throw new DpifError('EPERM', `${what}: it takes root or the capability CAP_NET_RAW`, { cause: error });
    }
    throw kernelError(error, what);
  }
}

class AfpacketNetdev extends KernelNetdev {
  readonly capabilities: NetdevCapabilities;
  readonly #socket: number;
  readonly #counts = new Float64Array(2);
  #lost = 0;

  constructor(opened: OpenedDevice<DeviceOptions>, socket: number, refused: readonly Refusal[]) {
    super(opened, 1);
    this.#socket = socket;
    this.capabilities = {
      rxQueues: 1,
      txQueues: 1,
      maxFrame: MAX_PACKET,
      txOffloads: OFFLOADS,
      rxOffloads: OFFLOADS | OFFLOAD_CSUM_VALID,
      mode: 'packet socket',
      refused,
    };
  }

  async getConfig(): Promise<NetdevConfig> {
    return this.commonConfig();
  }

  /** `netns` is fixed once a device is open. */
  async setConfig(config: NetdevConfig): Promise<void> {
    const options = parsePacketOptions(this.name, config);
    if (options.netns !== this.netns) {
      throw new DpifError(
        'EINVAL',
        `netns of AF_PACKET device "${this.name}" is fixed while it is open: remove the port and add it with the new one`,
      );
    }
    this.applyOptions(options);
  }

  /** With what the socket had no memory for: `rxDropped`. */
  override async getStats(): Promise<NetdevStats> {
    const stats = await super.getStats();
    // The kernel starts anew with each look.
    if (packetBinding().statistics(this.#socket, this.#counts) === 0) this.#lost += this.#counts[1]!;
    stats.rxDropped = (stats.rxDropped ?? 0) + this.#lost;
    return stats;
  }

  queueDescriptor(index: number): PacketDescriptor {
    const counters = index === 0 ? this.counters[0] : undefined;
    if (counters === undefined) {
      throw new DpifError('EINVAL', `AF_PACKET device "${this.name}" has no queue ${index}: it has one`);
    }
    return this.#descriptor(counters);
  }

  /** A socket takes frames from any thread. */
  transmitDescriptor(): PacketDescriptor {
    const counters = newCounters();
    this.counters.push(counters);
    return this.#descriptor(counters);
  }

  #descriptor(counters: SharedArrayBuffer): PacketDescriptor {
    const { name: netdev, sharedState: state } = this;
    return { module: QUEUE_MODULE, netdev, index: 0, counters, socket: this.#socket, state };
  }

  protected detach(): void {
    closeSync(this.#socket);
  }
}
