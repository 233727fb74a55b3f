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
beforeAll(async () => {
  if (missing === undefined) helper = await AfPacket.build();
});
afterAll(() => helper?.remove());

/** TAPs in a namespace of their own: a local port is opened without options. */
function tapsIn(netns: Netns): NetdevProvider {
  const taps = new TapProvider();
  return {
    type: taps.type,
    open: (name, config) => taps.open(name, { netns: netns.name, ...config }),
    openQueue: (descriptor, resources) => taps.openQueue(descriptor, resources),
  };
}

const cases = dpifSuite({
  setup: async () => {
    if (helper === undefined) throw new Error('the AF_PACKET helper was not built');
    const program = helper;
    const netns = await Netns.create();
    // The kernel's own neighbour discovery would miss, and count.
    await netns.run('sh', ['-c', 'echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6']);
    const netdevs = new NetdevRegistry();
    netdevs.register(tapsIn(netns));
    const dpifs = new DpifRegistry();
    dpifs.register(createUserspaceProvider({ netdevs, arena: { frames: 512, largeFrames: 16 } }));
    let names = 0;
    return {
      netns,
      dpifs,
      type: 'netdev',
      netdevs,
      portType: 'tap',
      portConfig: {},
      name: () => `tap${names++}`,
      farEnd: (name) => program.farEnd(netns, name),
    };
  },
  teardown: ({ netns }) => netns.remove(),
});

defineSuite('dpif contract: user space over TAP devices', cases, { describe, it }, missing);
