/** Cases for what a datapath must refuse: bad keys, masks and actions are EINVAL, and nothing is half installed. */

import assert from 'node:assert/strict';
import { FP_CREATE, FP_MODIFY } from '@etherloom/core';
import { ACTION_ATTR, KEY_ATTR, NlWriter, SAMPLE_ATTR, USERSPACE_ATTR } from '@etherloom/odp-codec';
import { rejects } from '../netdev/tools.js';
import type { DpifCase } from './fixture.js';
import { actions, flow, raw } from './packets.js';
import { Rig } from './rig.js';

const L2 = 'in_port(5),eth()';
const IP = `${L2},eth_type(0x0800)`;
const IP6 = `${L2},eth_type(0x86dd)`;

/** One attribute of raw bytes. */
const attribute = (type: number, ...payload: readonly number[]): Uint8Array => {
  const writer = new NlWriter();
  writer.put(type, Uint8Array.from(payload));
  return writer.finish();
};
const concat = (...parts: readonly Uint8Array[]): Uint8Array =>
  Uint8Array.from(parts.flatMap((part) => [...part]));
const key = (text: string): Uint8Array => flow(text).key;

const KEYS: readonly (readonly [what: string, bytes: () => Uint8Array])[] = [
  ['without an IPv4 attribute for an IPv4 type', () => key(IP)],
  ['without an IPv6 attribute for an IPv6 type', () => key(IP6)],
  ['without an ARP attribute for an ARP type', () => key(`${L2},eth_type(0x0806)`)],
  ['without an MPLS attribute for an MPLS type', () => key(`${L2},eth_type(0x8847)`)],
  ['without TCP ports for protocol 6', () => key(`${IP},ipv4(proto=6,frag=no)`)],
  ['without UDP ports for protocol 17', () => key(`${IP},ipv4(proto=17,frag=no)`)],
  ['without SCTP ports for protocol 132', () => key(`${IP},ipv4(proto=132,frag=no)`)],
  ['without ICMP type and code for protocol 1', () => key(`${IP},ipv4(proto=1,frag=no)`)],
  ['without ICMPv6 type and code for protocol 58', () => key(`${IP6},ipv6(proto=58,frag=no)`)],
  [
    'without a target for a neighbor solicitation',
    () => key(`${IP6},ipv6(proto=58,frag=no),icmpv6(type=135,code=0)`),
  ],
  ['with UDP ports for protocol 6', () => key(`${IP},ipv4(proto=6,frag=no),udp(src=1)`)],
  ['with ports for a protocol that has none', () => key(`${IP},ipv4(proto=47,frag=no),tcp(src=1)`)],
  ['with ports of a later fragment', () => key(`${IP},ipv4(proto=17,frag=later),udp(src=1)`)],
  ['with an IPv4 attribute for another type', () => key(`${L2},eth_type(0x88b5),ipv4(proto=6)`)],
  ['with an IPv6 attribute for an IPv4 type', () => key(`${IP},ipv4(proto=47),ipv6(proto=47)`)],
  [
    'with an attribute twice',
    () => concat(key(`${L2},eth_type(0x88b5)`), attribute(KEY_ATTR.IN_PORT, 5, 0, 0, 0)),
  ],
  [
    'with an attribute of a wrong length',
    () => concat(key(`${L2},eth_type(0x88b5)`), attribute(KEY_ATTR.SKB_MARK, 1, 2)),
  ],
  [
    'with an attribute that nobody knows',
    () => concat(key(`${L2},eth_type(0x88b5)`), attribute(99, 1, 2, 3, 4)),
  ],
  ['with an Ethertype below 0x600', () => concat(key(L2), attribute(KEY_ATTR.ETHERTYPE, 5, 0xff))],
  [
    'with an inner label that is the bottom of its stack',
    () => concat(key(`${L2},eth_type(0x8847)`), attribute(KEY_ATTR.MPLS, 0, 0, 1, 9, 0, 0, 1, 9)),
  ],
  ['that ends in the middle of an attribute', () => key(`${L2},eth_type(0x88b5)`).subarray(0, -3)],
  ['that is longer than it says', () => concat(key(`${L2},eth_type(0x88b5)`), Uint8Array.of(1, 2))],
];

