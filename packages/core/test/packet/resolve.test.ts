/** Resolving offload metadata in software, held against packets that were built whole. */

import { concat, ethernet, hex, ipv4, ipv6, pattern, tcp, udp } from '@etherloom/testkit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DROP_BAD_OFFLOAD, DROP_NO_FRAME } from '../../src/drops.js';
import { PacketArena } from '../../src/packet/arena.js';
import {
  OFFLOAD_CSUM_PARTIAL,
  OFFLOAD_GSO_ECN,
  OFFLOAD_GSO_TCP4,
  OFFLOAD_GSO_TCP6,
  OFFLOAD_GSO_UDP,
  PacketBatch,
} from '../../src/packet/batch.hot.js';
import { FramePool } from '../../src/packet/frame-pool.hot.js';
import { OffloadResolver } from '../../src/packet/resolve.hot.js';
import { ipv4Change, ipv6Change, tagging, transportChange } from '../actions/arbitraries.js';
import { Bench, type Offload } from '../actions/harness.js';

/** A packet with work left on it, and what it is when that is done. */
interface Unfinished {
  readonly frame: Uint8Array;
  readonly offload: Offload;
  readonly wire: readonly Uint8Array[];
}

interface Shape {
  readonly version: 4 | 6;
  readonly transport: 'tcp' | 'udp';
  readonly vlans: readonly { readonly vid: number; readonly tpid?: number }[];
  /** IP options or an extension header, TCP options. */
  readonly more: boolean;
  readonly payload: Uint8Array;
  /** 0: a partial checksum only. */
  readonly gsoSize: number;
  readonly flags: number;
  readonly seq: number;
  readonly id: number;
}

const ADDRESSES4 = { src: '10.0.0.1', dst: '10.0.0.2' };
const ADDRESSES6 = { src: '2001:db8::1', dst: '2001:db8::2' };

function build(shape: Shape, payload: Uint8Array, index: number, flags: number): Uint8Array {
  const { version, transport, vlans, more, seq, id, gsoSize } = shape;
  const options = more ? Uint8Array.of(1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2) : new Uint8Array(0);
  const l4 =
    transport === 'tcp'
      ? tcp({ src: 7, dst: 9, seq: (seq + index * gsoSize) >>> 0, ack: 5, flags, options }, payload)
      : udp({ src: 7, dst: 9 }, payload);
  const ipOptions = more ? Uint8Array.of(1, 1, 1, 0) : new Uint8Array(0);
  const extensions = more ? [{ type: 0, bytes: Uint8Array.of(0, 0, 1, 4, 0, 0, 0, 0) }] : [];
  const ip =
    version === 4
      ? ipv4({ ...ADDRESSES4, id: (id + index) & 0xffff, options: ipOptions }, l4)
      : ipv6({ ...ADDRESSES6, extensions }, l4);
  return ethernet({ vlans }, ip);
}

function unfinished(shape: Shape): Unfinished {
  const { version, transport, vlans, more, payload, gsoSize, flags } = shape;
  const frame = build(shape, payload, 0, flags);
  const l3 = 14 + 4 * vlans.length;
  const l4 = l3 + (version === 4 ? 20 + (more ? 4 : 0) : 40 + (more ? 8 : 0));
  const csumOffset = transport === 'tcp' ? 16 : 6;
  // The pseudo header's sum, a 16-bit word after the other.
  const addresses = version === 4 ? frame.subarray(l3 + 12, l3 + 20) : frame.subarray(l3 + 8, l3 + 40);
  const proto = transport === 'tcp' ? 6 : 17;
  let sum = proto + frame.length - l4;
  for (let at = 0; at < addresses.length; at += 2) sum += (addresses[at]! << 8) | addresses[at + 1]!;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  frame.set([sum >>> 8, sum & 0xff], l4 + csumOffset);
  const partial = { flags: OFFLOAD_CSUM_PARTIAL, csumStart: l4, csumOffset };
  if (gsoSize === 0) {
    return { frame, offload: partial, wire: [build(shape, payload, 0, flags)] };
  }
  const kind = transport === 'udp' ? OFFLOAD_GSO_UDP : version === 4 ? OFFLOAD_GSO_TCP4 : OFFLOAD_GSO_TCP6;
  const gsoHeader = l4 + (transport === 'udp' ? 8 : 20 + (more ? 12 : 0));
  const wire: Uint8Array[] = [];
  for (let at = 0; at < payload.length || at === 0; at += gsoSize) {
    const last = at + gsoSize >= payload.length;
    const kept = flags & (last ? 0xff : ~0x09) & (at > 0 ? ~0x80 : 0xff);
    wire.push(build(shape, payload.subarray(at, at + gsoSize), wire.length, kept));
  }
  return {
    frame,
    offload: { ...partial, flags: OFFLOAD_CSUM_PARTIAL | kind, gsoSize, gsoHeader },
    wire,
  };
}

