/** Cases for matching, field by field: a flow that says a field matches no packet that differs in it, one that leaves it out does. */

import assert from 'node:assert/strict';
import type { DpifCase } from './fixture.js';
import { KINDS, type KindName, packetOf, textOf } from './kinds.js';
import { samePackets } from './packets.js';
import { Rig } from './rig.js';

/** Kind of packet, field, another value of it. */
type Row = readonly [kind: KindName, field: string, other: string];

const ROWS: readonly Row[] = [
  ['plain', 'eth.src', '02:ee:00:00:00:11'],
  ['plain', 'eth.dst', '02:ee:00:00:00:12'],
  ['tagged', 'vlan.vid', '6'],
  ['tagged', 'vlan.pcp', '4'],
  ['tagged', 'udp.dst', '2001'],
  ['udp', 'ipv4.src', '10.0.0.3'],
  ['udp', 'ipv4.dst', '10.0.0.4'],
  ['udp', 'ipv4.tos', '0x10'],
  ['udp', 'ipv4.ttl', '63'],
  ['later', 'ipv4.dst', '10.0.0.4'],
  ['udp', 'udp.src', '1001'],
  ['udp', 'udp.dst', '2001'],
  ['tcp', 'tcp.src', '1001'],
  ['tcp', 'tcp.dst', '2001'],
  ['tcp', 'tcp_flags', '0x12'],
  ['sctp', 'sctp.src', '1001'],
  ['sctp', 'sctp.dst', '2001'],
  ['icmp', 'icmp.type', '0'],
  ['icmp', 'icmp.code', '1'],
  ['udp6', 'ipv6.src', 'fe80::3'],
  ['udp6', 'ipv6.dst', 'fe80::4'],
  ['udp6', 'ipv6.label', '0x12345'],
  ['udp6', 'ipv6.tclass', '0x20'],
  ['udp6', 'ipv6.hlimit', '63'],
  ['tcp6', 'tcp.dst', '2001'],
  ['icmpv6', 'icmpv6.type', '129'],
  ['icmpv6', 'icmpv6.code', '1'],
  ['solicit', 'nd.target', 'fe80::8'],
  ['solicit', 'nd.sll', '02:ee:00:00:00:08'],
  ['advert', 'nd.tll', '02:ee:00:00:00:08'],
  ['arp', 'arp.sip', '10.0.0.3'],
  ['arp', 'arp.tip', '10.0.0.4'],
  ['arp', 'arp.op', '2'],
  ['arp', 'arp.sha', '02:ee:00:00:00:09'],
  ['arp', 'arp.tha', '02:ee:00:00:00:0a'],
  ['mpls', 'mpls.label', '101'],
  ['mpls', 'mpls.tc', '4'],
  ['mpls', 'mpls.ttl', '63'],
];

/** Fields that others depend on can be matched, not left out. */
const TYPES: readonly Row[] = [
  ['plain', 'eth_type', '0x88b6'],
  ['gre', 'ipv4.proto', '50'],
];

const matches = ([kindName, field, other]: Row): DpifCase => ({
  name: `a flow that says ${field} matches no other ${kindName} packet`,
  cites: `dpif.h "Flow Table": a flow is a summary of the headers, L2 to L4; ${field}`,
  run: (fixture) =>
    Rig.with(fixture, 2, async (rig) => {
      const [a, b] = [rig.ports[0]!, rig.ports[1]!];
      const kind = KINDS[kindName];
      const [packet, different] = [packetOf(kind), packetOf(kind, { [field]: other })];
      await rig.put(`in_port(${a.no}),${textOf(kind)}`, `${b.no}`);
      await rig.process(a, [different, packet]);
      samePackets(await rig.arrive(b, 1), [packet]);
      assert.deepEqual(await rig.late(b), []);
    }),
});

const ignores = ([kindName, field, other]: Row): DpifCase => ({
  name: `a flow that leaves out ${field} matches every ${kindName} packet alike`,
  cites: `dpif.h "Flow Table", mask: whether the datapath considers a flow bit; ${field}`,
  needs: 'wildcards',
  run: (fixture) =>
    Rig.with(fixture, 2, async (rig) => {
      const [a, b] = [rig.ports[0]!, rig.ports[1]!];
      const kind = KINDS[kindName];
      const packets = [packetOf(kind), packetOf(kind, { [field]: other })];
      await rig.put(`in_port(${a.no}),${textOf(kind, { [field]: undefined })}`, `${b.no}`);
      await rig.process(a, packets);
      samePackets(await rig.arrive(b, 2), packets);
    }),
});

/** What is not of the kind that the flow says: none of them may match it. */
const kinds = (kindName: KindName): DpifCase => ({
  name: `a flow of ${kindName} packets matches no packet of another kind`,
  cites: 'dpif.h "Flow Table": the flow, fine-grained with L2, L3 and L4 headers',
  run: (fixture) =>
    Rig.with(fixture, 2, async (rig) => {
      const [a, b] = [rig.ports[0]!, rig.ports[1]!];
      await rig.put(`in_port(${a.no}),${textOf(KINDS[kindName])}`, `${b.no}`);
      const others = Object.values(KINDS).filter((kind) => kind !== KINDS[kindName]);
      await rig.process(a, [...others.map((kind) => packetOf(kind)), packetOf(KINDS[kindName])]);
      samePackets(await rig.arrive(b, 1), [packetOf(KINDS[kindName])]);
      assert.deepEqual(await rig.late(b), []);
    }),
});

const KIND_NAMES: readonly KindName[] = [
  'plain',
  'udp',
  'tcp',
  'later',
  'udp6',
  'solicit',
  'arp',
  'mpls',
  'tagged',
];

export const matchCases: readonly DpifCase[] = [
  ...[...ROWS, ...TYPES].map(matches),
  ...ROWS.map(ignores),
  ...KIND_NAMES.map(kinds),
];
