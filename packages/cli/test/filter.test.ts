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

  // What Open vSwitch's dump-flows shows of these flows.
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

  // What Open vSwitch's dump-flows shows of these flows.
  it.each([
    ['tun_id=5', [true, true, true]],
    ['tun_id=-1', [true, false, true]],
    ['tunnel_id=0x6', [true, false, true]],
    ['tun_src=1.1.1.1', [true, true, true]],
    ['tun_src=1.1.1.2', [true, false, true]],
    ['tun_flags=oam', [true, false, true]],
    ['tun_ttl=8', [true, false, true]],
    ['tun_gbp_id=1', [true, true, true]],
    ['tun_metadata63=1', [true, true, true]],
    ['ct_state=trk', [true, true, false]],
    ['ct_state=trk|new', [true, true, true]],
    ['ct_state=32', [true, true, false]],
    ['ct_zone=6', [true, true, false]],
    ['ct_label=0x107', [true, true, true]],
    ['ct_label=8', [true, true, false]],
    ['ct_state=rpl,ct_nw_src=1.1.1.1', [true, true, false]],
    ['udp,udp_dst=065', [true, true, false]],
    ['udp,udp_dst=0X35', [true, true, false]],
    ['udp,udp_dst=0x', [false, false, false]],
    ['packet_type=(0,0)', [true, true, true]],
    ['in_port_oxm=1', [true, false, false]],
    ['in_port=+1', [true, false, false]],
    ['dl_type=0x894f,nsh_spi=1', [false, false, false]],
  ])('of tunnels and connections: %s', (filter, shown) => {
    const udp = 'eth(),eth_type(0x0800),ipv4(proto=17,frag=no),udp(dst=53)';
    const flows = [
      `in_port(1),${udp}`,
      `in_port(2),tunnel(tun_id=5,src=1.1.1.1,dst=2.2.2.2,tos=0,ttl=9,flags(key)),${udp}`,
      'in_port(3),ct_state(+trk+new-est),ct_zone(5),ct_mark(0x6),ct_label(0x7/0xff),eth(),eth_type(0x0800),ipv4(proto=6,frag=no),tcp(dst=53)',
    ];
    expect(flows.map((flow) => passes(filter, flow))).toEqual(shown);
  });

  it.each([
    ['ct_state=+trk', 'bad value for ct_state (+trk: wildcards not allowed here)'],
    ['ct_state=0x100', 'bad value for ct_state (0x100: unknown ct_state flag(s))'],
    ['ct_state=trk,ct_nw_proto=6', 'prerequisites not met for setting ct_nw_proto'],
    ['ct_label=x', 'bad value for ct_label (x: bad syntax for ct_label value)'],
    ['tun_flags=2', 'bad value for tun_flags (2: unknown tunnel flag(s))'],
    [
      'tun_erspan_hwid=300',
      'bad value for tun_erspan_hwid (300: value too large for 1-byte field tun_erspan_hwid)',
    ],
    ['nsp=1', 'prerequisites not met for setting nsp'],
    ['packet_type=5', "bad value for packet_type (5: bad syntax for packet type missing '(')"],
    ['packet_type=(1)', "bad value for packet_type (1): bad syntax for packet type missing ',')"],
    ['packet_type=(x,1)', 'bad value for packet_type (x,1): bad syntax for packet type ns)'],
    ['packet_type=(1,0x1ffff)', 'bad value for packet_type (0x1ffff): bad syntax for packet type ns_type)'],
    ['packet_type=(1,0x800),dl_vlan=5', 'prerequisites not met for setting dl_vlan'],
    ['in_port_oxm=x', 'bad value for in_port_oxm (x: port value out of range for in_port_oxm)'],
    ['in_port=0x1', 'bad value for in_port (0x1: invalid or unknown port for in_port)'],
    ['udp,udp_dst=08', 'bad value for udp_dst (08: bad syntax for udp_dst value)'],
    ['reg0=1,reg0=2', 'field reg0 set multiple times'],
    ['reg0=0x123456789', 'bad value for reg0 (0x123456789: value too large for 4-byte field reg0)'],
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