const refusesKey = ([what, bytes]: (typeof KEYS)[number]): DpifCase => ({
  name: `a key ${what} is EINVAL`,
  cites: 'dpif.h "Flow Table": OVS_KEY_ATTR_* and struct ovs_key_* in openvswitch.h',
  run: (fixture) =>
    Rig.with(fixture, 0, async ({ dpif }) => {
      const bad = bytes();
      const put = { key: bad, actions: actions('3') };
      await rejects('EINVAL', dpif.flowPut({ ...put, flags: FP_CREATE }));
      await rejects('EINVAL', dpif.flowPut({ ...put, flags: FP_MODIFY }));
      await rejects('EINVAL', dpif.flowDel(bad));
      await rejects('EINVAL', dpif.flowGet(bad));
      assert.equal((await dpif.getDpStats()).flows, 0);
    }),
});

const MASKS: readonly (readonly [what: string, text: string])[] = [
  ['IPv4 addresses under a part of the type', `${L2},eth_type(0x0800/0xff00),ipv4(src=1.1.1.1,proto=47)`],
  ['IPv6 addresses under a part of the type', `${L2},eth_type(0x86dd/0xff00),ipv6(src=::1,proto=47)`],
  ['ARP addresses under a part of the type', `${L2},eth_type(0x0806/0xff00),arp(sip=1.1.1.1)`],
  ['a label under a part of the type', `${L2},eth_type(0x8847/0xff00),mpls(label=1,tc=0,ttl=0,bos=1)`],
  ['TCP ports under a part of the protocol', `${IP},ipv4(proto=6/0xf0,frag=no),tcp(src=1)`],
  ['UDP ports under a part of the protocol', `${IP},ipv4(proto=17/0xf0,frag=no),udp(src=1)`],
  ['ICMP type under a part of the protocol', `${IP},ipv4(proto=1/0xf0,frag=no),icmp(type=8)`],
  [
    'a target under a part of the ICMPv6 type',
    `${IP6},ipv6(proto=58,frag=no),icmpv6(type=135/0xf0,code=0),nd(target=::1)`,
  ],
  ['a part of in_port', 'in_port(5/0xff),eth(),eth_type(0x88b5)'],
];

const refusesMask = ([what, text]: (typeof MASKS)[number]): DpifCase => ({
  name: `a mask of ${what} is EINVAL`,
  cites: 'dpif.h "Flow Table", mask: a field means something only where its prerequisites hold',
  run: (fixture) =>
    Rig.with(fixture, 0, async (rig) => {
      await rejects('EINVAL', rig.put(text, '3'));
      assert.equal((await rig.dpif.getDpStats()).flows, 0);
    }),
});

const FLOWS = {
  ip: `${IP},ipv4(proto=47,frag=no)`,
  tcp: `${IP},ipv4(proto=6,frag=no),tcp()`,
  udp: `${IP},ipv4(proto=17,frag=no),udp()`,
  later: `${IP},ipv4(proto=6,frag=later)`,
  udp6: `${IP6},ipv6(proto=17,frag=no),udp()`,
  arp: `${L2},eth_type(0x0806),arp()`,
  mpls: `${L2},eth_type(0x8847),mpls(label=1,tc=0,ttl=9,bos=1)`,
} as const;

