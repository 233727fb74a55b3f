/** Segments against recomputation: put together again they are the super-packet, and every checksum is right. */

import { checksum, concat, ethernet, ipv4, ipv6, pattern, tcp, udp } from '@etherloom/testkit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  OFFLOAD_CSUM_PARTIAL,
  OFFLOAD_GSO_TCP4,
  OFFLOAD_GSO_TCP6,
  OFFLOAD_GSO_UDP,
} from '../../src/packet/batch.hot.js';
import { finishChecksum, Segmenter } from '../../src/packet/segment.hot.js';

interface Super {
  readonly packet: Uint8Array;
  readonly packetType: number;
  readonly offload: number;
  readonly l3: number;
  readonly l4: number;
  readonly gsoHeader: number;
  readonly gsoSize: number;
}

const ADDRESSES = { 4: { src: '10.1.2.3', dst: '10.4.5.6' }, 6: { src: 'fe80::1', dst: 'fe80::2' } } as const;

/** A super-packet as a host hands it over: its transport checksum is the sum of the pseudo header, or garbage. */
const superPacket: fc.Arbitrary<Super> = fc
  .record({
    version: fc.constantFrom(4 as const, 6 as const),
    isTcp: fc.boolean(),
    payload: fc.integer({ min: 0, max: 4000 }),
    gsoSize: fc.oneof(
      { weight: 20, arbitrary: fc.integer({ min: 200, max: 1500 }) },
      { weight: 1, arbitrary: fc.integer({ min: 1, max: 200 }) },
    ),
    flags: fc.integer({ min: 0, max: 255 }),
    front: fc.constantFrom('plain', 'vlan', 'qinq', 'mpls', 'bare'),
    partial: fc.boolean(),
    garbage: fc.integer({ min: 0, max: 0xffff }),
  })
  .map(({ version, isTcp, payload, gsoSize, flags, front, partial, garbage }) => {
    const data = pattern(payload, garbage);
    const ports = { src: 1000, dst: 2000 };
    const transport = isTcp ? tcp({ ...ports, seq: 0xffff_fe00, flags }, data) : udp(ports, data);
    const network =
      version === 4 ? ipv4({ ...ADDRESSES[4], id: 0xfffe }, transport) : ipv6(ADDRESSES[6], transport);
    const frame = ethernet({}, network);
    const ip = frame.subarray(14);
    const mac = frame.subarray(0, 12);
    const type = frame.subarray(12, 14);
    const tag = Uint8Array.of(0x81, 0, 0x20, 7);
    const packet = {
      plain: frame,
      vlan: concat(mac, tag, type, ip),
      qinq: concat(mac, Uint8Array.of(0x88, 0xa8, 0, 9), tag, type, ip),
      mpls: concat(mac, Uint8Array.of(0x88, 0x47, 0, 1, 0x20, 9, 0, 1, 0x31, 9), ip),
      bare: ip,
    }[front].slice();
    const l3 = packet.length - ip.length;
    const l4 = l3 + (version === 4 ? 20 : 40);
    const view = new DataView(packet.buffer);
    view.setUint16(l4 + (isTcp ? 16 : 6), garbage);
    const kind = isTcp ? (version === 4 ? OFFLOAD_GSO_TCP4 : OFFLOAD_GSO_TCP6) : OFFLOAD_GSO_UDP;
    return {
      packet,
      packetType: front === 'bare' ? 0x10000 | (version === 4 ? 0x0800 : 0x86dd) : 0,
      offload: kind | (partial ? OFFLOAD_CSUM_PARTIAL : 0),
      l3,
      l4,
      gsoHeader: l4 + (isTcp ? 20 : 8),
      gsoSize,
    };
  });

