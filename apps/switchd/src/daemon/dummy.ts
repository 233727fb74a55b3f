/**
 * What `switchd --dummy` has instead of the outside world: datapaths and devices in memory that look as those of Open
 * vSwitch's `--enable-dummy` do. There the port type "internal" is no more than another name for "dummy-internal", and
 * the latter is what every listing says.
 */

import type { DpifBackend, DpifPort, DpifProvider, NetdevRegistry } from '@etherloom/core';
import { createUserspaceProvider } from '@etherloom/dpif-userspace';
import type { Clock } from './clock.js';

/** Device type of ports of type "internal", the local port among them. */
export const DUMMY_INTERNAL = 'dummy-internal';

/** The datapath type "dummy" on `clock`. "system" ports are interfaces of the machine, as in any other datapath. */
export function dummyDatapaths(netdevs: NetdevRegistry, clock: Clock, vlanLimit: 1 | 2): DpifProvider {
  const provider = createUserspaceProvider({
    type: 'dummy',
    netdevs,
    portTypes: { internal: DUMMY_INTERNAL },
    clock: clock.now,
    actionRules: 'openvswitch',
    vlanLimit,
  });
  return {
    type: provider.type,
    enumerate: async () => (await provider.enumerate?.()) ?? [],
    portOpenType: (portType) => provider.portOpenType?.(portType) ?? portType,
    open: async (name, create) => spelled(await provider.open(name, create)),
  };
}

const spell = (port: DpifPort): DpifPort =>
  port.type === 'internal' ? { ...port, type: DUMMY_INTERNAL } : port;

/** `backend`, whose answers about ports say "dummy-internal" for "internal". */
function spelled(backend: DpifBackend): DpifBackend {
  const own: Partial<DpifBackend> = {
    portQueryByName: async (name) => spell(await backend.portQueryByName(name)),
    portQueryByNumber: async (portNo) => spell(await backend.portQueryByNumber(portNo)),
    async *portDump() {
      for await (const port of backend.portDump()) yield spell(port);
    },
  };
  return new Proxy(backend, {
    get(target, key) {
      if (Object.hasOwn(own, key)) return Reflect.get(own, key);
      const value: unknown = Reflect.get(target, key, target);
      // Methods run on the backend itself: they use private members.
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
