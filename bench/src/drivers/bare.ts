/** The control half of a device that exists for a measurement only: it has a queue, and nothing to set. */

import type { Netdev, QueueDescriptor } from '@etherloom/core';

const nothing = async (): Promise<void> => undefined;

export function bareDevice(name: string, type: string, descriptor: QueueDescriptor): Netdev {
  return {
    name,
    type,
    capabilities: { rxQueues: 1, txQueues: 1, maxFrame: 0, txOffloads: 0, rxOffloads: 0 },
    getConfig: async () => ({}),
    setConfig: nothing,
    getMtu: async () => 1500,
    setMtu: nothing,
    getEtheraddr: async () => '02:00:00:00:00:ff',
    setEtheraddr: nothing,
    getStats: async () => ({}),
    getCarrier: async () => true,
    getCarrierResets: async () => 0,
    getFeatures: async () => ({}),
    getFlags: async () => ({ up: true, promisc: true, loopback: false }),
    setFlags: nothing,
    getIfindex: async () => 0,
    queueDescriptor: () => descriptor,
    close: nothing,
  };
}
