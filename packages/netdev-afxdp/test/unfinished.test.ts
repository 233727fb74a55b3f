/** Which packets are taken for unfinished: all that hosts leave so, and finishing one that was finished changes nothing. */

import {
  FramePool,
  OFFLOAD_CSUM_PARTIAL,
  OFFLOAD_GSO_ECN,
  OFFLOAD_GSO_TCP4,
  OFFLOAD_GSO_TCP6,
  OffloadResolver,
  PacketArena,
  PacketBatch,
} from '@etherloom/core';
import { checksum, ethernet, ipv4, ipv6, type Layer4, pad, pattern, tcp, udp } from '@etherloom/testkit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { markUnfinished } from '../src/afxdp/unfinished.hot.js';

const MTU = 1500;
const pool = new FramePool(PacketArena.create({ frames: 64, largeFrames: 2 }));
const resolver = new OffloadResolver(pool);
const batch = new PacketBatch(1);

/** What was made of `frame`: the metadata, and the packets that come out once they are resolved. */
function mark(frame: Uint8Array): { offload: number; gsoSize: number; packets: Uint8Array[] } {
  const { bytes, view } = pool.arena;
  const at = pool.allocFor(frame.length);
  bytes.set(frame, at);
  batch.count = 0;
  batch.push(at, frame.length);
  markUnfinished(view, batch, 0, MTU);
  const offload = batch.offload[0] ?? 0;
  const gsoSize = batch.gsoSize[0] ?? 0;
  const packets: Uint8Array[] = [];
  if (offload === 0) {
    packets.push(bytes.slice(at, at + frame.length));
    pool.release(at);
  } else {
    resolver.begin(batch, 0, 0);
    for (let next = resolver.next(); next >= 0; next = resolver.next()) {
      packets.push(bytes.slice(next, next + resolver.length));
      pool.release(next);
    }
  }
  return { offload, gsoSize, packets };
}

/** A way to send a segment or datagram: the frame, and where its checksum is. */
interface Shape {
  readonly version: 4 | 6;
  readonly transport: 'tcp' | 'udp';
  readonly tags: number;
  /** IPv4 options, or IPv6 extension headers, 8 bytes each. */
  readonly extra: number;
  readonly payload: Uint8Array;
  readonly flags?: number;
}

function build({ version, transport, tags, extra, payload, flags = 16 }: Shape) {
  const vlans = [{ vid: 7, tpid: 0x88a8 }, { vid: 9 }].slice(2 - tags);
  let pseudo = new Uint8Array();
  const inner: Layer4 =
    transport === 'tcp' ? tcp({ src: 1, dst: 2, flags }, payload) : udp({ src: 1, dst: 2 }, payload);
  const layer4: Layer4 = {
    proto: inner.proto,
    bytes: (header, v) =>
      inner.bytes((proto, length) => {
        pseudo = Uint8Array.from(header(proto, length));
        return pseudo;
      }, v),
  };
  const extensions = Array.from({ length: extra }, (_, i) => ({
    type: i === 0 ? 0 : 60,
    bytes: Uint8Array.of(0, 0, 1, 4, 0, 0, 0, 0),
  }));
  const layer3 =
    version === 4
      ? ipv4({ src: '10.1.2.3', dst: '10.4.5.6', options: new Uint8Array(8 * extra) }, layer4)
      : ipv6({ src: 'fd00::1', dst: 'fd00::2', extensions }, layer4);
  const frame = ethernet({ vlans }, layer3);
  const l4 = 14 + 4 * tags + (version === 4 ? 20 : 40) + 8 * extra;
  const field = l4 + (transport === 'tcp' ? 16 : 6);
  return { frame, field, pseudo: 0xffff - checksum(pseudo) };
}

/** The frame as a host leaves it to its device. */
function leave(frame: Uint8Array, field: number, pseudo: number): Uint8Array {
  const left = frame.slice();
  left[field] = pseudo >> 8;
  left[field + 1] = pseudo & 0xff;
  return left;
}

const shapes = (longest: number): fc.Arbitrary<Shape> =>
  fc.record({
    version: fc.constantFrom(4, 6),
    transport: fc.constantFrom('tcp', 'udp'),
    tags: fc.integer({ min: 0, max: 2 }),
    extra: fc.integer({ min: 0, max: 2 }),
    payload: fc.uint8Array({ minLength: 2, maxLength: longest }),
  });

