/** The user-space datapath keeps the dpif contract, over devices in memory: inline and on poll-mode threads. */

import { defineSuite, dpifSuite } from '@etherloom/compliance';
import { DpifRegistry, NetdevRegistry } from '@etherloom/core';
import { DummyProvider } from '@etherloom/netdev-dummy';
import { describe, it } from 'vitest';
import { createUserspaceProvider } from '../src/index.js';

const cases = (pmdThreads: number) =>
  dpifSuite({
    setup: async () => {
      const driver = new DummyProvider();
      const netdevs = new NetdevRegistry();
      netdevs.register(driver);
      const dpifs = new DpifRegistry();
      dpifs.register(createUserspaceProvider({ type: 'dummy', netdevs, pmdThreads }));
      let names = 0;
      return {
        dpifs,
        type: 'dummy',
        netdevs,
        portType: 'dummy',
        portConfig: {},
        name: () => `dummy${names++}`,
        farEnd: async (name) => ({
          send: async (frames) => void driver.device(name)?.injectMany(frames),
          receive: async () => driver.device(name)?.takeTransmitted() ?? [],
          close: async () => undefined,
        }),
      };
    },
    teardown: async () => undefined,
  });

for (const [pmdThreads, how] of [
  [0, 'inline'],
  [2, 'on two poll-mode threads'],
] as const) {
  defineSuite(`dpif contract: user space over dummy devices, ${how}`, cases(pmdThreads), { describe, it });
}
