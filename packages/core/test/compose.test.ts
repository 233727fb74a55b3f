/** Composition against frames of the real Open vSwitch, and as the inverse of extraction. */

import { KEY_WORDS, keyToFlow, parseFlowKeyExact, W_TYPE_FRAG_PROTO } from '@etherloom/odp-codec';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { extractFrame, LAYER_L3, LAYER_L4, LAYER_WORDS } from '../src/flow/extract.hot.js';
import { composePacket } from '../src/packet/compose.js';
import { type FieldValues, makeRow, readRow } from './flow/rows.js';

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
const toHex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

function extract(frame: Uint8Array): { words: Int32Array; layers: Int32Array } {
  const words = new Int32Array(KEY_WORDS);
  const layers = new Int32Array(LAYER_WORDS);
  extractFrame(viewOf(frame), 0, frame.length, 0, 2, words, 0, layers, 0);
  return { words, layers };
}

/** The packed key of flow text. */
function rowOf(text: string): Int32Array {
  const words = new Int32Array(KEY_WORDS);
  expect(keyToFlow(parseFlowKeyExact(text), words).fitness).toBe('perfect');
  return words;
}

const ETH = 'eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a)';
const MACS = '50540000000a505400000009';
const PAYLOAD = Array.from({ length: 64 }, (_, i) => i.toString(16).padStart(2, '0')).join('');
const ipv4 = (proto: number, frag = 'no'): string =>
  `eth_type(0x0800),ipv4(src=10.0.0.2,dst=10.0.0.1,proto=${proto},tos=0,ttl=64,frag=${frag})`;
const fe80 = (fields: string): string => `eth_type(0x86dd),ipv6(src=fe80::1,dst=fe80::2,${fields},frag=no)`;

/** Flow text and the frame that ovs-vswitchd 4.0.90 sends for it. */
const COMPOSED_BY_OVS: readonly (readonly [string, string])[] = [
  [`${ETH},eth_type(0x1234)`, `${MACS}1234`],
  [
    `${ETH},${ipv4(6)},tcp(src=1000,dst=80),tcp_flags(psh|ack)`,
    `${MACS}080045000068000000004006668e0a0000020a00000103e80050000000000000000050180000b34e0000${PAYLOAD}`,
  ],
  [
    `${ETH},${ipv4(17, 'first')},udp(src=1000,dst=53)`,
    `${MACS}08004500005c000020004011468f0a0000020a00000103e800350048033b${PAYLOAD}`,
  ],
  [
    `${ETH},eth_type(0x86dd),ipv6(src=2001::1,dst=2001::2,label=0,proto=17,tclass=0,hlimit=64,frag=no),udp(src=5,dst=6)`,
    `${MACS}86dd600000000048114020010000000000000000000000000001200100000000000000000000000000020005000600` +
      `48db4a${PAYLOAD}`,
  ],
  [
    `${ETH},${ipv4(1)},icmp(type=8,code=0)`,
    `${MACS}08004500005c000000004001669f0a0000020a000001080013fc00000000${PAYLOAD}`,
  ],
  [
    `${ETH},eth_type(0x8100),vlan(vid=5,pcp=2),encap(${ipv4(17)},udp(src=1,dst=2))`,
    `${MACS}8100400508004500005c000000004011668f0a0000020a0000010001000200480755${PAYLOAD}`,
  ],
  [
    `${ETH},${fe80('label=0x12345,proto=58,tclass=0x10,hlimit=64')},icmpv6(type=128,code=0)`,
    `${MACS}86dd6101234500483a40fe800000000000000000000000000001fe80000000000000000000000000000280009e7400000000${PAYLOAD}`,
  ],
  [
    `${ETH},${fe80('label=0,proto=58,tclass=0,hlimit=255')},icmpv6(type=135,code=0),nd(target=fe80::3,sll=00:05:06:07:08:09)`,
    `${MACS}86dd6000000000203afffe800000000000000000000000000001fe800000000000000000000000000002` +
      '87006e0600000000fe8000000000000000000000000000030101000506070809',
  ],
  [
    'eth(src=50:54:00:00:00:09,dst=ff:ff:ff:ff:ff:ff),eth_type(0x0806),' +
      'arp(sip=10.0.0.2,tip=10.0.0.1,op=1,sha=50:54:00:00:00:09,tha=00:00:00:00:00:00)',
    'ffffffffffff505400000009080600010800060400015054000000090a0000020000000000000a000001',
  ],
];