const shape: fc.Arbitrary<Shape> = fc.record({
  version: fc.constantFrom<4 | 6>(4, 6),
  transport: fc.constantFrom<'tcp' | 'udp'>('tcp', 'udp'),
  vlans: fc.constantFrom([], [{ vid: 5 }], [{ vid: 5, tpid: 0x88a8 }, { vid: 6 }]),
  more: fc.boolean(),
  payload: fc.tuple(fc.integer({ min: 0, max: 4000 }), fc.nat(250)).map(([n, seed]) => pattern(n, seed)),
  gsoSize: fc.oneof(fc.constant(0), fc.integer({ min: 100, max: 2500 })),
  flags: fc.integer({ min: 0, max: 255 }),
  seq: fc.oneof(fc.nat(1000), fc.integer({ min: 0xffff_f000, max: 0xffff_ffff })),
  id: fc.constantFrom(0, 1, 0xfffe),
});

function batchOf(data: number, length: number, offload: Offload): PacketBatch {
  const batch = new PacketBatch(1);
  batch.push(data, length);
  batch.offload[0] = offload.flags;
  batch.csumStart[0] = offload.csumStart ?? 0;
  batch.csumOffset[0] = offload.csumOffset ?? 0;
  batch.gsoSize[0] = offload.gsoSize ?? 0;
  batch.gsoHeader[0] = offload.gsoHeader ?? 0;
  return batch;
}

/** Memory for one packet at a time. */
class Workshop {
  readonly arena: PacketArena;
  readonly pool: FramePool;
  readonly resolver: OffloadResolver;

  constructor(frames = 64, largeFrames = 8) {
    this.arena = PacketArena.create({ frames, largeFrames });
    this.pool = new FramePool(this.arena);
    this.resolver = new OffloadResolver(this.pool);
  }

  /** Resolves `frame`; `owners` more than one share it. Returns copies of what came. */
  resolve(frame: Uint8Array, offload: Offload, owners = 1): Uint8Array[] {
    const { arena, pool, resolver } = this;
    const data = pool.allocFor(frame.length);
    arena.bytes.set(frame, data);
    for (let i = 1; i < owners; i++) pool.retain(data);
    const batch = batchOf(data, frame.length, offload);
    resolver.begin(batch, 0, 0);
    const made: Uint8Array[] = [];
    for (let at = resolver.next(); at >= 0; at = resolver.next()) {
      made.push(arena.bytes.slice(at, at + resolver.length));
      pool.release(at);
    }
    if (owners > 1) {
      expect(hex(arena.bytes.slice(data, data + frame.length))).toBe(hex(frame));
      for (let i = 1; i < owners; i++) pool.release(data);
    }
    expect({ small: pool.free, large: pool.freeLarge }).toEqual({
      small: arena.frames,
      large: arena.largeFrames,
    });
    return made;
  }
}

const workshop = new Workshop();

