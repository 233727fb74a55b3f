/** A dummy datapath for tests: registries, driver, and the packet memory that they share. */

import { type Dpif, DpifRegistry, FP_CREATE, NetdevRegistry } from '@etherloom/core';
import { type DummyNetdev, DummyProvider } from '@etherloom/netdev-dummy';
import { parseActions, parseFlowKey } from '@etherloom/odp-codec';
import { createUserspaceProvider, type UserspaceOptions } from '../src/index.js';

export interface Bench {
  readonly dpif: Dpif;
  readonly driver: DummyProvider;
  readonly dpifs: DpifRegistry;
  readonly netdevs: NetdevRegistry;
  device(name: string): DummyNetdev;
  /** Adds a dummy port. */
  port(name: string, portNo?: number, config?: Record<string, string>): Promise<number>;
  put(key: string, actions: string, flags?: number): Promise<unknown>;
  /** Deletes the datapath. */
  close(): Promise<void>;
}

export async function bench(options: Partial<UserspaceOptions> = {}): Promise<Bench> {
  const driver = new DummyProvider();
  const netdevs = new NetdevRegistry();
  netdevs.register(driver);
  const dpifs = new DpifRegistry();
  dpifs.register(createUserspaceProvider({ type: 'dummy', netdevs, ...options }));
  const dpif = await dpifs.create('br0', 'dummy');
  return {
    dpif,
    driver,
    dpifs,
    netdevs,
    device: (name) => {
      const device = driver.device(name);
      if (device === undefined) throw new Error(`no device ${name}`);
      return device;
    },
    port: (name, portNo, config = {}) => dpif.portAdd({ name, type: 'dummy', config }, portNo),
    put: (key, actions, flags = FP_CREATE) =>
      dpif.flowPut({ ...parseFlowKey(key), flags, actions: parseActions(actions) }),
    close: async () => {
      await dpif.delete();
      await dpif.close();
    },
  };
}

/** Waits until `check` holds, for at most `limit` milliseconds. */
export async function eventually(check: () => boolean | Promise<boolean>, limit = 5000): Promise<void> {
  const end = Date.now() + limit;
  while (!(await check())) {
    if (Date.now() > end) throw new Error(`what was waited for did not happen within ${limit / 1000} s`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