describe('composePacket', () => {
  it.each(COMPOSED_BY_OVS)('composes %s as Open vSwitch does', (text, frame) => {
    expect(toHex(composePacket(rowOf(`in_port(1),${text}`)))).toBe(frame);
  });

  it('is the inverse of extraction, with checksums that add up', () => {
    fc.assert(
      fc.property(flow(), fc.nat(300), (values, payloadLength) => {
        const words = makeRow(values);
        const frame = composePacket(words, { payloadLength });
        const { words: extracted, layers } = extract(frame);
        expect(readRow(extracted)).toEqual(readRow(words));
        expectSoundChecksums(frame, words, layers);
      }),
      { numRuns: 1000 },
    );
  });

  it('fills up to a length that IP and UDP lengths and checksums include', () => {
    fc.assert(
      fc.property(flow(), fc.integer({ min: 128, max: 1514 }), (values, length) => {
        const words = makeRow(values);
        const frame = composePacket(words, { length });
        const { words: extracted, layers } = extract(frame);
        expect(frame.length).toBe(length);
        expect(readRow(extracted)).toEqual(readRow(words));
        expectSoundChecksums(frame, words, layers);
        if (isIp(words) && protoOf(words) === 17 && !isLater(words)) {
          expect(viewOf(frame).getUint16(layers[LAYER_L4]! + 4)).toBe(length - layers[LAYER_L4]!);
        }
      }),
    );
  });

  it('refuses lengths that cannot be', () => {
    const words = rowOf(`in_port(1),${ETH},${ipv4(17)},udp(src=1,dst=2)`);
    expect(() => composePacket(words, { length: 41 })).toThrow(/41 bytes is too short.* take 42/);
    expect(() => composePacket(words, { length: 65_536 })).toThrow(RangeError);
    expect(() => composePacket(words, { payloadLength: -1 })).toThrow(RangeError);
    expect(() => composePacket(words.subarray(1))).toThrow(/row of 140/);
    expect(composePacket(words, { length: 42 })).toHaveLength(42);
  });
});

const typeOf = (words: Int32Array): number => words[W_TYPE_FRAG_PROTO]! >>> 16;
const protoOf = (words: Int32Array): number => words[W_TYPE_FRAG_PROTO]! & 0xff;
const isLater = (words: Int32Array): boolean => (words[W_TYPE_FRAG_PROTO]! & 0x200) !== 0;
const isIp = (words: Int32Array): boolean => typeOf(words) === 0x0800 || typeOf(words) === 0x86dd;

/** RFC 1071 by the word; 0 when a sum that includes its checksum is right. */
function residue(bytes: Uint8Array): number {
  let total = 0;
  bytes.forEach((byte, i) => {
    total += i % 2 === 0 ? byte * 256 : byte;
  });
  return total % 0xffff;
}

function expectSoundChecksums(frame: Uint8Array, words: Int32Array, layers: Int32Array): void {
  if (!isIp(words)) return;
  const l3 = layers[LAYER_L3]!;
  const l4 = layers[LAYER_L4]!;
  const isIpv4 = typeOf(words) === 0x0800;
  if (isIpv4) expect(residue(frame.subarray(l3, l4))).toBe(0);
  if (isLater(words)) return;
  const proto = protoOf(words);
  const transport = frame.subarray(l4);
  const addresses = isIpv4 ? frame.subarray(l3 + 12, l3 + 20) : frame.subarray(l3 + 8, l3 + 40);
  const pseudo = [...addresses, 0, proto, transport.length >> 8, transport.length & 0xff];
  if (proto === 6 || proto === 17 || proto === 58) {
    expect(residue(Uint8Array.from([...pseudo, ...transport]))).toBe(0);
  } else if (proto === 1 || proto === 2) {
    expect(residue(transport)).toBe(0);
  }
}

const hex = (bytes: number): fc.Arbitrary<string> =>
  fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((array) => toHex(array));
const u8 = fc.nat(0xff);
const u16 = fc.nat(0xffff);
const ports = fc.record({ tp_src: u16, tp_dst: u16 });
const typeAndCode = fc.record({ tp_src: u8, tp_dst: u8 });

