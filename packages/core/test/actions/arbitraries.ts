/** Random action lists as dpctl text, and random frames: sound ones, damaged ones and noise. */

import {
  arp,
  concat,
  ethernet,
  icmp,
  ipv4,
  ipv6,
  type Layer4,
  pad,
  pattern,
  raw,
  tcp,
  udp,
} from '@etherloom/testkit';
import fc from 'fast-check';

const byte = fc.integer({ min: 0, max: 255 });
const port16 = fc.integer({ min: 0, max: 0xffff });
const hexOf = (value: number): string => value.toString(16);
const mac = fc.tuple(byte, byte).map(([a, b]) => `02:00:00:00:${pad2(a)}:${pad2(b)}`);
const ip4 = fc.tuple(byte, byte).map(([a, b]) => `10.${a}.7.${b}`);
const ip6 = fc.tuple(port16, port16).map(([a, b]) => `2001:db8::${hexOf(a)}:${hexOf(b)}`);

function pad2(value: number): string {
  return value.toString(16).padStart(2, '0');
}

/** Hands the packet to the host. */
export const handing: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 1, max: 9 }).map(String) },
  { weight: 1, arbitrary: fc.constant('userspace(pid=3,userdata(0102))') },
  { weight: 1, arbitrary: fc.constant('recirc(7)') },
);

/** Changes of an IPv4, and of an IPv6 header. */
export const ipv4Change: fc.Arbitrary<string> = fc.oneof(
  ip4.map((a) => `set(ipv4(src=${a}))`),
  ip4.map((a) => `set(ipv4(dst=${a}/255.255.0.255))`),
  fc.tuple(byte, byte).map(([tos, ttl]) => `set(ipv4(tos=0x${hexOf(tos & 0xfc)}/0xfc,ttl=${ttl}))`),
);
export const ipv6Change: fc.Arbitrary<string> = fc.oneof(
  ip6.map((a) => `set(ipv6(src=${a}))`),
  ip6.map((a) => `set(ipv6(dst=${a}))`),
  fc
    .tuple(byte, byte)
    .map(([tc, hl]) => `set(ipv6(label=0x${hexOf(tc)},tclass=0x${hexOf(tc)},hlimit=${hl}))`),
);

/** Changes of the header of a transport protocol. */
export const transportChange: Readonly<Record<Transport, fc.Arbitrary<string>>> = {
  tcp: fc.oneof(
    fc.tuple(port16, port16).map(([s, d]) => `set(tcp(src=${s},dst=${d}))`),
    port16.map((d) => `set(tcp(dst=${d & 0xff00}/0xff00))`),
  ),
  udp: fc.tuple(port16, port16).map(([s, d]) => `set(udp(src=${s},dst=${d}))`),
  sctp: fc.tuple(port16, port16).map(([s, d]) => `set(sctp(src=${s},dst=${d}))`),
  icmp: fc.tuple(byte, byte).map(([type, code]) => `set(icmp(type=${type},code=${code}))`),
  nd: fc.oneof(
    fc.tuple(ip6, mac, mac).map(([t, s, l]) => `set(nd(target=${t},sll=${s},tll=${l}))`),
    mac.map((m) => `set(nd(sll=${m}/00:ff:ff:ff:00:ff))`),
    byte.map((r) => `set(nd_ext(nd_reserved=0x${hexOf(r)},nd_options_type=${r}))`),
  ),
};

/** Pushes and pops that leave the network header where it is in the packet. */
export const tagging: fc.Arbitrary<string> = fc.oneof(
  fc.integer({ min: 0, max: 4095 }).map((vid) => `push_vlan(vid=${vid},pcp=1)`),
  fc.constant('push_vlan(tpid=0x88a8,vid=9,pcp=0)'),
  fc.constant('pop_vlan'),
);

