/** Keys of every form that values alone differ in. */

const METADATA =
  'recirc_id(7),dp_hash(0x9),skb_priority(0x5),in_port(3),skb_mark(0x77),ct_state(trk|new),ct_zone(0x1234),' +
  'ct_mark(0x55),ct_label(0x1122334455667788),packet_type(ns=0,id=0),';
const ETH = 'eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),';
const IPV4 = 'eth_type(0x0800),ipv4(src=1.2.3.4,dst=5.6.7.8,proto=6,tos=1,ttl=64,frag=no)';
const IPV6 =
  'eth_type(0x86dd),ipv6(src=fe80::1,dst=fe80::2,label=0x12345,proto=58,tclass=0,hlimit=255,frag=no)';

export const KEY_TEXTS = [
  `${METADATA}${ETH}${IPV4},tcp(src=1,dst=2),tcp_flags(syn)`,
  `in_port(1),${ETH}${IPV4},tcp(src=1,dst=2)`,
  `in_port(1),${ETH}${IPV4.replace('proto=6', 'proto=17')},udp(src=1,dst=2)`,
  `in_port(1),${ETH}${IPV4.replace('proto=6', 'proto=132')},sctp(src=1,dst=2)`,
  `in_port(1),${ETH}${IPV4.replace('proto=6', 'proto=1')},icmp(type=8,code=0)`,
  `in_port(1),${ETH}${IPV4.replace('frag=no', 'frag=later')}`,
  `in_port(1),${ETH}eth_type(0x0806),arp(sip=1.2.3.4,tip=5.6.7.8,op=1,sha=02:00:00:00:00:03,tha=02:00:00:00:00:04)`,
  `in_port(1),${ETH}${IPV6},icmpv6(type=135,code=0),nd(target=fe80::3,sll=02:00:00:00:00:05,tll=00:00:00:00:00:00)`,
  `in_port(1),${ETH}${IPV6},icmpv6(type=128,code=0)`,
  `${METADATA}${ETH}eth_type(0x8100),vlan(vid=5,pcp=3),encap(${IPV4},tcp(src=1,dst=2))`,
  `in_port(1),${ETH}eth_type(0x88a8),vlan(vid=5,pcp=3),encap(eth_type(0x8100),vlan(vid=6,pcp=0),encap(${IPV4},tcp(src=1,dst=2)))`,
  `in_port(1),${ETH}eth_type(0x88b5)`,
  `in_port(1),${ETH.slice(0, -1)}`,
];