/** No datapath can execute these. */
const MALFORMED: readonly (readonly [what: string, bytes: () => Uint8Array])[] = [
  ['of an unknown action', () => attribute(200, 1, 2, 3, 4)],
  ['with an output of 3 bytes', () => attribute(ACTION_ATTR.OUTPUT, 1, 0, 0)],
  ['with an output of 8 bytes', () => attribute(ACTION_ATTR.OUTPUT, 1, 0, 0, 0, 0, 0, 0, 0)],
  ['with a pop_vlan that has an argument', () => attribute(ACTION_ATTR.POP_VLAN, 1, 0, 0, 0)],
  ['with a push_vlan of 2 bytes', () => attribute(ACTION_ATTR.PUSH_VLAN, 0x81, 0)],
  ['with a recirc of 2 bytes', () => attribute(ACTION_ATTR.RECIRC, 1, 0)],
  ['with a hash by an unknown algorithm', () => attribute(ACTION_ATTR.HASH, 9, 0, 0, 0, 0, 0, 0, 0)],
  ['with a set of nothing', () => attribute(ACTION_ATTR.SET)],
  [
    'with a set of two attributes',
    () => attribute(ACTION_ATTR.SET, 8, 0, 9, 0, 1, 2, 3, 4, 8, 0, 9, 0, 1, 2, 3, 4),
  ],
  ['with a set of in_port', () => attribute(ACTION_ATTR.SET, 8, 0, KEY_ATTR.IN_PORT, 0, 1, 0, 0, 0)],
  ['with a set of eth_type', () => attribute(ACTION_ATTR.SET, 6, 0, KEY_ATTR.ETHERTYPE, 0, 8, 0, 0, 0)],
  ['with a set of a cut-off attribute', () => attribute(ACTION_ATTR.SET, 16, 0, KEY_ATTR.ETHERNET, 0, 1, 2)],
  [
    'with a masked set without a mask',
    () => attribute(ACTION_ATTR.SET_MASKED, 8, 0, KEY_ATTR.TCP, 0, 1, 2, 3, 4),
  ],
  [
    'with a check_pkt_len without branches',
    () => attribute(ACTION_ATTR.CHECK_PKT_LEN, 6, 0, 1, 0, 64, 0, 0, 0),
  ],
  ['that ends in bytes that are no action', () => concat(actions('3'), Uint8Array.of(1, 2, 3))],
  ['with an attribute that is longer than the list', () => Uint8Array.of(12, 0, 1, 0, 3, 0, 0, 0)],
  ['with an attribute shorter than its header', () => Uint8Array.of(3, 0, 1, 0, 3, 0, 0, 0)],
];

const refusesMalformed = ([what, bytes]: (typeof MALFORMED)[number]): DpifCase => ({
  name: `an action list ${what} is EINVAL`,
  cites: 'dpif.h "Flow Table", actions; struct ovs_action_* in openvswitch.h',
  run: (fixture) =>
    Rig.with(fixture, 1, async (rig) => {
      const port = rig.ports[0]!;
      const bad = concat(actions(`${port.no}`), bytes());
      const { key: good, mask } = flow(FLOWS.tcp);
      await rejects('EINVAL', rig.dpif.flowPut({ key: good, mask, flags: FP_CREATE, actions: bad }));
      await rejects('EINVAL', rig.dpif.execute({ packet: raw(60), actions: bad }));
      await rejects('EINVAL', rig.dpif.execute({ packet: raw(60), actions: bad, needsHelp: true }));
      assert.equal((await rig.dpif.getDpStats()).flows, 0);
      assert.deepEqual(await rig.late(port), [], 'what stands in front of it is not executed either');
    }),
});

