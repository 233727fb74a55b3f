/** The netdev suite over dummy devices. */

import { type ComplianceCase, type NetdevFixture, netdevSuite } from '@etherloom/compliance';
import { type NetdevProvider, NetdevRegistry } from '@etherloom/core';
import { DummyProvider } from '../src/index.js';

/** The cases for what `decorate` makes of the driver. `worker` may be the reason why no other thread can have queues. */
export function dummySuite(
  decorate: (provider: DummyProvider) => NetdevProvider,
  worker: true | string = true,
): ComplianceCase[] {
  return netdevSuite({
    supports: { worker, offload: 'frames in memory carry no metadata' },
    teardown: async () => undefined,
    setup: async (): Promise<NetdevFixture> => {
      const provider = new DummyProvider();
      const registry = new NetdevRegistry();
      registry.register(decorate(provider));
      let names = 0;
      return {
        registry,
        type: provider.type,
        config: {},
        name: () => `dummy${names++}`,
        farEnd: async ({ name }) => ({
          send: async (frames) => void provider.device(name)?.injectMany(frames),
          receive: async () => provider.device(name)?.takeTransmitted() ?? [],
          close: async () => undefined,
        }),
      };
    },
  });
}