const anything: fc.Arbitrary<string> = fc.oneof(
  ipv4Change,
  ipv6Change,
  mac.map((m) => `set(eth(src=${m}))`),
  tagging,
  handing,
  ...Object.values(transportChange),
  byte.map((op) => `set(arp(op=${op}))`),
  fc.tuple(ip4, mac).map(([a, m]) => `set(arp(sip=${a},tip=${a},op=2,sha=${m},tha=${m}))`),
  byte.map((label) => `set(mpls(label=${label},tc=1,ttl=5,bos=1))`),
  byte.map((mark) => `set(skb_mark(0x${hexOf(mark)}))`),
  fc.constant('set(tunnel(dst=2.2.2.2,ttl=64,geneve({class=0xffff,type=0x80,len=4,0xa}),flags(key)))'),
  fc.constantFrom(
    'push_mpls(label=100,tc=0,ttl=64,bos=1,eth_type=0x8847)',
    'push_mpls(label=100,tc=0,ttl=64,bos=0,eth_type=0x8848)',
    'add_mpls(label=200,tc=7,ttl=64,bos=1,eth_type=0x8847)',
    'pop_mpls(eth_type=0x800)',
    'pop_mpls(eth_type=0x6558)',
    'push_eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02)',
    'pop_eth',
    'push_nsh(flags=0,ttl=63,mdtype=1,np=3,spi=0x1,si=255,c1=0x1,c2=0x2,c3=0x3,c4=0x4)',
    'push_nsh(flags=1,ttl=5,mdtype=2,np=3,spi=0x3020,si=254,md2=0x10000a0412345678)',
    'pop_nsh()',
    'ct_clear',
    'hash(l4(0))',
    'hash(sym_l4(3))',
    'meter(1)',
    'ct(commit)',
  ),
  byte.map((length) => `trunc(${length})`),
);

/** Lists of anything, with lists in them. */
export const actionList: fc.Arbitrary<string> = fc
  .letrec<{ list: string[]; action: string }>((tie) => ({
    list: fc.array(tie('action'), { maxLength: 6 }),
    action: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      { weight: 8, arbitrary: anything },
      { weight: 1, arbitrary: tie('list').map((list) => `clone(${list.join(',') || 'ct_clear'})`) },
      {
        weight: 1,
        arbitrary: fc
          .tuple(fc.constantFrom('0', '50', '100'), tie('list'))
          .map(([rate, list]) => `sample(sample=${rate}%,actions(${list.join(',') || 'ct_clear'}))`),
      },
      {
        weight: 1,
        arbitrary: fc
          .tuple(byte, tie('list'), tie('list'))
          .map(
            ([n, a, b]) =>
              `check_pkt_len(size=${n},gt(${a.join(',') || 'drop'}),le(${b.join(',') || 'drop'}))`,
          ),
      },
    ),
  }))
  .list.map((list) => list.join(',') || 'ct_clear');

const addresses4 = { src: '10.0.0.1', dst: '10.0.0.2' };
const addresses6 = { src: '2001:db8::1', dst: '2001:db8::2' };
const payload = fc.integer({ min: 0, max: 120 }).map((n) => pattern(n, n));

export type Transport = 'tcp' | 'udp' | 'sctp' | 'icmp' | 'nd';

/** A sound IP packet in an Ethernet frame, and what it is. */
export interface SoundPacket {
  readonly frame: Uint8Array;
  readonly version: 4 | 6;
  readonly transport: Transport;
}

/** A neighbour solicitation: target, an option of 2 units, then a link-layer address. */
const solicitation = concat(
  pattern(16, 3),
  Uint8Array.of(14, 2),
  pattern(14),
  Uint8Array.of(1, 1, 2, 0, 0, 0, 0, 9),
);

const segment: fc.Arbitrary<readonly [Transport, Layer4]> = fc.oneof(
  fc.tuple(port16, port16, payload).map(([src, dst, data]) => ['tcp', tcp({ src, dst }, data)] as const),
  fc.tuple(port16, port16, payload).map(([src, dst, data]) => ['udp', udp({ src, dst }, data)] as const),
  payload.map((data) => ['icmp', icmp({ type: 8, rest: 5 }, data)] as const),
  payload.map((data) => ['sctp', sctp(data)] as const),
  fc.constant(['nd', icmp({ type: 135 }, solicitation)] as const),
);