/** All segments, through memory that is not where the packet is. */
function cut({ packet, packetType, offload, l4, gsoSize }: Super): Uint8Array[] {
  const memory = new Uint8Array(100 + packet.length + 2000).fill(0xee);
  memory.set(packet, 50);
  const segmenter = new Segmenter(memory, new DataView(memory.buffer));
  const count = segmenter.load(50, packet.length, packetType, offload, l4, gsoSize);
  const into = 100 + packet.length;
  return Array.from({ length: count }, (_, i) => {
    const length = segmenter.write(i, into);
    expect(length).toBe(segmenter.segmentLength(i));
    expect(memory[into + length]).toBe(0xee);
    const segment = memory.slice(into, into + length);
    memory.fill(0xee, into);
    return segment;
  });
}

describe('Segmenter', () => {
  it('makes packets that are right and together the whole', () => {
    fc.assert(
      fc.property(superPacket, (whole) => {
        const { packet, l3, l4, gsoHeader, gsoSize, offload } = whole;
        const segments = cut(whole);
        expect(concat(...segments.map((segment) => segment.subarray(gsoHeader)))).toEqual(
          packet.subarray(gsoHeader),
        );
        const flags = packet[l4 + 13]!;
        const original = new DataView(packet.buffer);
        segments.forEach((segment, i) => {
          const last = i === segments.length - 1;
          expect(segment.length <= gsoHeader + gsoSize).toBe(true);
          if (!last) expect(segment.length).toBe(gsoHeader + gsoSize);
          const view = new DataView(segment.buffer);
          const isIpv4 = segment[l3]! >>> 4 === 4;
          const isTcp = (offload & OFFLOAD_GSO_UDP) === 0;
          const transport = segment.subarray(l4);
          if (isIpv4) {
            expect(checksum(segment.subarray(l3, l4))).toBe(0);
            expect(view.getUint16(l3 + 2)).toBe(segment.length - l3);
            expect(view.getUint16(l3 + 4)).toBe((0xfffe + i) & 0xffff);
          } else expect(view.getUint16(l3 + 4)).toBe(segment.length - l4);
          const addresses = isIpv4 ? segment.subarray(l3 + 12, l3 + 20) : segment.subarray(l3 + 8, l3 + 40);
          const tail = Uint8Array.of(0, isTcp ? 6 : 17, transport.length >> 8, transport.length & 0xff);
          expect(checksum(concat(addresses, tail, transport))).toBe(0);
          if (isTcp) {
            expect(view.getUint32(l4 + 4)).toBe((original.getUint32(l4 + 4) + i * gsoSize) % 2 ** 32);
            const mask = ~((last ? 0 : 0x09) | (i === 0 ? 0 : 0x80));
            expect(segment[l4 + 13]).toBe(flags & mask);
          } else {
            expect(view.getUint16(l4 + 4)).toBe(transport.length);
            expect(view.getUint16(l4 + 6)).not.toBe(0);
          }
          // What is in front of the IP header, and the ports, are those of the whole.
          expect(segment.subarray(0, l3)).toEqual(packet.subarray(0, l3));
          expect(segment.subarray(l4, l4 + 4)).toEqual(packet.subarray(l4, l4 + 4));
        });
      }),
      { numRuns: 200 },
    );
  });

  it('keeps options and IPv6 extension headers in every segment', () => {
    const options = Uint8Array.of(0x01, 0x01, 0x08, 0x0a, 1, 2, 3, 4, 5, 6, 7, 8);
    const plain = ethernet({}, ipv6(ADDRESSES[6], tcp({ src: 1, dst: 2, flags: 0x10 }, new Uint8Array(0))));
    // A destination options header of 8 bytes, and 12 bytes of TCP options.
    const packet = concat(
      plain.subarray(0, 54),
      Uint8Array.of(6, 0, 1, 4, 0, 0, 0, 0),
      plain.subarray(54, 74),
      options,
      pattern(2500),
    );
    packet[20] = 60;
    packet[62 + 12] = 8 << 4;
    const whole = { packet, packetType: 0, l3: 14, l4: 62, gsoHeader: 94, gsoSize: 1000 };
    const segments = cut({ ...whole, offload: OFFLOAD_GSO_TCP6 | OFFLOAD_CSUM_PARTIAL });
    expect(segments.map(({ length }) => length)).toEqual([1094, 1094, 594]);
    for (const segment of segments) {
      expect(segment.subarray(82, 94)).toEqual(options);
      const tail = Uint8Array.of(0, 6, (segment.length - 62) >> 8, (segment.length - 62) & 0xff);
      expect(checksum(concat(segment.subarray(22, 54), tail, segment.subarray(62)))).toBe(0);
    }
  });

  it('refuses what is not as its metadata say, whatever they say', () => {
    const noise = fc.uint8Array({ minLength: 1, maxLength: 200 });
    const damaged = fc.tuple(superPacket, fc.nat(), fc.nat(255)).map(([{ packet }, at, byte]) => {
      const copy = packet.slice();
      copy[at % Math.min(copy.length, 74)] = byte;
      return copy;
    });
    const number = fc.integer({ min: -10, max: 300 });
    const kind = fc.constantFrom(OFFLOAD_GSO_TCP4, OFFLOAD_GSO_TCP6, OFFLOAD_GSO_UDP, 0);
    const type = fc.constantFrom(0, 0x10800, 0x186dd, 0x1894f);
    const input = fc.tuple(fc.oneof(noise, damaged), kind, type, number, fc.integer({ min: -3, max: 1500 }));
    let cuts = 0;
    fc.assert(
      fc.property(input, ([packet, bits, packetType, l4, gsoSize]) => {
        const whole = { packet, packetType, l3: 0, l4, gsoHeader: 0, gsoSize: Math.max(gsoSize, -3) };
        const segments = cut({ ...whole, offload: bits | OFFLOAD_CSUM_PARTIAL });
        cuts += segments.length;
        for (const segment of segments) expect(segment.length).toBeLessThanOrEqual(packet.length);
      }),
      { numRuns: 1000 },
    );
    expect(cuts).toBeGreaterThan(0);
  });
});

