/** The dummy driver keeps the netdev contract, bare and behind decorators that do nothing. */

import { defineSuite, type NetdevFixture, netdevSuite } from '@etherloom/compliance';
import { type NetdevProvider, NetdevRegistry } from '@etherloom/core';
import { describe, it } from 'vitest';
import { DummyProvider, faults, trace } from '../src/index.js';

function suite(decorate: (provider: DummyProvider) => NetdevProvider, worker: true | string) {
  return netdevSuite({
    supports: { worker },
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

defineSuite(
  'netdev contract: dummy',
  suite((provider) => provider, true),
  { describe, it },
);
defineSuite(
  'netdev contract: dummy with faults of probability 0, traced',
  suite(
    (provider) => trace(faults(provider, {}), () => undefined),
    'decorators work on the control thread only',
  ),
  { describe, it },
);