/** IP packets with right checksums: tagged or not, padded or not, with and without options and extension headers. */
export const soundPacket: fc.Arbitrary<SoundPacket> = fc
  .tuple(
    segment,
    fc.boolean(),
    fc.constantFrom([], [{ vid: 5 }], [{ vid: 5, tpid: 0x88a8 }, { vid: 6 }]),
    fc.boolean(),
    fc.boolean(),
  )
  .map(([[transport, l4], is6, vlans, padded, more]) => {
    const extensions = more ? [{ type: 0, bytes: Uint8Array.of(0, 0, 1, 4, 0, 0, 0, 0) }] : [];
    const options = more ? Uint8Array.of(1, 1, 1, 0) : new Uint8Array(0);
    const version = is6 || transport === 'nd' ? 6 : 4;
    const packet =
      version === 6 ? ipv6({ ...addresses6, extensions }, l4) : ipv4({ ...addresses4, options }, l4);
    const frame = ethernet({ vlans }, packet);
    return { frame: padded ? pad(frame, frame.length + 7) : frame, version, transport };
  });

/** An SCTP packet with a right CRC32c, made bit by bit. */
function sctp(data: Uint8Array): Layer4 {
  const bytes = concat(Uint8Array.of(0, 1, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0), data);
  const crc = crc32c(bytes);
  bytes.set([crc & 0xff, (crc >>> 8) & 0xff, (crc >>> 16) & 0xff, crc >>> 24], 8);
  return { proto: () => 132, bytes: () => bytes };
}

/** RFC 9260, appendix A. */
export function crc32c(bytes: Uint8Array): number {
  let crc = -1;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ ((crc & 1) * 0x82f63b78);
  }
  return ~crc;
}

const seeds: readonly Uint8Array[] = [
  ethernet({}, raw(0x1234, pattern(30))),
  pad(ethernet({}, arp({ op: 1, spa: '10.0.0.1', tpa: '10.0.0.2' }))),
  ethernet({}, raw(0x8847, Uint8Array.of(0, 6, 0x40, 0x40, 0, 6, 0x51, 0x40, 0x45, 0, 0, 20))),
  ethernet({}, raw(0x8847)),
  ethernet({}, raw(0x894f, concat(Uint8Array.of(0x0f, 0xc6, 1, 3, 0, 0, 1, 255), pattern(60)))),
  ethernet({}, ipv4({ ...addresses4, proto: 17, fragmentOffset: 800 }, pattern(50))),
  ethernet(
    {},
    ipv6(
      { ...addresses6, proto: 58 },
      concat(
        Uint8Array.of(135, 0, 0, 0, 0, 0, 0, 0),
        pattern(16),
        Uint8Array.of(14, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2),
      ),
    ),
  ),
  ethernet(
    {},
    ipv6(
      { ...addresses6, extensions: [{ type: 43, bytes: Uint8Array.of(0, 0, 0, 1, 0, 0, 0, 0) }] },
      udp({ src: 1, dst: 2 }),
    ),
  ),
  Uint8Array.from(pattern(14)),
  // Transport headers that are not there in full.
  ...[1, 6, 17, 58, 132].map((proto) => ethernet({}, ipv4({ ...addresses4, proto }, pattern(3)))),
  ...[6, 17, 58, 132].map((proto) => ethernet({}, ipv6({ ...addresses6, proto }, pattern(3)))),
];

/** Whatever may come in: sound frames, special ones, both cut and with bytes changed, and noise. */
export const anyFrame: fc.Arbitrary<Uint8Array> = fc
  .tuple(
    fc.oneof(
      soundPacket.map(({ frame }) => frame),
      fc.constantFrom(...seeds),
      fc.uint8Array({ minLength: 14, maxLength: 90 }),
    ),
    fc.array(fc.tuple(fc.nat(200), byte), { maxLength: 4 }),
    fc.nat(60),
  )
  .map(([frame, changes, cut]) => {
    const bytes = frame.slice(0, Math.max(14, cut < 30 ? frame.length : frame.length - (cut - 30)));
    for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
    return bytes;
  });

/** Packet types to say that a frame has: mostly Ethernet. */
export const packetTypes: fc.Arbitrary<number> = fc.constantFrom(
  0,
  0,
  0,
  0,
  0x1_0800,
  0x1_86dd,
  0x1_8847,
  0x1_894f,
);