describe('finishChecksum', () => {
  it('makes a partial checksum right', () => {
    fc.assert(
      fc.property(fc.boolean(), fc.integer({ min: 0, max: 1500 }), fc.nat(250), (isTcp, payload, seed) => {
        const data = pattern(payload, seed);
        const ports = { src: seed, dst: 2 };
        const transport = isTcp ? tcp({ ...ports, seq: seed, flags: 0x10 }, data) : udp(ports, data);
        const frame = ethernet({}, ipv4(ADDRESSES[4], transport));
        const partial = frame.slice();
        const view = new DataView(partial.buffer);
        const field = isTcp ? 16 : 6;
        const pseudo = concat(frame.subarray(26, 34), Uint8Array.of(0, isTcp ? 6 : 17, 0, 0));
        const length = frame.length - 34;
        view.setUint16(34 + field, ~checksum(concat(pseudo, Uint8Array.of(length >> 8, length & 0xff))));
        expect(finishChecksum(view, 0, partial.length, 34, field)).toBe(true);
        // 0 and 0xffff are the same sum; no sender writes 0 into UDP.
        const normal = (checksumField: number): number => checksumField % 0xffff;
        expect(normal(view.getUint16(34 + field))).toBe(
          normal(new DataView(frame.buffer, frame.byteOffset).getUint16(34 + field)),
        );
        expect(view.getUint16(34 + field)).not.toBe(0);
      }),
    );
  });

  it('leaves a packet alone that does not hold the field', () => {
    const bytes = new Uint8Array(60);
    const view = new DataView(bytes.buffer);
    for (const [start, offset] of [
      [59, 0],
      [34, 25],
      [-1, 16],
      [34, -40],
      [100, 0],
    ] as const) {
      expect(finishChecksum(view, 0, 60, start, offset)).toBe(false);
    }
    expect(bytes).toEqual(new Uint8Array(60));
  });
});
