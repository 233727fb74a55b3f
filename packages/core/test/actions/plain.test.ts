/** Plain changes against their oracle, the executor. */

import { KEY_WORDS, parseActions, W_IN_PORT } from '@etherloom/odp-codec';
import { hex } from '@etherloom/testkit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileActions } from '../../src/actions/compile.js';
import { changePlain, isPlain } from '../../src/actions/plain.hot.js';
import { BurstLookup } from '../../src/classifier/burst/burst-lookup.hot.js';
import { Classifier } from '../../src/classifier/classifier.js';
import { PacketArena } from '../../src/packet/arena.js';
import { OFFLOAD_CSUM_PARTIAL, OFFLOAD_CSUM_VALID, PacketBatch } from '../../src/packet/batch.hot.js';
import { FramePool } from '../../src/packet/frame-pool.hot.js';
import { anyFrame, soundPacket } from './arbitraries.js';
import { Bench } from './harness.js';

/** A lookup of `batch` whose code gives shapes: any flow will do. */
function lookup(view: DataView, batch: PacketBatch): BurstLookup {
  const classifier = new Classifier();
  const mask = new Int32Array(KEY_WORDS);
  mask[W_IN_PORT] = -1;
  const key = new Int32Array(KEY_WORDS);
  key[W_IN_PORT] = 1;
  classifier.insert(key, 0, mask);
  const burst = new BurstLookup(classifier.ports, view, batch);
  const port = classifier.ports.byPort.get(1)!;
  port.refresh(burst);
  port.compile();
  return burst;
}

const mac = fc.constantFrom('02:00:00:00:00:01', 'ff:ff:ff:ff:ff:ff', '00:00:00:00:00:00/00:ff:00:00:00:00');
const address = fc.constantFrom(
  '10.0.0.1',
  '0.0.0.0',
  '255.255.255.255',
  '1.2.0.0/255.255.0.0',
  '0.0.0.0/0.0.0.0',
);
const byte = fc.constantFrom('0', '63', '0xff/0xff', '0x4/0xfc', '0/0');
const tcpUdpPort = fc.constantFrom('0', '53', '65535', '0x100/0xff00');
const frame = fc.oneof(
  anyFrame,
  soundPacket.map((packet) => packet.frame),
);
/** Frames with their offloads: of these only a checksum that was verified leaves nothing to do. */
const packet = fc.tuple(frame, fc.constantFrom(0, OFFLOAD_CSUM_VALID, OFFLOAD_CSUM_PARTIAL));
/** Of each kind once: what is set twice is not plain. Tags come and go as they like. */
const change: fc.Arbitrary<readonly [kind: string | number, text: string]> = fc.oneof(
  fc.tuple(mac, mac).map(([src, dst]) => ['eth', `set(eth(src=${src},dst=${dst}))`] as const),
  fc
    .tuple(address, address, byte, byte)
    .map(
      ([src, dst, tos, ttl]) => ['ipv4', `set(ipv4(src=${src},dst=${dst},tos=${tos},ttl=${ttl}))`] as const,
    ),
  fc
    .tuple(fc.constantFrom('tcp', 'udp'), tcpUdpPort, tcpUdpPort)
    .map(([proto, src, dst]) => ['l4', `set(${proto}(src=${src},dst=${dst}))`] as const),
  fc.tuple(
    fc.nat(),
    fc.constantFrom('push_vlan(vid=5,pcp=3)', 'push_vlan(tpid=0x88a8,vid=4095,pcp=0)', 'pop_vlan'),
  ),
);
const changes = fc
  .uniqueArray(change, { minLength: 1, maxLength: 6, selector: ([kind]) => kind })
  .map((list) => list.map(([, text]) => text).join(','));

/** Cases of a list and a packet that it can run on. */
const CASES = process.env.ETHERLOOM_LONG === '1' ? 1_000_000 : 2000;

