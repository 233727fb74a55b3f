/**
 * @etherloom/netdev-tap: the I/O driver for Linux TAP devices.
 *
 * A TAP is a network device whose other end is this process: what the kernel sends to it, the switch receives, and the
 * other way round. Type `tap`; datapaths use it for their `internal` ports too. Linux 5.2 or later.
 */

import type {
  Netdev,
  NetdevConfig,
  NetdevProvider,
  NetdevQueue,
  QueueDescriptor,
  QueueResources,
} from '@etherloom/core';
import { openTap } from './control.js';
import { openQueue } from './queue.js';

export type { TapQueueDescriptor } from './queue.hot.js';

export class TapProvider implements NetdevProvider {
  readonly type = 'tap';

  /**
   * Creates TAP device `name`, or attaches to a persistent one that nobody has open. Options: `netns`, `mac`, `mtu`,
   * `offload`, `persistent`, `queues`, `up`; README.md says what they mean and which error codes there are.
   */
  open(name: string, config: NetdevConfig): Promise<Netdev> {
    return openTap(name, config);
  }

  openQueue(descriptor: QueueDescriptor, resources: QueueResources): NetdevQueue {
    return openQueue(descriptor, resources);
  }
}

export function createNetdevProviders(): NetdevProvider[] {
  return [new TapProvider()];
}
