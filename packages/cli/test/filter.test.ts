/** The `filter=` of dump-flows lets a flow pass exactly when some packet could match both. */

import { KEY_WORDS, keyToFlow, maskToFlow, parseFlowKey } from '@etherloom/odp-codec';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseFilter } from '../src/dpctl/filter.js';

const ports = (name: string): number | undefined => (name === 'p7' ? 7 : undefined);

function passes(filter: string, flow: string): boolean {
  const parsed = parseFlowKey(flow);
  const key = new Int32Array(KEY_WORDS);
  const mask = new Int32Array(KEY_WORDS);
  keyToFlow(parsed.key, key);
  maskToFlow(parsed.mask, key, mask);
  return parseFilter(filter, ports)(key, mask);
}

const TCP =
  'in_port(7),eth(),eth_type(0x0800),ipv4(src=10.1.0.0/255.255.0.0,proto=6,tos=0x48/0xfc,frag=no),tcp(dst=80)';
const TAGGED =
  'in_port(1),eth(src=02:00:00:00:00:01),eth_type(0x8100),vlan(vid=5,pcp=3),encap(eth_type(0x0806),arp(op=1,tip=10.0.0.9))';
const ND =
  'in_port(2),eth(),eth_type(0x86dd),ipv6(dst=fe80::2,proto=58,frag=no),icmpv6(type=135,code=0),nd(target=2001:db8::5,sll=02:00:00:00:00:07)';

