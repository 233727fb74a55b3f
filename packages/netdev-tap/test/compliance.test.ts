/** TAP devices keep the netdev contract, with the kernel's packet sockets at their far end. */

import { defineSuite, netdevSuite } from '@etherloom/compliance';
import { NetdevRegistry } from '@etherloom/core';
import { missingPrivileges, Netns } from '@etherloom/testkit';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { AfPacket } from './af-packet.js';
import { WRITES } from './harness.js';

const missing = missingPrivileges(['tun', 'netns', 'cc']);
let helper: AfPacket | undefined;
beforeAll(async () => {
  if (missing === undefined) helper = await AfPacket.build();
});
afterAll(() => helper?.remove());

for (const [offload, writes] of [
  ['on', 'by io_uring'],
  ['off', 'by io_uring'],
  ['on', 'one by one'],
] as const) {
  const cases = netdevSuite({
    supports: {
      'rx-runt': 'the kernel sends no frame shorter than an Ethernet header',
      'rx-oversize': 'the largest MTU of a TAP allows 65,535 bytes',
    },
    setup: async () => {
      if (helper === undefined) throw new Error('the AF_PACKET helper was not built');
      const program = helper;
      const netns = await Netns.create();
      // The kernel's own neighbour discovery would fill small batches.
      await netns.run('sh', ['-c', 'echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6']);
      const registry = new NetdevRegistry();
      registry.register(WRITES[writes]);
      let names = 0;
      return {
        netns,
        registry,
        type: 'tap',
        config: { netns: netns.name, offload },
        name: () => `tap${names++}`,
        farEnd: ({ name }) => program.farEnd(netns, name),
        readable: (fd) => program.readable(fd),
      };
    },
    teardown: ({ netns }) => netns.remove(),
  });

  defineSuite(`netdev contract: tap, offload ${offload}, writes ${writes}`, cases, { describe, it }, missing);
}
