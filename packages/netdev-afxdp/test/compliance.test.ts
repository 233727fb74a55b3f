/** Devices of this package keep the netdev contract, with the kernel's packet sockets at their far ends. */

import { defineSuite, netdevSuite } from '@etherloom/compliance';
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

function suite(title: string, type: string, config: NetdevConfig): void {
  const cases = netdevSuite({
    supports: {
      'largest-frame': 'a veth pair with an XDP program carries no 65,535 bytes',
      ...(type === 'afxdp' && { offload: 'frames of AF_XDP carry no metadata' }),
      'rx-runt': 'the kernel sends no frame shorter than an Ethernet header',
      'rx-oversize': 'no MTU of a veth pair allows more than 65,535 bytes',
    },
    setup: async () => {
      if (helper === undefined) throw new Error('the AF_PACKET helper was not built');
      const program = helper;
      const netns = await vethNetns(PAIRS);
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

suite('afxdp, native', 'afxdp', { mode: 'native' });
suite('afxdp, generic', 'afxdp', { mode: 'generic' });
suite('afpacket', 'afpacket', {});
