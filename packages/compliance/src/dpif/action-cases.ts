/** Cases for actions, one by one: what leaves the datapath, for a flow, for execute, and for execute with help alike. */

import assert from 'node:assert/strict';
import { parseFlowKey } from '@etherloom/odp-codec';
import type { DpifCase } from './fixture.js';
import { type Change, KINDS, type KindName, packetOf, textOf } from './kinds.js';
import { actions, samePackets, tagged } from './packets.js';
import { Rig } from './rig.js';

interface Row {
  readonly what: string;
  readonly kind: KindName;
  /** The list; `B` is the port where packets are looked for. */
  readonly actions: string;
  /** What arrives there. */
  readonly sent: (packet: Uint8Array) => readonly Uint8Array[];
}

/** A set action of one field: the packet leaves as one with that field would. */
const set = (kind: KindName, field: string, value: string): Row => {
  const [attribute, name] = field.split('.');
  return {
    what: `set of ${field} in a ${kind} packet changes it, and the checksums that cover it`,
    kind,
    actions: `set(${attribute}(${name}=${value})),B`,
    sent: () => [packetOf(KINDS[kind], { [field]: value })],
  };
};

const changed = (kind: KindName, change: Change): Uint8Array => packetOf(KINDS[kind], change);
const label = (packet: Uint8Array, bytes: readonly number[]): Uint8Array =>
  Uint8Array.from([...packet.subarray(0, 12), 0x88, 0x47, ...bytes, ...packet.subarray(14)]);
const twice = (packet: Uint8Array): readonly Uint8Array[] => [packet, packet];

const ROWS: readonly Row[] = [
  set('plain', 'eth.src', '02:ee:00:00:00:55'),
  set('plain', 'eth.dst', '02:ee:00:00:00:66'),
  set('udp', 'ipv4.src', '192.168.7.9'),
  set('udp', 'ipv4.dst', '192.168.7.9'),
  set('udp', 'ipv4.tos', '0x2c'),
  set('udp', 'ipv4.ttl', '7'),
  set('tcp', 'ipv4.src', '192.168.7.9'),
  set('tcp', 'ipv4.dst', '192.168.7.9'),
  set('sctp', 'ipv4.src', '192.168.7.9'),
  set('icmp', 'ipv4.dst', '192.168.7.9'),
  set('udp6', 'ipv6.src', 'fd00::77'),
  set('udp6', 'ipv6.dst', 'fd00::77'),
  set('udp6', 'ipv6.label', '0xabcde'),
  set('udp6', 'ipv6.tclass', '0x2c'),
  set('udp6', 'ipv6.hlimit', '7'),
  set('tcp6', 'ipv6.src', 'fd00::77'),
  set('icmpv6', 'ipv6.dst', 'fd00::77'),
  set('udp', 'udp.src', '4444'),
  set('udp', 'udp.dst', '4444'),
  set('udp6', 'udp.dst', '4444'),
  set('tcp', 'tcp.src', '4444'),
  set('tcp', 'tcp.dst', '4444'),
  set('tcp6', 'tcp.dst', '4444'),
  set('sctp', 'sctp.src', '4444'),
  set('sctp', 'sctp.dst', '4444'),
  set('arp', 'arp.sip', '192.168.7.9'),
  set('arp', 'arp.tip', '192.168.7.9'),
  set('arp', 'arp.op', '2'),
  set('arp', 'arp.sha', '02:ee:00:00:00:77'),
  set('arp', 'arp.tha', '02:ee:00:00:00:77'),
  set('solicit', 'nd.target', 'fd00::77'),
  {
    what: 'set of a label stack entry',
    kind: 'mpls',
    actions: 'set(mpls(label=77,tc=1,ttl=9,bos=1)),B',
    sent: () => [changed('mpls', { 'mpls.label': '77', 'mpls.tc': '1', 'mpls.ttl': '9' })],
  },
  {
    what: 'set of a part of an address leaves the rest',
    kind: 'udp',
    actions: 'set(ipv4(dst=172.16.0.0/255.255.0.0)),B',
    sent: () => [changed('udp', { 'ipv4.dst': '172.16.0.2' })],
  },
  {
    what: 'set of addresses in a later fragment leaves its payload',
    kind: 'later',
    actions: 'set(ipv4(src=192.168.7.9)),B',
    sent: () => [changed('later', { 'ipv4.src': '192.168.7.9' })],
  },
  {
    what: 'a tag that is pushed is an 802.1Q header',
    kind: 'udp',
    actions: 'push_vlan(vid=9,pcp=0),B',
    sent: (packet) => [tagged(packet, 9)],
  },
  {
    what: 'a tag that is pushed goes in front of those that are there',
    kind: 'tagged',
    actions: 'push_vlan(vid=9,pcp=0),B',
    sent: (packet) => [tagged(packet, 9)],
  },
  {
    what: 'a service tag has its own type',
    kind: 'plain',
    actions: 'push_vlan(tpid=0x88a8,vid=9,pcp=0),B',
    sent: (packet) => {
      const out = tagged(packet, 9);
      out.set([0x88, 0xa8], 12);
      return [out];
    },
  },
  {
    what: 'a tag that is popped is gone',
    kind: 'tagged',
    actions: 'pop_vlan,B',
    sent: (packet) => [Uint8Array.from([...packet.subarray(0, 12), ...packet.subarray(16)])],
  },
  {
    what: 'popping a tag that is not there changes nothing',
    kind: 'udp',
    actions: 'pop_vlan,B',
    sent: (p) => [p],
  },
  {
    what: 'a tag pushed and popped leaves no trace',
    kind: 'udp',
    actions: 'push_vlan(vid=9,pcp=5),pop_vlan,B',
    sent: (packet) => [packet],
  },
  {
    what: 'a label that is pushed goes behind the Ethernet header',
    kind: 'udp',
    actions: 'push_mpls(label=16,tc=0,ttl=9,bos=1,eth_type=0x8847),B',
    sent: (packet) => [label(packet, [0, 1, 1, 9])],
  },
  {
    what: 'a label pushed and popped leaves no trace',
    kind: 'udp',
    actions: 'push_mpls(label=16,tc=0,ttl=9,bos=1,eth_type=0x8847),pop_mpls(eth_type=0x800),B',
    sent: (packet) => [packet],
  },
  {
    what: 'an Ethernet header popped and pushed is the new one',
    kind: 'udp',
    actions: 'pop_eth,push_eth(src=02:ee:00:00:00:31,dst=02:ee:00:00:00:32),B',
    sent: () => [changed('udp', { 'eth.src': '02:ee:00:00:00:31', 'eth.dst': '02:ee:00:00:00:32' })],
  },
  { what: 'two outputs are two packets', kind: 'udp', actions: 'B,B', sent: twice },
  {
    what: 'what was sent does not change when the packet does',
    kind: 'udp',
    actions: 'B,set(ipv4(ttl=7)),B,set(ipv4(ttl=8)),B',
    sent: (packet) => [packet, changed('udp', { 'ipv4.ttl': '7' }), changed('udp', { 'ipv4.ttl': '8' })],
  },
  {
    what: 'what a clone does to its packet stays in the clone',
    kind: 'udp',
    actions: 'clone(set(ipv4(ttl=7)),push_vlan(vid=9,pcp=0),B),B',
    sent: (packet) => [tagged(changed('udp', { 'ipv4.ttl': '7' }), 9), packet],
  },
  {
    what: 'clones in clones are copies of copies',
    kind: 'udp',
    actions: 'clone(push_vlan(vid=1,pcp=0),clone(push_vlan(vid=2,pcp=0),B),B),B',
    sent: (packet) => [tagged(tagged(packet, 1), 2), tagged(packet, 1), packet],
  },
  {
    what: 'a sample of all packets has each',
    kind: 'udp',
    actions: 'sample(sample=100.0%,actions(push_vlan(vid=9,pcp=0),B)),B',
    sent: (packet) => [tagged(packet, 9), packet],
  },
  {
    what: 'a sample of no packets has none',
    kind: 'udp',
    actions: 'sample(sample=0.0%,actions(B)),B',
    sent: (packet) => [packet],
  },
  {
    what: 'a truncation holds for the next output alone',
    kind: 'udp',
    actions: 'trunc(40),B,B',
    sent: (packet) => [packet.subarray(0, 40), packet],
  },
  {
    what: 'a truncation to more than there is cuts nothing',
    kind: 'udp',
    actions: 'trunc(2000),B',
    sent: (p) => [p],
  },
  {
    what: 'a longer packet takes the branch for longer ones',
    kind: 'udp',
    actions: 'check_pkt_len(size=89,gt(B,B),le(B))',
    sent: twice,
  },
  {
    what: 'a packet of just the size takes the other branch',
    kind: 'udp',
    actions: 'check_pkt_len(size=90,gt(B),le(B,B))',
    sent: twice,
  },
  { what: 'a drop ends the list', kind: 'udp', actions: 'B,drop', sent: (packet) => [packet] },
  {
    what: 'metadata change nothing in the packet',
    kind: 'udp',
    actions: 'set(skb_mark(0x7)),B',
    sent: (p) => [p],
  },
];

