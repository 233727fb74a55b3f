/** Checksums follow what actions change: right ones stay right, and wrong ones stay wrong by the same amount. */

import { checksum, concat, ethernet, ipv4, pattern, tcp } from '@etherloom/testkit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { OFFLOAD_CSUM_PARTIAL, OFFLOAD_GSO_TCP4 } from '../../src/packet/batch.hot.js';
import {
  crc32c,
  ipv4Change,
  ipv6Change,
  type SoundPacket,
  soundPacket,
  tagging,
  transportChange,
} from './arbitraries.js';
import { Bench } from './harness.js';

/** Where things are in a frame, found without the code under test. Expects whole IP packets. */
function layout(frame: Uint8Array): { l3: number; l4: number; end: number } {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  let l3 = 14;
  while ([0x8100, 0x88a8].includes(view.getUint16(l3 - 2))) l3 += 4;
  if (view.getUint16(l3 - 2) === 0x0800) {
    return { l3, l4: l3 + (frame[l3]! & 15) * 4, end: l3 + view.getUint16(l3 + 2) };
  }
  const l4 = frame[l3 + 6] === 0 ? l3 + 48 : l3 + 40;
  return { l3, l4, end: l3 + 40 + view.getUint16(l3 + 4) };
}

/** Offset of the checksum in the transport header. */
const FIELD = { tcp: 16, udp: 6, icmp: 2, nd: 2, sctp: 8 } as const;
const PROTO = { tcp: 6, udp: 17, icmp: 58, nd: 58, sctp: 132 } as const;

function pseudoHeader({ version, transport }: SoundPacket, frame: Uint8Array): Uint8Array {
  const { l3, l4, end } = layout(frame);
  if (transport === 'icmp' && version === 4) return new Uint8Array(0);
  const addresses = version === 4 ? frame.subarray(l3 + 12, l3 + 20) : frame.subarray(l3 + 8, l3 + 40);
  return concat(addresses, Uint8Array.of(0, PROTO[transport], (end - l4) >> 8, (end - l4) & 0xff));
}

/** What is wrong with the transport checksum: 0 when it is right. Ones' complement, so 0xffff is 0. */
function residue(packet: SoundPacket, frame: Uint8Array): number {
  const { l4, end } = layout(frame);
  if (packet.transport === 'sctp') {
    const segment = frame.slice(l4, end);
    const field = new DataView(segment.buffer).getInt32(8, true);
    return field ^ crc32c(segment.fill(0, 8, 12));
  }
  return checksum(concat(pseudoHeader(packet, frame), frame.subarray(l4, end))) % 0xffff;
}

function put16(frame: Uint8Array, at: number, value: number): void {
  frame[at] = value >>> 8;
  frame[at + 1] = value & 0xff;
}

/** A sound packet and changes that fit it. */
const cases = soundPacket.chain((packet) =>
  fc.tuple(
    fc.constant(packet),
    fc.array(
      fc.oneof(packet.version === 4 ? ipv4Change : ipv6Change, transportChange[packet.transport], tagging),
      { minLength: 1, maxLength: 6 },
    ),
    fc.integer({ min: 0, max: 0xfffe }),
  ),
);

const bench = new Bench();

describe('after any changes of its own headers', () => {
  it('a packet has as right or wrong a transport checksum as before, and a right IPv4 one', () => {
    fc.assert(
      fc.property(cases, ([packet, changes, wrong]) => {
        const frame = packet.frame.slice();
        const field = layout(frame).l4 + FIELD[packet.transport];
        const checksumBefore = (frame[field]! << 8) | frame[field + 1]!;
        // A UDP checksum must not become 0, which would say that there is none.
        put16(frame, field, (checksumBefore + wrong) % 0xffff || 0xffff);
        const [sent] = bench.run(frame, `${changes.join(',')},1`).sent();
        expect(residue(packet, sent!)).toBe(residue(packet, frame));
        const { l3, l4 } = layout(sent!);
        if (packet.version === 4) expect(checksum(sent!.subarray(l3, l4))).toBe(0);
      }),
      { numRuns: 800 },
    );
  });

  it('a packet with a partial checksum has one that comes out right', () => {
    const partial = cases.filter(([{ transport }]) => transport === 'tcp' || transport === 'udp');
    fc.assert(
      fc.property(partial, ([packet, changes]) => {
        const frame = packet.frame.slice();
        const { l4 } = layout(frame);
        const csumOffset = FIELD[packet.transport];
        put16(frame, l4 + csumOffset, 0xffff - checksum(pseudoHeader(packet, frame)));
        const offload = { flags: OFFLOAD_CSUM_PARTIAL, csumStart: l4, csumOffset };
        const [call] = bench.run(frame, `${changes.join(',')},1`, 0, offload).calls;
        const { bytes } = call!;
        const { csumStart } = call!.offload;
        expect(csumStart).toBe(layout(bytes).l4);
        put16(bytes, csumStart + csumOffset, checksum(bytes.subarray(csumStart, layout(bytes).end)));
        expect(residue(packet, bytes)).toBe(0);
      }),
      { numRuns: 300 },
    );
  });
});

it('a UDP packet without a checksum gets none', () => {
  fc.assert(
    fc.property(
      cases.filter(([{ transport }]) => transport === 'udp'),
      ([packet, changes]) => {
        const frame = packet.frame.slice();
        put16(frame, layout(frame).l4 + 6, 0);
        const [sent] = bench.run(frame, `${changes.join(',')},1`).sent();
        expect(new DataView(sent!.buffer).getUint16(layout(sent!).l4 + 6)).toBe(0);
      },
    ),
    { numRuns: 200 },
  );
});

it('the headers of a super-packet end where its payload begins, whatever is pushed and popped', () => {
  const frame = ethernet(
    {},
    ipv4({ src: '10.0.0.1', dst: '10.0.0.2' }, tcp({ src: 1, dst: 2 }, pattern(500))),
  );
  const flags = OFFLOAD_GSO_TCP4 | OFFLOAD_CSUM_PARTIAL;
  const offload = { flags, csumStart: 34, csumOffset: 16, gsoHeader: 54, gsoSize: 100 };
  fc.assert(
    fc.property(fc.array(tagging, { maxLength: 5 }), (changes) => {
      const [call] = bench.run(frame, [...changes, '1'].join(','), 0, offload).calls;
      expect(call!.offload.gsoHeader).toBe(layout(call!.bytes).l4 + 20);
    }),
    { numRuns: 100 },
  );
});