describe('plain changes', () => {
  it('are what the executor does, byte by byte, wherever they say that they can run', () => {
    const arena = PacketArena.create({ frames: 64, largeFrames: 1 });
    const pool = new FramePool(arena);
    const batch = new PacketBatch();
    const burst = lookup(arena.view, batch);
    const executor = new Bench();
    let cases = 0;
    const run = (packets: readonly (readonly [Uint8Array, number])[], list: string): void => {
      const program = compileActions(parseActions(`${list},1`));
      const { plain } = program;
      if (plain === undefined) return;
      batch.count = 0;
      for (const [bytes, flags] of packets) {
        const at = pool.allocFor(bytes.length);
        arena.bytes.set(bytes, at);
        batch.push(at, bytes.length);
        batch.offload[batch.count - 1] = flags;
      }
      const { count, data, length, offload } = batch;
      burst.run(1);
      const can = (first: number, end: number): boolean =>
        isPlain(plain, pool, batch, burst.shape, first, end);
      for (let first = 0; first < count; first++) {
        let end = first;
        while (end < count && can(end, end + 1)) end++;
        if (end === first) continue;
        if (!can(first, end)) expect.fail('neighbours cannot run together that can run each by itself');
        changePlain(plain, arena.view, batch, burst.shape, first, end);
        for (; first < end; first++, cases++) {
          const [bytes, flags] = packets[first]!;
          if (flags === OFFLOAD_CSUM_PARTIAL) expect.fail('an unfinished checksum is not plain');
          executor.run(bytes, program, 0, { flags });
          if (offload[first] !== executor.calls[0]!.offload.flags) expect.fail('offloads differ');
          const right = Buffer.from(executor.sent()[0]!);
          if (right.equals(arena.bytes.subarray(data[first]!, data[first]! + length[first]!))) continue;
          expect(hex(arena.bytes.slice(data[first]!, data[first]! + length[first]!))).toBe(hex(right));
        }
      }
      pool.releaseAll(data, count);
      if (pool.free !== 64) expect(pool.free).toBe(64);
    };
    const property = fc.property(
      fc.array(packet, { minLength: 24, maxLength: 32 }),
      fc.array(changes, { minLength: 1, maxLength: 100 }),
      (packets, lists) => {
        for (const list of lists) run(packets, list);
      },
    );
    while (cases < CASES) fc.assert(property, { numRuns: 10 });
  }, 3_600_000);

  it('are found where each header is set once and outputs follow, and tags that come and go cancel out', () => {
    const plainOf = (list: string) => compileActions(parseActions(list)).plain;
    const program = plainOf('push_vlan(vid=5,pcp=0),set(eth(src=0a:00:00:00:00:00)),7,8');
    expect(program).toEqual({
      ports: Int32Array.of(7, 8),
      eth: Int32Array.of(0, -1, 0x0a00, -0x10000, 0, 0),
      pops: 0,
      tags: Int32Array.of(0x8100_0005 | 0),
      ipv4: undefined,
      l4: undefined,
      tcp: false,
      room: 4,
    });
    expect(
      plainOf('push_vlan(vid=5,pcp=0),pop_vlan,pop_vlan,push_vlan(tpid=0x88a8,vid=6,pcp=0),1'),
    ).toMatchObject({
      pops: 1,
      tags: Int32Array.of(0x88a8_0006 | 0),
      room: 4,
    });
    for (const list of [
      '1',
      '',
      '1,push_vlan(vid=5,pcp=0)',
      'push_vlan(vid=5,pcp=0),recirc(1)',
      'trunc(64),1',
      'set(ipv4(ttl=1)),set(ipv4(ttl=2)),1',
      'set(tcp(src=1)),set(udp(src=1)),1',
      'push_vlan(tpid=0x9100,vid=5,pcp=0),pop_vlan,1',
    ]) {
      expect(plainOf(list)).toBeUndefined();
    }
  });
});
