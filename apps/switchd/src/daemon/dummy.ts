/**
 * What `switchd --dummy` has instead of the outside world: datapaths and devices in memory that look as those of Open
 * vSwitch's `--enable-dummy` do. There the port type "internal" is no more than another name for "dummy-internal", and
 * the latter is what every listing says.
 */

import { type DpifBackend, type DpifPort, isDpifError, type NetdevRegistry } from '@etherloom/core';
import { createUserspaceProvider, type UserspaceDpifProvider } from '@etherloom/dpif-userspace';
import type { Clock } from './clock.js';

/** Device type of ports of type "internal", the local port among them. */
export const DUMMY_INTERNAL = 'dummy-internal';

const BRIDGES = 100;
const MAX_PORT = 65_534;

/** The datapath type "dummy" on `clock`. "system" ports are interfaces of the machine, as in any other datapath. */
export function dummyDatapaths(
  netdevs: NetdevRegistry,
  clock: Clock,
  vlanLimit: 1 | 2,
): UserspaceDpifProvider {
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
    pmdReports: (name) => provider.pmdReports(name),
    mainReport: (name) => provider.mainReport(name),
  };
}

const spell = (port: DpifPort): DpifPort =>
  port.type === 'internal' ? { ...port, type: DUMMY_INTERNAL } : port;

/**
 * The number of a port that asks for none: the one in its name, "p7" being 7, and 100 more for "br7", where that is free.
 * Undefined when the datapath is to choose.
 */
async function numberIn(name: string, backend: DpifBackend): Promise<number | undefined> {
  const digits = /\d+/.exec(name)?.[0];
  if (digits === undefined) return undefined;
  const portNo = Number(digits) + (name.startsWith('br') ? BRIDGES : 0);
  if (portNo === 0 || portNo > MAX_PORT) return undefined;
  try {
    await backend.portQueryByNumber(portNo);
    return undefined;
  } catch (error) {
    if (isDpifError(error)) return portNo;
    throw error;
  }
}

/** `backend`, whose answers about ports say "dummy-internal" for "internal", and which numbers ports by their names. */
function spelled(backend: DpifBackend): DpifBackend {
  const own: Partial<DpifBackend> = {
    portAdd: async (port, portNo) => backend.portAdd(port, portNo ?? (await numberIn(port.name, backend))),
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
