/** What the tests of this package share: veth pairs in namespaces of their own, and what a machine may lack for them. */

import { type DpifError, isDpifError, type Netdev, type NetdevConfig, NetdevRegistry } from '@etherloom/core';
import { missingPrivileges, Netns, type Privilege } from '@etherloom/testkit';
import { createNetdevProviders } from '../src/index.js';

export function registry(): NetdevRegistry {
  const made = new NetdevRegistry();
  for (const provider of createNetdevProviders()) made.register(provider);
  return made;
}

/** A namespace with `pairs` veth pairs `v0`-`p0`, `v1`-`p1` ..., the `p` ends up, without IPv6's own traffic. */
export async function vethNetns(pairs: number): Promise<Netns> {
  const netns = await Netns.create();
  try {
    await netns.run('sh', ['-c', 'echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6']);
    const numbers = Array.from({ length: pairs }, (_, i) => i);
    const lines = [
      ...numbers.map((i) => `link add v${i} type veth peer name p${i}`),
      ...numbers.map((i) => `link set p${i} up`),
    ];
    await netns.run('ip', ['-batch', '-'], { input: `${lines.join('\n')}\n` });
    return netns;
  } catch (error) {
    await netns.remove();
    throw error;
  }
}

/** Runs `body` with such a namespace, and removes it whatever happens. */
export async function withVeths(pairs: number, body: (netns: Netns) => Promise<void>): Promise<void> {
  const netns = await vethNetns(pairs);
  try {
    await body(netns);
  } finally {
    await netns.remove();
  }
}

/**
 * Why devices of `type` cannot be opened here with `config`, found out by trying; undefined when they can. What else is
 * missing of `needs` comes first.
 */
export async function missing(
  type: string,
  config: NetdevConfig = {},
  ...needs: Privilege[]
): Promise<string | undefined> {
  const lacking = missingPrivileges(['netns', ...needs]);
  if (lacking !== undefined) return lacking;
  const netns = await vethNetns(1);
  try {
    const ref = await registry().open('v0', type, { ...config, netns: netns.name });
    await ref.release();
    return undefined;
  } catch (error) {
    if (isDpifError(error) && CANNOT.has(error.code)) return `needs ${type} devices: ${error.message}`;
    throw error;
  } finally {
    await netns.remove();
  }
}

const CANNOT = new Set<DpifError['code']>(['EPERM', 'EACCES', 'EOPNOTSUPP', 'EAFNOSUPPORT', 'ENOSYS']);

/** All that can be read of a device's settings and state. */
export async function describeDevice(netdev: Netdev): Promise<unknown> {
  return {
    config: await netdev.getConfig(),
    mtu: await netdev.getMtu(),
    flags: await netdev.getFlags(),
    carrier: await netdev.getCarrier(),
  };
}