/** What would never do what it says to the packets of its flow; the Linux datapath refuses it, others may not. */
const UNFIT: readonly (readonly [what: string, flow: keyof typeof FLOWS, list: () => Uint8Array])[] = [
  ['set of TCP ports in a UDP flow', 'udp', () => actions('set(tcp(src=1)),3')],
  ['set of UDP ports in a TCP flow', 'tcp', () => actions('set(udp(src=1)),3')],
  ['set of TCP ports in later fragments', 'later', () => actions('set(tcp(src=1)),3')],
  ['set of SCTP ports in a flow of another protocol', 'ip', () => actions('set(sctp(src=1)),3')],
  ['set of IPv4 fields in an IPv6 flow', 'udp6', () => actions('set(ipv4(ttl=1)),3')],
  ['set of IPv6 fields in an IPv4 flow', 'udp', () => actions('set(ipv6(hlimit=1)),3')],
  ['set of ARP fields in an IPv4 flow', 'ip', () => actions('set(arp(sip=1.1.1.1)),3')],
  ['set of IPv4 fields in an ARP flow', 'arp', () => actions('set(ipv4(ttl=1)),3')],
  ['set of a label in a flow without labels', 'ip', () => actions('set(mpls(label=1,tc=0,ttl=1,bos=1)),3')],
  ['set of IPv4 fields behind a label', 'mpls', () => actions('set(ipv4(ttl=1)),3')],
  [
    'set of TCP ports behind a pushed label',
    'tcp',
    () => actions('push_mpls(label=1,tc=0,ttl=9,bos=1,eth_type=0x8847),set(tcp(src=1)),3'),
  ],
  [
    'set that changes the protocol',
    'tcp',
    () => actions('set(ipv4(src=1.1.1.1,dst=2.2.2.2,proto=17,tos=0,ttl=9,frag=no)),3'),
  ],
  [
    'set that changes the fragment',
    'tcp',
    () => actions('set(ipv4(src=1.1.1.1,dst=2.2.2.2,proto=6,tos=0,ttl=9,frag=first)),3'),
  ],
  ['set of an unfit field in a clone', 'udp', () => actions('clone(set(tcp(src=1))),3')],
  [
    'set of an unfit field in a sample',
    'udp',
    () => actions('sample(sample=50.0%,actions(set(tcp(src=1)))),3'),
  ],
  ['pop of a label that is not there', 'ip', () => actions('pop_mpls(eth_type=0x800),3')],
  [
    'push of a label under another type',
    'ip',
    () => actions('push_mpls(label=1,tc=0,ttl=9,bos=1,eth_type=0x0800),3'),
  ],
  ['push of a tag of another type', 'ip', () => attribute(ACTION_ATTR.PUSH_VLAN, 0x91, 0, 0x10, 1)],
  [
    'push of a tag without the bit that says it is there',
    'ip',
    () => attribute(ACTION_ATTR.PUSH_VLAN, 0x81, 0, 0, 1),
  ],
  ['output to port 65535', 'ip', () => actions('65535')],
  [
    'upcall without a PID',
    'ip',
    () => attribute(ACTION_ATTR.USERSPACE, ...attribute(USERSPACE_ATTR.USERDATA, 1, 2, 3, 4)),
  ],
  [
    'upcall to PID 0',
    'ip',
    () => attribute(ACTION_ATTR.USERSPACE, ...attribute(USERSPACE_ATTR.PID, 0, 0, 0, 0)),
  ],
  [
    'sample without a probability',
    'ip',
    () => attribute(ACTION_ATTR.SAMPLE, ...attribute(SAMPLE_ATTR.ACTIONS, ...actions('3'))),
  ],
  [
    'sample without actions',
    'ip',
    () => attribute(ACTION_ATTR.SAMPLE, ...attribute(SAMPLE_ATTR.PROBABILITY, 9, 0, 0, 0)),
  ],
  ['truncation into the Ethernet header', 'ip', () => attribute(ACTION_ATTR.TRUNC, 13, 0, 0, 0)],
];

const refusesUnfit = ([what, flowName, list]: (typeof UNFIT)[number]): DpifCase => ({
  name: `an action that cannot apply is EINVAL: ${what}`,
  cites: 'dpif.h "Flow Table", actions: they tell what to do with packets within the flow',
  needs: 'action-rules',
  run: (fixture) =>
    Rig.with(fixture, 0, async (rig) => {
      const { key: good, mask } = flow(FLOWS[flowName]);
      await rejects('EINVAL', rig.dpif.flowPut({ key: good, mask, flags: FP_CREATE, actions: list() }));
      assert.equal((await rig.dpif.getDpStats()).flows, 0);
      await rig.put(FLOWS[flowName], '3');
      await rejects('EINVAL', rig.dpif.flowPut({ key: good, mask, flags: FP_MODIFY, actions: list() }));
      assert.deepEqual((await rig.dpif.flowGet(good)).actions, actions('3'));
    }),
});

export const refusalCases: readonly DpifCase[] = [
  ...KEYS.map(refusesKey),
  ...MASKS.map(refusesMask),
  ...MALFORMED.map(refusesMalformed),
  ...UNFIT.map(refusesUnfit),
];
