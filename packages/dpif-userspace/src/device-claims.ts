/** Which datapath a network device belongs to: at most one, whatever the type of the datapath (dpif.h "Ports"). */

import { DpifError, type NetdevRegistry } from '@etherloom/core';

/** By registry, since a registry is what makes device names unique; datapath types that share it share the claims. */
const claims = new WeakMap<NetdevRegistry, Map<string, string>>();

/** Claims device `name` for `datapath`; returns the function that gives it back. EEXIST when it is claimed. */
export function claimDevice(netdevs: NetdevRegistry, name: string, datapath: string): () => void {
  let claimed = claims.get(netdevs);
  if (claimed === undefined) {
    claimed = new Map();
    claims.set(netdevs, claimed);
  }
  const holder = claimed.get(name);
  if (holder !== undefined) {
    throw new DpifError('EEXIST', `network device "${name}" is a port of datapath ${holder} already`);
  }
  claimed.set(name, datapath);
  return () => claimed.delete(name);
}
