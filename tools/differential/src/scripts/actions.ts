/**
 * Action lists of everything that Open vSwitch's text knows and a datapath can execute on its own. Left out is what ends the
 * daemon: set() of a tunnel without flags, of a part of ICMP, of metadata that cannot be set; psample.
 */

import fc from 'fast-check';

const output = fc.constantFrom('1', '2', '3', '4', '100', '77');

/** On packets of any kind: both sides must leave alone what the packet does not have. */
const SETS = [
  'set(eth(src=00:00:00:00:00:77))',
  'set(eth(dst=00:00:88:00:00:00/ff:ff:ff:00:00:00))',
  'set(eth(src=00:00:00:00:00:77,dst=00:00:00:00:00:88))',
  'set(ipv4(src=1.1.1.1))',
  'set(ipv4(dst=2.2.2.2,ttl=5))',
  'set(ipv4(src=3.3.3.3/255.255.0.0,tos=0x10/0xfc))',
  'set(ipv4(tos=0x1/0x3))',
  'set(ipv6(src=fe80::99))',
  'set(ipv6(dst=fe80::98,hlimit=5))',
  'set(ipv6(label=0x77,tclass=0x20))',
  'set(ipv6(src=2001::/ffff::))',
  'set(tcp(src=99))',
  'set(tcp(dst=98/0xff))',
  'set(udp(src=99,dst=98))',
  'set(udp(dst=0))',
  'set(sctp(src=99))',
  'set(icmp(type=0,code=0))',
  'set(icmp(type=8,code=7))',
  'set(icmpv6(type=129,code=1))',
  'set(nd(target=fe80::97))',
  'set(nd(sll=00:00:00:00:00:66))',
  'set(arp(op=2))',
  'set(arp(sip=9.9.9.9,tha=00:00:00:00:00:55))',
  'set(mpls(label=5,tc=1,ttl=9,bos=1))',
  'set(mpls(ttl=9))',
  'set(skb_priority(0x3))',
  'set(skb_mark(0x5))',
  'set(skb_mark(0x5/0xf))',
] as const;

const SIMPLE = [
  'push_vlan(vid=9,pcp=1)',
  'push_vlan(tpid=0x88a8,vid=10,pcp=0)',
  'push_vlan(vid=4095,pcp=7,cfi=1)',
  'pop_vlan',
  'add_mpls(label=5,tc=0,ttl=9,bos=1,eth_type=0x8847)',
  'add_mpls(label=6,tc=3,ttl=64,bos=0,eth_type=0x8848)',
  'trunc(40)',
  'trunc(14)',
  'trunc(1000)',
  'userspace(pid=0)',
  'userspace(pid=0,userdata(0102030405060708))',
  'userspace(pid=0,slow_path(cfm))',
  'userspace(pid=1,actions)',
  'ct_clear',
  'meter(1)',
  'push_nsh(mdtype=1,np=3,spi=5,si=6)',
  'push_nsh(mdtype=1,np=3,ttl=10,spi=0x123,si=255,c1=0x1,c2=0x2,c3=0x3,c4=0x4)',
  'push_nsh(flags=0,ttl=63,mdtype=2,np=4,spi=0x2,si=1,md2=0x10000a041234)',
  'pop_nsh()',
  'lb_output(1)',
  'tnl_pop(4)',
  'drop',
] as const;

const set = fc.constantFrom(...SETS);
const simple = fc.constantFrom(...SIMPLE);
/** Recirculation ids of flows in scripts. */
const recirc = fc.constantFrom('recirc(1)', 'recirc(2)', 'recirc(1)');

const inner: fc.Arbitrary<string> = fc
  .array(
    fc.oneof(
      { weight: 4, arbitrary: output },
      { weight: 3, arbitrary: set },
      { weight: 2, arbitrary: simple },
    ),
    { minLength: 1, maxLength: 3 },
  )
  .map((list) => list.filter((one) => one !== 'drop').join(',') || '2');

const nested = fc.oneof(
  inner.map((list) => `clone(${list})`),
  fc
    .tuple(inner, fc.constantFrom('100.0%', '100%', '0%'))
    .map(([list, share]) => `sample(sample=${share},actions(${list}))`),
  fc
    .tuple(fc.constantFrom(60, 14, 100, 1500), inner, inner)
    .map(([size, gt, le]) => `check_pkt_len(size=${size},gt(${gt}),le(${le}))`),
);

const list = fc
  .tuple(
    fc.array(
      fc.oneof(
        { weight: 5, arbitrary: output },
        { weight: 5, arbitrary: set },
        { weight: 4, arbitrary: simple },
        { weight: 2, arbitrary: nested },
        { weight: 1, arbitrary: recirc },
      ),
      { maxLength: 5 },
    ),
    output,
    fc.constantFrom(',', ',', ',', ' ', ', '),
  )
  .map(([actions, last, separator]) => [...actions.filter((one) => one !== 'drop'), last].join(separator));

export const actionsArbitrary: fc.Arbitrary<string> = fc.oneof(
  { weight: 3, arbitrary: output },
  { weight: 2, arbitrary: fc.constantFrom('drop', '', '2,3', '1,2,3,4') },
  { weight: 12, arbitrary: list },
);

/** Lists that cannot be read, and more that can, for parse-actions: nothing is executed there. */
export const actionTextArbitrary: fc.Arbitrary<string> = fc.oneof(
  { weight: 3, arbitrary: actionsArbitrary },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      'foo',
      'p2',
      '1,',
      ',1',
      'set()',
      'set(eth())',
      'set(eth_type(0x800))',
      'set(in_port(1))',
      'push_vlan()',
      'push_vlan(vid=5000,pcp=1)',
      'trunc(0)',
      'trunc(13)',
      'trunc(x)',
      'sample()',
      'sample(sample=101%,actions(1))',
      'clone()',
      'clone(',
      'recirc(0x5)',
      'recirc(5)',
      'recirc()',
      'userspace()',
      'userspace(pid=1,sFlow(vid=1,pcp=0,output=3))',
      'userspace(pid=9,ipfix(output_port=3))',
      'userspace(pid=1,flow_sample(probability=1,collector_set_id=2,obs_domain_id=3,obs_point_id=4,output_port=5))',
      'ct(commit)',
      'ct(commit,zone=5,mark=1/0xf,nat(src=1.1.1.1))',
      'ct(zone=70000)',
      'ct',
      'meter(x)',
      'hash(l4(0))',
      'pop_eth',
      'push_eth(src=00:00:00:00:00:01,dst=00:00:00:00:00:02)',
      'pop_mpls(eth_type=0x800)',
      'dec_ttl',
      'set(tunnel(tun_id=0x7,src=1.1.1.1,dst=2.2.2.2,ttl=64,flags(df|key)))',
      'tnl_pop(4)',
      'check_pkt_len(size=100,gt(drop),le(2))',
      'check_pkt_len(size=100,gt(2))',
      'lb_output()',
      '4294967295',
      '4294967296',
      '-1',
      '0x10',
      '1 2\t3',
      '1;2',
    ),
  },
);
