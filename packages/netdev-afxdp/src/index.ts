/**
 * @etherloom/netdev-afxdp: the I/O driver for Ethernet interfaces of the Linux kernel.
 *
 * Type `afxdp`: an XDP program hands what comes in to AF_XDP sockets whose memory is the packet arena itself. Linux 5.10 or
 * later. Type `afpacket`: packet sockets, slower, for everything else. Type `system`: the first, or else the second.
 */

import type {
  Netdev,
  NetdevConfig,
  NetdevProvider,
  NetdevQueue,
  QueueDescriptor,
  QueueResources,
} from '@etherloom/core';
import { openAfpacket } from './afpacket/device.js';
import { isPacketDescriptor, openQueue as openPacketQueue } from './afpacket/queue.js';
import { openAfxdp } from './afxdp/device.js';
import { openQueue as openXskQueue } from './afxdp/queue.js';
import { openSystem } from './system.js';

export type { PacketDescriptor } from './afpacket/queue.hot.js';
export type { XskDescriptor } from './afxdp/xsk.hot.js';

export class AfxdpProvider implements NetdevProvider {
  readonly type = 'afxdp';

  /**
   * Attaches to the existing device `name`. Options: `mode`, `netns`, `queues`, `up`; README.md says what they mean and
   * which error codes there are.
   */
  open(name: string, config: NetdevConfig): Promise<Netdev> {
    return openAfxdp(name, config);
  }

  openQueue(descriptor: QueueDescriptor, resources: QueueResources): NetdevQueue {
    return openXskQueue(descriptor, resources);
  }
}

export class AfpacketProvider implements NetdevProvider {
  readonly type = 'afpacket';

  /** Opens a packet socket on the existing device `name`. Options: `netns`, `up`. */
  open(name: string, config: NetdevConfig): Promise<Netdev> {
    return openAfpacket(name, config);
  }

  openQueue(descriptor: QueueDescriptor, resources: QueueResources): NetdevQueue {
    return openPacketQueue(descriptor, resources);
  }
}

export class SystemProvider implements NetdevProvider {
  readonly type = 'system';

  /** Opens the existing device `name` as {@link AfxdpProvider} does, or where AF_XDP cannot be had by a packet socket. */
  open(name: string, config: NetdevConfig): Promise<Netdev> {
    return openSystem(name, config);
  }

  openQueue(descriptor: QueueDescriptor, resources: QueueResources): NetdevQueue {
    return isPacketDescriptor(descriptor)
      ? openPacketQueue(descriptor, resources)
      : openXskQueue(descriptor, resources);
  }
}

export function createNetdevProviders(): NetdevProvider[] {
  return [new AfxdpProvider(), new AfpacketProvider(), new SystemProvider()];
}
