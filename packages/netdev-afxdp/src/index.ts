/**
 * @etherloom/netdev-afxdp: the I/O driver for AF_XDP sockets.
 *
 * This version holds the driver's contract only: its type and options. Opening a device is refused.
 */

import {
  DpifError,
  type Netdev,
  type NetdevConfig,
  type NetdevProvider,
  type NetdevQueue,
  type QueueDescriptor,
} from '@etherloom/core';
import { parseOptions } from './config.js';

export { type AfxdpMode, type AfxdpOptions, MODES, parseOptions } from './config.js';

export class AfxdpProvider implements NetdevProvider {
  readonly type = 'afxdp';

  /** EINVAL for bad options (`queues`, `mode`), else EOPNOTSUPP: this version cannot open AF_XDP devices. */
  async open(name: string, config: NetdevConfig): Promise<Netdev> {
    parseOptions(name, config);
    throw notAvailable(name);
  }

  /** EOPNOTSUPP, as there are no devices whose queues it could open. */
  openQueue(descriptor: QueueDescriptor): NetdevQueue {
    throw notAvailable(descriptor.netdev);
  }
}

export function createNetdevProviders(): NetdevProvider[] {
  return [new AfxdpProvider()];
}

function notAvailable(name: string): DpifError {
  return new DpifError(
    'EOPNOTSUPP',
    `cannot open "${name}": AF_XDP ports are not available yet in this version, use a port of type "tap"`,
  );
}
