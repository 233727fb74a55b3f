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

defineSuite('dpif contract: user space over dummy devices, inline', cases(0), { describe, it });

// Two threads start for every case, 0.3 s: all of them belong to the long run, and every third to each.
const isLong = process.env.ETHERLOOM_LONG === '1';
defineSuite(
  'dpif contract: user space over dummy devices, on two poll-mode threads',
  cases(2).filter((_case, i) => isLong || i % 3 === 0),
  { describe, it },
);
