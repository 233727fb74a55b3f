/** The user-space datapath keeps the dpif contract over TAP devices, with the kernel at their far ends. */

import { defineSuite, dpifSuite } from '@etherloom/compliance';
import { DpifRegistry, type NetdevProvider, NetdevRegistry } from '@etherloom/core';
import { TapProvider } from '@etherloom/netdev-tap';
import { missingPrivileges, Netns } from '@etherloom/testkit';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { AfPacket } from '../../netdev-tap/test/af-packet.js';
import { createUserspaceProvider } from '../src/index.js';

const missing = missingPrivileges(['tun', 'netns', 'cc']);
let helper: AfPacket | undefined;
/** One namespace for all cases, which takes longer to make than a case to run; every name is used once. */
let netns: Netns | undefined;
let names = 0;
beforeAll(async () => {
  if (missing !== undefined) return;
  helper = await AfPacket.build();
  netns = await Netns.create();
  // The kernel's own neighbour discovery would miss, and count.
  await netns.run('sh', ['-c', 'echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6']);
});
afterAll(async () => {
  await netns?.remove();
  await helper?.remove();
});

/** TAPs in a namespace of their own: a local port is opened without options. */
function tapsIn(netns: Netns): NetdevProvider {
  const taps = new TapProvider();
  return {
    type: taps.type,
    open: (name, config) => taps.open(name, { netns: netns.name, ...config }),
    openQueue: (descriptor, resources) => taps.openQueue(descriptor, resources),
  };
}

const cases = (pmdThreads: number) =>
  dpifSuite({
    setup: async () => {
      if (helper === undefined || netns === undefined) throw new Error('the far end was not built');
      const [program, wire] = [helper, netns];
      const netdevs = new NetdevRegistry();
      netdevs.register(tapsIn(wire));
      const dpifs = new DpifRegistry();
      dpifs.register(
        createUserspaceProvider({ netdevs, pmdThreads, arena: { frames: 512, largeFrames: 16 } }),
      );
      return {
        dpifs,
        type: 'netdev',
        netdevs,
        portType: 'tap',
        portConfig: {},
        name: () => `tap${names++}`,
        farEnd: (name) => program.farEnd(wire, name),
      };
    },
    teardown: async () => undefined,
  });

const settings: readonly (readonly [pmdThreads: number, how: string])[] = [
  [0, 'inline'],
  // A thread starts for every case, 0.3 s each: two minutes, for the long run. Over devices in memory threads run always.
  ...(process.env.ETHERLOOM_LONG === '1' ? [[1, 'on a poll-mode thread'] as const] : []),
];
for (const [pmdThreads, how] of settings) {
  const name = `dpif contract: user space over TAP devices, ${how}`;
  defineSuite(name, cases(pmdThreads), { describe, it }, missing);
}
