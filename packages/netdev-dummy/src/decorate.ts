/** How the decorators wrap a provider: everything is the inner one's, only queues are opened through a function of theirs. */

import {
  DpifError,
  type Netdev,
  type NetdevProvider,
  type NetdevQueue,
  type QueueDescriptor,
  type QueueResources,
} from '@etherloom/core';

/** Wraps an open queue. */
export type QueueWrapper = (
  queue: NetdevQueue,
  descriptor: QueueDescriptor,
  resources: QueueResources,
) => NetdevQueue;

/**
 * A provider like `provider` whose queues went through `wrap`. Works on the thread that has the provider: functions
 * cannot go to another one, so the descriptors name this module, whose openQueue says so, and no thread ever gets the
 * bare queue unnoticed.
 */
export function decorate(provider: NetdevProvider, wrap: QueueWrapper): NetdevProvider {
  return {
    type: provider.type,
    open: async (name, config) => withModule(await provider.open(name, config)),
    openQueue: (descriptor, resources) =>
      wrap(provider.openQueue(descriptor, resources), descriptor, resources),
  };
}

/** Throws EOPNOTSUPP: reached only from other threads. */
export function openQueue(descriptor: QueueDescriptor): NetdevQueue {
  throw new DpifError(
    'EOPNOTSUPP',
    `"${descriptor.netdev}" is wrapped by a decorator, which works on the control thread only: run without poll-mode threads`,
  );
}

const MODULE = new URL('../dist/decorate.js', import.meta.url).href;

/** `netdev` with other queue descriptors. The methods run on the device itself: they may use private members. */
function withModule(netdev: Netdev): Netdev {
  return new Proxy(netdev, {
    get(target, key) {
      if (key === 'queueDescriptor') {
        return (index: number): QueueDescriptor => ({ ...target.queueDescriptor(index), module: MODULE });
      }
      // Only threads ask for it.
      if (key === 'transmitDescriptor') return undefined;
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
