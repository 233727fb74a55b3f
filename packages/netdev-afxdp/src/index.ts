/**
 * @etherloom/netdev-afxdp: the I/O driver for AF_XDP sockets.
 *
 * Attaches to any Ethernet interface of the kernel: an XDP program hands what comes in to sockets whose memory is the
 * packet arena itself. Linux 5.10 or later.
 */

import type {
  Netdev,
  NetdevConfig,
  NetdevProvider,
  NetdevQueue,
  QueueDescriptor,
  QueueResources,
} from '@etherloom/core';
import { openAfxdp } from './afxdp/device.js';
import { openQueue } from './afxdp/queue.js';

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
    return openQueue(descriptor, resources);
  }
}

export function createNetdevProviders(): NetdevProvider[] {
  return [new AfxdpProvider()];
}