type Way = readonly [
  name: string,
  cites: string,
  run: (rig: Rig, row: Row, list: string, packet: Uint8Array) => Promise<void>,
];

const execute =
  (needsHelp: boolean): Way[2] =>
  (rig, _row, list, packet) =>
    rig.dpif.execute({
      packet,
      actions: actions(list),
      metadata: parseFlowKey(`in_port(${rig.ports[0]!.no})`).key,
      needsHelp,
    });

const WAYS: readonly Way[] = [
  [
    'in a flow',
    'dpif.h "Flow Table", actions: OVS_ACTION_ATTR_* in openvswitch.h',
    async (rig, row, list, packet) => {
      const [a] = [rig.ports[0]!];
      await rig.put(`in_port(${a.no}),${textOf(KINDS[row.kind])}`, list);
      await a.far.send([packet]);
    },
  ],
  ['by execute', 'dpif.h, dpif_execute; struct dpif_execute actions', execute(false)],
  ['by execute with help', 'dpif.h, struct dpif_execute needs_help', execute(true)],
];

const caseOf = (row: Row, [way, cites, run]: Way): DpifCase => ({
  name: `${row.what}, ${way}`,
  cites,
  run: (fixture) =>
    Rig.with(fixture, 2, async (rig) => {
      const b = rig.ports[1]!;
      const packet = packetOf(KINDS[row.kind]);
      const expected = row.sent(packet);
      await run(rig, row, row.actions.replaceAll('B', String(b.no)), packet);
      samePackets(await rig.arrive(b, expected.length), expected);
      assert.deepEqual(await rig.late(b), []);
    }),
});

export const actionCases: readonly DpifCase[] = WAYS.flatMap((way) => ROWS.map((row) => caseOf(row, way)));
