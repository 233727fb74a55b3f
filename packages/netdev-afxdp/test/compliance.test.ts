/** Devices of this package keep the netdev contract, with the kernel's packet sockets at their far ends. */

import { defineSuite, type NetdevFeature, netdevSuite } from '@etherloom/compliance';
import type { NetdevConfig } from '@etherloom/core';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { AfPacket } from '../../netdev-tap/test/af-packet.js';
import { missing, registry, vethNetns } from './harness.js';

/** More than a case has open at a time. */
const PAIRS = 16;
/** Each costs some 40 ms, for which the kernel waits for grace periods. */
const CYCLES = 200;

const reason = await missing('afxdp', { mode: 'generic' }, 'cc');
let helper: AfPacket | undefined;
beforeAll(async () => {
  if (reason === undefined) helper = await AfPacket.build();
});
afterAll(() => helper?.remove());

function suite(
  title: string,
  type: string,
  config: NetdevConfig,
  lacks: Partial<Record<NetdevFeature, string>>,
): void {
  const cases = netdevSuite({
    supports: {
      'rx-runt': 'the kernel sends no frame shorter than an Ethernet header',
      'rx-oversize': 'no MTU of a veth pair allows more than 65,535 bytes',
      ...lacks,
    },
    setup: async () => {
      if (helper === undefined) throw new Error('the AF_PACKET helper was not built');
      const program = helper;
      // The far end of a device that carries the longest frames has to send them.
      const netns = await vethNetns(PAIRS, lacks['largest-frame'] === undefined ? 65_521 : 1500);
      let names = 0;
      return {
        netns,
        registry: registry(),
        type,
        config: { ...config, netns: netns.name },
        cycles: CYCLES,
        name: () => `v${names++ % PAIRS}`,
        farEnd: ({ name }) => program.farEnd(netns, name.replace('v', 'p')),
        readable: (fd) => program.readable(fd),
      };
    },
    teardown: ({ netns }) => netns.remove(),
  });
  defineSuite(`netdev contract: ${title}`, cases, { describe, it }, reason);
}

const xdp = { 'largest-frame': 'a veth pair with an XDP program carries no 65,535 bytes' };
suite('afxdp, native', 'afxdp', { mode: 'native' }, xdp);
suite(
  'afxdp, generic',
  'afxdp',
  { mode: 'generic' },
  {
    ...xdp,
    offload: 'an XDP program of the stack does not see how a super-packet is to be cut',
  },
);
suite('afpacket', 'afpacket', {}, {});
