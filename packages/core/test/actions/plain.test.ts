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
import { PacketBatch } from '../../src/packet/batch.hot.js';
import { FramePool } from '../../src/packet/frame-pool.hot.js';
import { anyFrame } from './arbitraries.js';
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
const change = fc.oneof(
  fc.tuple(mac, mac).map(([src, dst]) => `set(eth(src=${src},dst=${dst}))`),
  fc
    .tuple(address, address, byte, byte)
    .map(([src, dst, tos, ttl]) => `set(ipv4(src=${src},dst=${dst},tos=${tos},ttl=${ttl}))`),
  fc
    .tuple(fc.constantFrom('tcp', 'udp'), tcpUdpPort, tcpUdpPort)
    .map(([proto, src, dst]) => `set(${proto}(src=${src},dst=${dst}))`),
  fc.constantFrom('push_vlan(vid=5,pcp=3)', 'push_vlan(tpid=0x88a8,vid=4095,pcp=0)', 'pop_vlan'),
);
const changes = fc.array(change, { minLength: 1, maxLength: 6 }).map((list) => list.join(','));

describe('plain changes', () => {
  it('are what the executor does, byte by byte, wherever they say that they can run', () => {
    const arena = PacketArena.create({ frames: 64, largeFrames: 1 });
    const pool = new FramePool(arena);
    const batch = new PacketBatch(8);
    const burst = lookup(arena.view, batch);
    const executor = new Bench();
    let ran = 0;
    fc.assert(
      fc.property(fc.array(anyFrame, { minLength: 1, maxLength: 8 }), changes, (frames, list) => {
        batch.count = 0;
        for (const frame of frames) {
          const data = pool.allocFor(frame.length);
          arena.bytes.set(frame, data);
          batch.push(data, frame.length);
        }
        const { count, data, length } = batch;
        burst.run(1);
        const program = compileActions(parseActions(`${list},1`));
        const { plain } = program;
        for (let i = 0; i < count; i++) {
          if (plain === undefined || !isPlain(plain, pool, batch, burst.shape, i, i + 1)) continue;
          changePlain(program.code, plain, arena.view, batch, burst.shape, i, i + 1);
          executor.run(frames[i]!, `${list},1`);
          expect(hex(arena.bytes.slice(data[i]!, data[i]! + length[i]!))).toBe(hex(executor.sent()[0]!));
          ran++;
        }
        pool.releaseAll(data, count);
        expect(pool.free).toBe(64);
      }),
      { numRuns: 1000 },
    );
    expect(ran).toBeGreaterThan(100);
  });

  it('run over all packets of a burst, and end where outputs begin', () => {
    const program = compileActions(
      parseActions('push_vlan(vid=5,pcp=0),set(eth(src=0a:00:00:00:00:00)),7,8'),
    );
    expect(program.plain).toEqual({ end: 9, ports: Int32Array.of(7, 8), room: 4, ipv4: false });
    for (const list of [
      '1',
      '',
      '1,push_vlan(vid=5,pcp=0)',
      'push_vlan(vid=5,pcp=0),recirc(1)',
      'trunc(64),1',
    ]) {
      expect(compileActions(parseActions(list)).plain).toBeUndefined();
    }
  });
});