describe('a packet with work left on it', () => {
  it('becomes the packets that a sender without offloads would have sent', () => {
    fc.assert(
      fc.property(shape, fc.integer({ min: 1, max: 3 }), (s, owners) => {
        const { frame, offload, wire } = unfinished(s);
        const field = offload.csumStart! + offload.csumOffset!;
        const same = (packet: Uint8Array): string => hex(oneZero(packet, field));
        expect(workshop.resolve(frame, offload, owners).map(same)).toEqual(wire.map(same));
        expect(workshop.resolver.lost).toBe(0);
      }),
      { numRuns: 500 },
    );
  });

  it('of 64 KiB becomes 45 segments of 1,448 bytes', () => {
    const big = unfinished({
      version: 4,
      transport: 'tcp',
      vlans: [],
      more: true,
      payload: pattern(64_500),
      gsoSize: 1448,
      flags: 0x18,
      seq: 1,
      id: 1,
    });
    const made = workshop.resolve(big.frame, { ...big.offload, flags: big.offload.flags | OFFLOAD_GSO_ECN });
    expect(made.length).toBe(45);
    expect(made.map(hex)).toEqual(big.wire.map(hex));
  });

  it('is changed by actions as its segments are', () => {
    const cases = shape.chain((s) =>
      fc.tuple(
        fc.constant(unfinished(s)),
        fc.array(fc.oneof(s.version === 4 ? ipv4Change : ipv6Change, transportChange[s.transport], tagging), {
          minLength: 1,
          maxLength: 6,
        }),
      ),
    );
    const bench = new Bench();
    fc.assert(
      fc.property(cases, ([{ frame, offload, wire }, changes]) => {
        const actions = `${changes.join(',')},1`;
        const [call] = bench.run(frame, actions, 0, offload).calls;
        const changed = workshop.resolve(call!.bytes, call!.offload);
        const expected = wire.map((segment) => bench.run(segment, actions).sent()[0]!);
        const field = call!.offload.csumStart + call!.offload.csumOffset;
        const same = (packet: Uint8Array): string => hex(oneZero(packet, field));
        expect(changed.map(same)).toEqual(expected.map(same));
      }),
      { numRuns: 400 },
    );
  });

  it('is lost, and counted, where frames end', () => {
    const scarce = new Workshop(3, 1);
    const { frame, offload, wire } = unfinished({
      version: 6,
      transport: 'tcp',
      vlans: [],
      more: false,
      payload: pattern(5000),
      gsoSize: 1000,
      flags: 0x10,
      seq: 1,
      id: 0,
    });
    const taken = [scarce.pool.alloc(), scarce.pool.alloc()];
    const { resolver, pool, arena } = scarce;
    const data = pool.allocLarge();
    arena.bytes.set(frame, data);
    const batch = batchOf(data, frame.length, offload);
    resolver.begin(batch, 0, 0);
    const first = resolver.next();
    expect(hex(arena.bytes.slice(first, first + resolver.length))).toBe(hex(wire[0]!));
    expect(resolver.next()).toBe(-1);
    expect([resolver.lost, resolver.reason]).toEqual([4, DROP_NO_FRAME]);
    expect(resolver.next()).toBe(-1);
    expect(pool.freeLarge).toBe(1);
    for (const at of [first, ...taken]) pool.release(at);
  });
});

it('metadata that do not fit lose the packet, counted, and touch no other memory', () => {
  const number = fc.oneof(
    fc.integer({ min: -40, max: 200 }),
    fc.constantFrom(-(2 ** 31), 2 ** 31 - 1, 65_535),
  );
  const small = fc.record({
    flags: fc.constantFrom(
      OFFLOAD_CSUM_PARTIAL,
      OFFLOAD_CSUM_PARTIAL | OFFLOAD_GSO_TCP4,
      OFFLOAD_GSO_TCP6,
      OFFLOAD_CSUM_PARTIAL | OFFLOAD_GSO_UDP,
    ),
    csumStart: fc.oneof(number, fc.constantFrom(34, 54)),
    csumOffset: fc.oneof(number, fc.constantFrom(6, 16)),
    gsoSize: fc.oneof(number, fc.constant(100)),
    gsoHeader: fc.oneof(number, fc.constantFrom(42, 54, 74)),
  });
  const bench = new Bench();
  const resolver = new OffloadResolver(bench.pool);
  fc.assert(
    fc.property(
      small,
      shape.map((s) => unfinished({ ...s, payload: s.payload.subarray(0, 300) }).frame),
      fc.uint8Array({ maxLength: 60 }),
      (offload, sound, noise) => {
        const frame = noise.length >= 14 ? concat(noise, sound.subarray(0, 60)) : sound;
        bench.paint(0xa5);
        const data = bench.load(frame, 0, offload);
        resolver.begin(batchOf(data, frame.length, offload), 0, 0);
        let made = 0;
        for (let at = resolver.next(); at >= 0; at = resolver.next()) {
          made++;
          bench.pool.release(at);
        }
        expect(made > 0 || resolver.lost > 0).toBe(true);
        if (made === 0) expect([DROP_BAD_OFFLOAD, DROP_NO_FRAME]).toContain(resolver.reason);
        expect(bench.leaks()).toEqual({ frames: 0, refs: 0 });
        expect(bench.strayWrites(0xa5)).toBe(0);
        bench.pool.ends.clear();
      },
    ),
    { numRuns: 1000 },
  );
});

/** Ones' complement has two zeros, and a TCP checksum may be either. */
function oneZero(packet: Uint8Array, field: number): Uint8Array {
  if (packet[field] === 0xff && packet[field + 1] === 0xff) packet.fill(0, field, field + 2);
  return packet;
}