describe('parseFilter', () => {
  it.each([
    [
      TCP,
      ['tcp', 'ip', '', 'tcp,tp_dst=80', 'tcp,tcp_src=99', 'in_port=p7', 'in_port=7,ip', 'vlan_tci=0'],
      true,
    ],
    [
      TCP,
      ['ip,nw_src=10.1.2.3', 'ip,nw_dst=1.2.3.4', 'dl_type=0x800', 'ip,nw_proto=6', 'ip,ip_frag=no'],
      true,
    ],
    [
      TCP,
      ['ip,ip_dscp=18', 'ip,nw_tos=0x48', 'ip,nw_ecn=3', 'dl_src=02:00:00:00:00:01', 'dl_vlan=0xffff'],
      true,
    ],
    [TCP, ['udp', 'arp', 'ip6', 'tcp,tp_dst=81', 'in_port=1', 'ip,nw_src=10.2.0.1', 'dl_vlan=5'], false],
    [TCP, ['ip,ip_dscp=19', 'ip,ip_frag=later', 'recirc_id=1'], false],
    [
      TAGGED,
      ['arp', 'dl_vlan=5', 'dl_vlan_pcp=3', 'arp,arp_op=1', 'arp,arp_tpa=10.0.0.9', 'arp,arp_spa=1.2.3.4'],
      true,
    ],
    [TAGGED, ['dl_vlan=6', 'dl_vlan_pcp=4', 'arp,arp_op=2', 'arp,arp_tpa=10.0.0.8', 'dl_vlan=0xffff'], false],
    [
      ND,
      [
        'icmp6,icmpv6_type=135,icmpv6_code=0,nd_target=2001:db8::5,nd_sll=2:0:0:0:0:7',
        'ip6,ipv6_dst=fe80::2',
      ],
      true,
    ],
    [
      ND,
      ['icmp6,icmpv6_type=136', 'ip6,ipv6_dst=fe80::3', 'icmp6,icmpv6_type=135,icmpv6_code=0,nd_target=::1'],
      false,
    ],
    [
      'in_port(1),eth(),eth_type(0x8847),mpls(label=9,tc=1,ttl=64,bos=1)',
      ['mpls,mpls_label=9,mpls_bos=1'],
      true,
    ],
    [
      'in_port(1),eth(),eth_type(0x8847),mpls(label=9,tc=1,ttl=64,bos=1)',
      ['mpls,mpls_tc=2', 'mpls,mpls_ttl=63'],
      false,
    ],
  ])('of %s with %j gives %s', (flow, filters, expected) => {
    for (const filter of filters) expect([filter, passes(filter, flow)]).toEqual([filter, expected]);
  });

  // What Open vSwitch's dump-flows shows of these three flows.
  it.each([
    ['dl_vlan=5', [true, false, false]],
    ['vlan_vid=0x1005', [true, false, false]],
    ['vlan_vid=5', [false, false, false]],
    ['vlan_vid=0', [false, false, true]],
    ['vlan_tci=0x7005', [true, false, false]],
    ['dl_vlan=0xffff', [false, false, true]],
    ['dl_vlan_pcp=3', [true, false, false]],
    ['dl_vlan=5,vlan_pcp=3', [true, false, false]],
    ['dl_vlan=5,dl_vlan_pcp=2', [false, false, false]],
    ['reg0=7,metadata=1', [true, true, true]],
    ['arp:1', [true, true, true]],
    ['in_port=LOCAL', [false, false, false]],
    ['arp,arp_op=257', [true, true, true]],
  ])('of tags: %s', (filter, shown) => {
    const arp = 'eth_type(0x0806),arp(op=1)';
    const flows = [
      TAGGED,
      `in_port(1),eth(),eth_type(0x88a8),vlan(vid=5,pcp=3),encap(${arp})`,
      `in_port(1),eth(),${arp}`,
    ];
    expect(flows.map((flow) => passes(filter, flow))).toEqual(shown);
  });

  it.each([
    ['vlan_pcp=3', 'prerequisites not met for setting vlan_pcp'],
    ['dl_vlan=x', 'bad value for dl_vlan (x: bad syntax for dl_vlan value)'],
    ['dl_vlan=5,dl_vlan=5', 'field dl_vlan set multiple times'],
    ['tcp,tp_dst=-1', 'bad value for tp_dst (-1: value too large for 2-byte field tcp_dst)'],
    ['tcp,tcp_flags=+syn', 'bad value for tcp_flags (+syn: wildcards not allowed here)'],
    ['ip,nw_src=*', 'bad value for nw_src (*: wildcards not allowed here)'],
    ['nw_proto=17', 'prerequisites not met for setting nw_proto'],
    ['udp,tp_src=1', 'prerequisites not met for setting tp_src'],
    ['tcp,udp', 'Ethernet type set multiple times'],
    ['tcp,tp_dst=1,tp_dst=2', 'field tp_dst set multiple times'],
    ['foo=1', 'unknown field foo'],
    ['tcp,tp_dst=65536', 'bad value for tp_dst (65536: value too large for 2-byte field tcp_dst)'],
    ['tcp,tp_dst=x', 'bad value for tp_dst (x: bad syntax for tcp_dst value)'],
    ['in_port=nosuch', 'bad value for in_port (nosuch: invalid or unknown port for in_port)'],
    ['ip,nw_src=10.0.0.0/8', 'bad value for nw_src (10.0.0.0/8: wildcards not allowed here)'],
    ['dl_src=1:2', 'bad value for dl_src (1:2: invalid Ethernet address)'],
    ['ip,ip_frag=yes', 'bad value for ip_frag (yes: wildcards not allowed here)'],
  ])('refuses %s', (filter, message) => {
    expect(() => parseFilter(filter, ports)).toThrow(message);
  });

  it('agrees with a bit for bit comparison of addresses under any mask', () => {
    const address = fc.ipV4();
    const bits = (text: string): number[] => text.split('.').map(Number);
    fc.assert(
      fc.property(address, address, address, (value, mask, wanted) => {
        const common = bits(value).every((byte, i) => ((byte ^ bits(wanted)[i]!) & bits(mask)[i]!) === 0);
        const flow = `in_port(1),eth(),eth_type(0x0800),ipv4(dst=${value}/${mask},frag=no)`;
        expect(passes(`ip,nw_dst=${wanted}`, flow)).toBe(common);
      }),
    );
  });
});
