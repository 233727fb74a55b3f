/** The module that queue descriptors name: opens the data half of a TAP device in whichever thread imports it. */

import { DpifError, type NetdevQueue, type QueueDescriptor, type QueueResources } from '@etherloom/core/data';
import { type TapBursts, tapBursts } from './binding.js';
import { TapQueue, type TapQueueDescriptor } from './queue.hot.js';

/** Opens a queue, through `native`. EINVAL when the descriptor is of another driver, ENOSYS when the binding is not built. */
export function openQueue(
  descriptor: QueueDescriptor,
  resources: QueueResources,
  native: TapBursts = tapBursts(),
): NetdevQueue {
  if (!isTapDescriptor(descriptor)) {
    throw new DpifError(
      'EINVAL',
      `the queue descriptor of "${descriptor.netdev}" is not one of a TAP device`,
    );
  }
  return new TapQueue(native, descriptor, resources);
}

function isTapDescriptor(descriptor: QueueDescriptor): descriptor is TapQueueDescriptor {
  return (
    'fd' in descriptor &&
    typeof descriptor.fd === 'number' &&
    'state' in descriptor &&
    descriptor.state instanceof SharedArrayBuffer
  );
}