/** Any flow that extraction can give and Open vSwitch composes. */
function flow(): fc.Arbitrary<FieldValues> {
  const tpid = fc.constantFrom(0x8100, 0x88a8);
  const tci = u16.map((value) => value | 0x1000);
  const tags = fc.oneof(
    fc.constant({}),
    fc.record({ vlan_tpid: tpid, vlan_tci: tci }),
    fc.record({ vlan_tpid: tpid, vlan_tci: tci, vlan1_tpid: tpid, vlan1_tci: tci }),
  );
  const tagged = fc.oneof(ipv4Flow(), ipv6Flow(), arpFlow(), mplsFlow(), fc.constant({ dl_type: 0x1234 }));
  return fc
    .oneof(
      { weight: 9, arbitrary: merge(tags, tagged) },
      { weight: 1, arbitrary: fc.constant({ dl_type: 0x5ff }) },
    )
    .chain((rest) => merge(fc.record({ dl_src: hex(6), dl_dst: hex(6) }), fc.constant(rest)));
}

function merge(...parts: fc.Arbitrary<FieldValues>[]): fc.Arbitrary<FieldValues> {
  return fc.tuple(...parts).map((values) => Object.assign({}, ...values));
}

/** Transport fields of what both IP versions carry. */
function transportFlow(): fc.Arbitrary<FieldValues> {
  const is = (nw_proto: number): fc.Arbitrary<FieldValues> => fc.constant({ nw_proto });
  return fc.oneof(
    merge(is(6), ports, fc.record({ tcp_flags: fc.nat(0xfff) })),
    merge(is(17), ports),
    merge(is(132), ports),
    merge(is(1), typeAndCode),
    merge(is(2), typeAndCode, fc.record({ igmp_group: hex(4) })),
    merge(
      is(58),
      typeAndCode.filter(({ tp_src, tp_dst }) => tp_dst !== 0 || (tp_src !== 135 && tp_src !== 136)),
    ),
    merge(is(58), ndFlow()),
    is(47),
  );
}

function ndFlow(): fc.Arbitrary<FieldValues> {
  const address = fc.oneof(fc.constant('000000000000'), hex(6));
  const isZero = (value: string): boolean => /^0*$/.test(value);
  return fc
    .record({
      tp_src: fc.constantFrom(135, 136),
      nd_target: hex(16),
      igmp_group: hex(4),
      arp_sha: address,
      arp_tha: address,
    })
    .map((nd) => ({ ...nd, tcp_flags: !isZero(nd.arp_sha) ? 1 : !isZero(nd.arp_tha) ? 2 : 0 }));
}

function ipv4Flow(): fc.Arbitrary<FieldValues> {
  const header = fc.record({ nw_src: hex(4), nw_dst: hex(4), nw_tos: u8, nw_ttl: u8 });
  const whole = merge(fc.record({ nw_frag: fc.constantFrom(0, 1) }), transportFlow());
  const later = fc.record({ nw_frag: fc.constant(3), nw_proto: u8 });
  return merge(fc.constant({ dl_type: 0x0800 }), header, fc.oneof(whole, later));
}

function ipv6Flow(): fc.Arbitrary<FieldValues> {
  const header = fc.record({
    ipv6_src: hex(16),
    ipv6_dst: hex(16),
    ipv6_label: fc.nat(0xfffff),
    nw_tos: u8,
    nw_ttl: u8,
  });
  return merge(fc.constant({ dl_type: 0x86dd }), header, transportFlow());
}

function arpFlow(): fc.Arbitrary<FieldValues> {
  const type = fc.record({ dl_type: fc.constantFrom(0x0806, 0x8035) });
  const addressed = fc.record({
    nw_proto: fc.constantFrom(1, 2),
    nw_src: hex(4),
    nw_dst: hex(4),
    arp_sha: hex(6),
    arp_tha: hex(6),
  });
  return merge(type, fc.oneof(addressed, fc.record({ nw_proto: fc.integer({ min: 3, max: 255 }) })));
}

function mplsFlow(): fc.Arbitrary<FieldValues> {
  const bottom = 0x100;
  const entry = fc.nat(0x7fffffff);
  const inner = entry.map((lse) => lse & ~bottom);
  const last = entry.map((lse) => lse | bottom);
  const type = fc.record({ dl_type: fc.constantFrom(0x8847, 0x8848) });
  return merge(
    type,
    fc.oneof(
      fc.record({ mpls_lse0: last }),
      fc.record({ mpls_lse0: inner, mpls_lse1: last }),
      fc.record({ mpls_lse0: inner, mpls_lse1: inner, mpls_lse2: entry }),
    ),
  );
}