/** Ones' complement has two zeros, and a TCP checksum may be either. */
const oneZero = (frame: Uint8Array, field: number): Uint8Array =>
  frame[field] === 0xff && frame[field + 1] === 0xff ? leave(frame, field, 0) : frame;

describe('a checksum that a host left to its device', () => {
  it('is finished, whatever the headers in front of it', () => {
    fc.assert(
      fc.property(shapes(400), (shape) => {
        const { frame, field, pseudo } = build(shape);
        const { offload, packets } = mark(leave(frame, field, pseudo));
        expect(offload).toBe(OFFLOAD_CSUM_PARTIAL);
        expect(packets.map((packet) => oneZero(packet, field))).toEqual([oneZero(frame, field)]);
      }),
    );
  });

  it('that happens to look so is the same when it is finished again', () => {
    fc.assert(
      fc.property(shapes(400), (shape) => {
        const even = { ...shape, payload: shape.payload.subarray(0, shape.payload.length & ~1) };
        const first = build(even);
        // The last word of the payload makes up for what keeps the checksum from being the pseudo header's sum.
        const { payload } = even;
        const word = ((payload.at(-2) ?? 0) << 8) | (payload.at(-1) ?? 0);
        const now = ((first.frame[first.field] ?? 0) << 8) | (first.frame[first.field + 1] ?? 0);
        let wanted = word + now + (0xffff - first.pseudo);
        while (wanted > 0xffff) wanted = (wanted & 0xffff) + (wanted >> 16);
        payload.set([wanted >> 8, wanted & 0xff], payload.length - 2);
        const { frame, field, pseudo } = build(even);
        fc.pre(((frame[field] ?? 0) << 8) + (frame[field + 1] ?? 0) === pseudo);
        const { offload, packets } = mark(frame);
        expect(offload).toBe(OFFLOAD_CSUM_PARTIAL);
        expect(packets).toEqual([frame]);
      }),
    );
  });

  it('is not looked for where none is', () => {
    const { frame, field, pseudo } = build({
      version: 4,
      transport: 'udp',
      tags: 0,
      extra: 0,
      payload: pattern(40),
    });
    const left = leave(frame, field, pseudo);
    const broken: Record<string, Uint8Array> = {
      'finished already': frame,
      'a fragment': left.map((byte, i) => (i === 20 ? 0x20 : byte)),
      'another protocol': left.map((byte, i) => (i === 23 ? 132 : byte)),
      'a frame with padding': pad(left, left.length + 3),
      'an IP packet longer than its frame': left.subarray(0, left.length - 1),
      'a header shorter than its least': left.map((byte, i) => (i === 14 ? 0x44 : byte)),
      'no checksum (UDP)': leave(frame, field, 0),
    };
    for (const [what, bytes] of Object.entries(broken))
      expect([what, mark(bytes).offload]).toEqual([what, 0]);
  });

  it('is no reason to look beyond the frame', () => {
    fc.assert(
      fc.property(
        shapes(40),
        fc.nat(200),
        fc.uint8Array({ maxLength: 8 }),
        fc.nat(60),
        (shape, cut, noise, at) => {
          const { frame, field, pseudo } = build(shape);
          const bytes = leave(frame, field, pseudo).slice(0, 14 + cut);
          bytes.set(noise.subarray(0, Math.max(0, bytes.length - 14 - at)), Math.min(14 + at, bytes.length));
          const { packets } = mark(bytes);
          expect(packets.length).toBeLessThanOrEqual(1);
        },
      ),
    );
  });
});

describe('TCP longer than the MTU', () => {
  it.for([4, 6] as const)('is cut as its sender would, IPv%i', (version) => {
    for (const tags of [0, 1, 2]) {
      const payload = pattern(20_000);
      const { frame, field, pseudo } = build({
        version,
        transport: 'tcp',
        tags,
        extra: 0,
        payload,
        flags: 0x80 | 16,
      });
      const { offload, packets } = mark(leave(frame, field, pseudo));
      expect(offload).toBe(
        OFFLOAD_CSUM_PARTIAL | OFFLOAD_GSO_ECN | (version === 4 ? OFFLOAD_GSO_TCP4 : OFFLOAD_GSO_TCP6),
      );
      // One tag passes beyond the MTU, two do not.
      const longest = MTU + 14 + (tags === 1 ? 4 : 0);
      const headers = field + 4;
      for (const packet of packets.slice(0, -1)) expect(packet.length).toBe(longest);
      const got = packets.flatMap((packet) => [...packet.subarray(headers)]);
      expect(got).toEqual([...payload]);
    }
  });
});
