/** The module that queue descriptors name: opens the data half of an AF_PACKET device in whichever thread imports it. */

import { DpifError, type NetdevQueue, type QueueDescriptor, type QueueResources } from '@etherloom/core/data';
import { packetBinding } from '../binding.js';
import { type PacketDescriptor, PacketQueue } from './queue.hot.js';

/** Opens the queue. EINVAL when the descriptor is of another driver, ENOSYS when the binding is not built. */
export function openQueue(descriptor: QueueDescriptor, resources: QueueResources): NetdevQueue {
  if (!isPacketDescriptor(descriptor)) {
    throw new DpifError(
      'EINVAL',
      `the queue descriptor of "${descriptor.netdev}" is not one of an AF_PACKET device`,
    );
  }
  return new PacketQueue(packetBinding(), descriptor, resources);
}

export function isPacketDescriptor(descriptor: QueueDescriptor): descriptor is PacketDescriptor {
  return (
    'socket' in descriptor &&
    typeof descriptor.socket === 'number' &&
    'state' in descriptor &&
    descriptor.state instanceof SharedArrayBuffer
  );
}
