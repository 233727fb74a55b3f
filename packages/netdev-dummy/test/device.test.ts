/** The far end of dummy devices: what inject, capture, pipes, cables and capture files do beyond the contract. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  DROP_NO_FRAME,
  DROP_REASON_COUNT,
  DROP_TX_DOWN,
  DROP_TX_TOO_BIG,
  FramePool,
  NetdevRegistry,
  PacketArena,
  PacketBatch,
  readPcap,
} from '@etherloom/core';
import { ethernet, hex, ipv4, pattern, raw, udp } from '@etherloom/testkit';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type DummyNetdev, DummyProvider, PcapWriter } from '../src/index.js';

const frameOf = (length: number, seed = 0): Uint8Array => {
  const frame = pattern(length, seed);
  // Not by chance the type of a VLAN tag.
  frame.set([0x08, 0x00], 12);
  return frame;
};

function resources(frames = 512, largeFrames = 8) {
  const pool = new FramePool(PacketArena.create({ frames, largeFrames }));
  return { pool, drops: new Float64Array(DROP_REASON_COUNT) };
}

/** Puts frames into a batch. */
function load(batch: PacketBatch, pool: FramePool, ...frames: Uint8Array[]): PacketBatch {
  for (const frame of frames) {
    const at = pool.allocFor(frame.length);
    pool.arena.bytes.set(frame, at);
    batch.push(at, frame.length);
  }
  return batch;
}

/** Copies the frames out of a batch and releases them. */
function unload(batch: PacketBatch, pool: FramePool): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let i = 0; i < batch.count; i++) {
    const at = batch.data[i]!;
    frames.push(pool.arena.bytes.slice(at, at + batch.length[i]!));
    pool.release(at);
  }
  batch.count = 0;
  return frames;
}

describe('dummy device', () => {
  let folder = '';
  let provider = new DummyProvider();
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'etherloom-dummy-'));
    provider = new DummyProvider();
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const open = (name: string, config: Record<string, string> = {}): Promise<DummyNetdev> =>
    provider.open(name, config);

  test('any sequence of injections and receptions keeps every frame, in order, or counts it', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof({ weight: 4, arbitrary: fc.integer({ min: 14, max: 65_535 }) }, fc.constant(-1)), {
          minLength: 1,
          maxLength: 200,
        }),
        async (steps) => {
          const device = await open('d');
          const { pool, drops } = resources(128, 40);
          const queue = provider.openQueue(device.queueDescriptor(0), { pool, drops });
          const batch = new PacketBatch();
          const expected: string[] = [];
          const received: string[] = [];
          let refused = 0;
          for (const [i, length] of [...steps, -1, -1].entries()) {
            if (length < 0) {
              queue.rxBurst(batch);
              received.push(...unload(batch, pool).map(hex));
            } else if (device.inject(frameOf(length, i))) expected.push(hex(frameOf(length, i)));
            else refused++;
          }
          while (queue.rxBurst(batch) > 0) received.push(...unload(batch, pool).map(hex));
          expect(received).toEqual(expected);
          expect((await device.getStats()).rxMissedErrors).toBe(refused);
          queue.close();
          expect(pool.free).toBe(128);
          await device.close();
        },
      ),
      { numRuns: 40 },
    );
  });

  test('sent frames are captured up to the limit, counted beyond, and shown to listeners', async () => {
    const device = await open('d', { capture: '3' });
    const { pool, drops } = resources();
    const queue = provider.openQueue(device.queueDescriptor(0), { pool, drops });
    const seen: string[] = [];
    const stop = device.onTransmit((frame, index) => seen.push(`${index}:${frame.length}`));
    const batch = load(new PacketBatch(), pool, frameOf(60), frameOf(61), frameOf(62), frameOf(63));
    expect(queue.txBurst(batch)).toBe(4);
    expect(batch.count).toBe(0);
    expect(device.takeTransmitted().map((frame) => frame.length)).toEqual([60, 61, 62]);
    expect(device.transmittedLost).toBe(1);
    expect(seen).toEqual(['0:60', '0:61', '0:62', '0:63']);
    stop();
    queue.txBurst(load(batch, pool, frameOf(60, 9)));
    expect(seen.length).toBe(4);
    expect(device.takeTransmitted()).toEqual([frameOf(60, 9)]);
    expect(pool.free).toBe(512);
    await device.close();
  });

  test('the transmit half of a thread that died is let go: what it sent shows, and counts', async () => {
    const device = await open('d');
    const { pool, drops } = resources();
    const descriptors = [device.transmitDescriptor(), device.transmitDescriptor()];
    for (const [i, descriptor] of descriptors.entries()) {
      // As another thread gets it.
      const queue = provider.openQueue(structuredClone(descriptor), { pool, drops });
      expect(queue.txBurst(load(new PacketBatch(), pool, frameOf(60, i)))).toBe(1);
    }
    device.reclaimTransmitter(descriptors[0]!);
    device.reclaimTransmitter(descriptors[0]!);
    expect(await device.getStats()).toMatchObject({ txPackets: 2, txBytes: 120 });
    expect(device.takeTransmitted()).toEqual([frameOf(60, 0), frameOf(60, 1)]);
    await device.close();
    expect(await device.getStats()).toMatchObject({ txPackets: 2, txBytes: 120 });
  });

  test('a burst larger than the ring is shown whole', async () => {
    const device = await open('d', { mtu: '65521' });
    const { pool, drops } = resources(8, 40);
    const queue = provider.openQueue(device.queueDescriptor(0), { pool, drops });
    const frames = Array.from({ length: 32 }, (_, i) => frameOf(65_535, i));
    expect(queue.txBurst(load(new PacketBatch(), pool, ...frames))).toBe(32);
    expect(device.takeTransmitted().map(hex)).toEqual(frames.map(hex));
    await device.close();
  });

  test('a frame may exceed the MTU by its VLAN tags only', async () => {
    const device = await open('d');
    const { pool, drops } = resources();
    const queue = provider.openQueue(device.queueDescriptor(0), { pool, drops });
    const payload = raw(0x0800, pattern(1500));
    const batch = load(
      new PacketBatch(),
      pool,
      ethernet({}, payload),
      ethernet({ vlans: [{ vid: 1 }] }, payload),
      ethernet({ vlans: [{ vid: 1, tpid: 0x88a8 }, { vid: 2 }] }, payload),
      ethernet({ vlans: [{ vid: 1 }] }, raw(0x0800, pattern(1501))),
      ethernet({}, raw(0x0800, pattern(1501))),
    );
    expect(queue.txBurst(batch)).toBe(3);
    expect(drops[DROP_TX_TOO_BIG]).toBe(2);
    await device.setMtu(1501);
    expect(queue.txBurst(load(batch, pool, ethernet({}, raw(0x0800, pattern(1501)))))).toBe(1);
    expect(device.takeTransmitted().map((frame) => frame.length)).toEqual([1514, 1518, 1522, 1515]);
    await device.close();
  });

  test('a pipe carries frames both ways while both ends are up', async () => {
    const a = await open('a', { peer: 'b' });
    expect(await a.getCarrier()).toBe(false);
    expect(await a.getCarrierResets()).toBe(0);
    const b = await open('b', { peer: 'a' });
    expect(await a.getCarrier()).toBe(true);
    const { pool, drops } = resources();
    const aq = provider.openQueue(a.queueDescriptor(0), { pool, drops });
    const bq = provider.openQueue(b.queueDescriptor(0), { pool, drops });
    const woken: string[] = [];
    bq.setWake?.(() => woken.push('b'));
    const batch = new PacketBatch();
    expect(aq.txBurst(load(batch, pool, frameOf(60), frameOf(1514)))).toBe(2);
    expect(woken).toEqual([]);
    await Promise.resolve();
    expect(woken).toEqual(['b']);
    expect(bq.rxBurst(batch)).toBe(2);
    expect(unload(batch, pool)).toEqual([frameOf(60), frameOf(1514)]);
    bq.txBurst(load(batch, pool, frameOf(70)));
    expect(aq.rxBurst(batch)).toBe(1);
    expect(unload(batch, pool)).toEqual([frameOf(70)]);

    await b.setFlags({ up: false });
    expect(await a.getCarrier()).toBe(false);
    expect(aq.txBurst(load(batch, pool, frameOf(60)))).toBe(0);
    expect(drops[DROP_TX_DOWN]).toBe(1);
    await b.setFlags({ up: true });
    await b.close();
    expect(await a.getCarrier()).toBe(false);
    expect(await a.getCarrierResets()).toBe(4);
    expect(pool.free).toBe(512);
    await a.close();
  });

  test('capture files hold every frame as soon as it passed', async () => {
    const both = join(folder, 'both.pcap');
    const device = await open('d', { pcap: both, capture: '0' });
    const { pool, drops } = resources();
    const queue = provider.openQueue(device.queueDescriptor(0), { pool, drops });
    const lengths = (path: string): number[] =>
      readPcap(readFileSync(path), path).map(({ data }) => data.length);
    expect(lengths(both)).toEqual([]);
    device.inject(frameOf(64));
    expect(lengths(both)).toEqual([64]);
    queue.txBurst(load(new PacketBatch(), pool, frameOf(65), frameOf(66)));
    expect(lengths(both)).toEqual([64, 65, 66]);

    const [rx, tx] = [join(folder, 'rx.pcap'), join(folder, 'tx.pcap')];
    await device.setConfig({ rxq_pcap: rx, tx_pcap: tx, capture: '0' });
    device.inject(frameOf(67));
    queue.txBurst(load(new PacketBatch(), pool, frameOf(68)));
    expect([lengths(both), lengths(rx), lengths(tx)]).toEqual([[64, 65, 66], [67], [68]]);
    await device.close();
    expect(lengths(tx)).toEqual([68]);
  });

  describe('replay', () => {
    const frames = Array.from({ length: 50 }, (_, i) =>
      ethernet(
        {},
        ipv4({ src: '10.0.0.1', dst: '10.0.0.2', id: i }, udp({ src: i, dst: 9 }, pattern(i * 40))),
      ),
    );
    const capture = (): string => {
      const path = join(folder, 'in.pcap');
      const writer = new PcapWriter(path);
      writer.write(frames);
      writer.close();
      return path;
    };

    test.each(['false', 'true'])(
      'gives all frames, as often as asked, each queue its share (shared: %s)',
      async (shared) => {
        const device = await open('d', {
          replay: capture(),
          replay_loops: '2',
          replay_shared: shared,
          n_rxq: '2',
        });
        const { pool, drops } = resources();
        const received = [0, 1].map((index) => {
          const queue = provider.openQueue(device.queueDescriptor(index), { pool, drops });
          const batch = new PacketBatch();
          const out: string[] = [];
          while (queue.rxBurst(batch) > 0) out.push(...unload(batch, pool).map(hex));
          queue.close();
          return out;
        });
        for (const index of [0, 1]) {
          const share = frames.filter((_, i) => i % 2 === index).map(hex);
          expect(received[index]).toEqual([...share, ...share]);
        }
        expect(pool.free).toBe(512);
        await device.close();
      },
    );

    test('waits for the link, then wakes', async () => {
      const device = await open('d', { replay: capture(), replay_loops: '0', up: 'false' });
      const { pool, drops } = resources(40);
      const queue = provider.openQueue(device.queueDescriptor(0), { pool, drops });
      let woken = 0;
      queue.setWake?.(() => woken++);
      const batch = new PacketBatch();
      await Promise.resolve();
      expect([queue.rxBurst(batch), woken]).toEqual([0, 0]);
      await device.setFlags({ up: true });
      await Promise.resolve();
      expect([queue.rxBurst(batch), woken]).toEqual([32, 1]);
      // Only 8 frames are left: the ninth is dropped by reason, and a replay without end still returns.
      const second = new PacketBatch();
      expect(queue.rxBurst(second)).toBe(8);
      expect(drops[DROP_NO_FRAME]).toBe(1);
      unload(batch, pool);
      unload(second, pool);
      await device.close();
    });

    test('from a shared capture to a sink allocates nothing', async () => {
      const source = await open('source', { replay: capture(), replay_loops: '0', replay_shared: 'true' });
      const sink = await open('sink', { capture: '0', mtu: '9000' });
      const { pool, drops } = resources();
      const from = provider.openQueue(source.queueDescriptor(0), { pool, drops });
      const to = provider.openQueue(sink.queueDescriptor(0), { pool, drops });
      const batch = new PacketBatch();
      const forward = (bursts: number): number => {
        let packets = 0;
        for (let i = 0; i < bursts; i++) {
          from.rxBurst(batch);
          packets += to.txBurst(batch);
        }
        return packets;
      };
      forward(20_000);
      const before = process.memoryUsage().heapUsed;
      expect(forward(10_000)).toBe(320_000);
      // One 16-byte object a packet would be 5 MB, and no collection runs below that.
      expect(process.memoryUsage().heapUsed - before).toBeLessThan(500_000);
      from.close();
      to.close();
      expect(pool.free).toBe(512);
      await source.close();
      await sink.close();
    });

    test('what does not fit the pool is refused and leaves nothing', async () => {
      const device = await open('d', { replay: capture(), replay_shared: 'true' });
      const { pool, drops } = resources(20);
      expect(() => provider.openQueue(device.queueDescriptor(0), { pool, drops })).toThrow(
        'hold only 20 of the 50 frames that "d" replays',
      );
      expect(pool.free).toBe(20);
      await device.close();
    });
  });

  test.each<[Record<string, string>, string, string]>([
    [{ colour: 'red' }, 'EINVAL', 'unknown option "colour"'],
    [{ mtu: '67' }, 'EINVAL', 'mtu "67" is not a number from 68 to 65521'],
    [{ mtu: '1e3' }, 'EINVAL', 'mtu "1e3"'],
    [{ mac: '01:00:00:00:00:00' }, 'EINVAL', 'group address'],
    [{ up: 'yes' }, 'EINVAL', 'up "yes" is neither'],
    [{ n_rxq: '0' }, 'EINVAL', 'n_rxq "0"'],
    [{ peer: 'd' }, 'EINVAL', 'peer names the device itself'],
    [{ pcap: 'a', tx_pcap: 'b' }, 'EINVAL', 'leave out rxq_pcap and tx_pcap'],
    [{ replay_loops: '2' }, 'EINVAL', 'need replay=FILE'],
    [{ replay: '/nonexistent/file' }, 'ENOENT', 'cannot read capture file'],
    [{ tx_pcap: '/nonexistent/file' }, 'ENOENT', 'cannot write capture file'],
  ])('options %o are %s', async (config, code, sentence) => {
    await expect(open('d', config)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(sentence),
    });
    expect(provider.device('d')).toBeUndefined();
    const device = await open('d', { mtu: '9000' });
    await expect(device.setConfig(config)).rejects.toMatchObject({ code: expect.any(String) });
    expect(await device.getConfig()).toEqual({ mtu: '9000' });
    await device.close();
  });

  test('a queue is open once, and its frames come back when it is closed', async () => {
    const registry = new NetdevRegistry();
    registry.register(provider);
    const ref = await registry.open('d', 'dummy');
    const descriptor = ref.netdev.queueDescriptor(0);
    const queue = ref.openQueue(descriptor, resources());
    expect(() => ref.openQueue(descriptor, resources())).toThrow('open already');
    queue.close();
    queue.close();
    // The closed queue keeps its hands off.
    provider.device('d')?.inject(frameOf(60));
    const batch = new PacketBatch();
    expect(queue.rxBurst(batch)).toBe(0);
    const again = ref.openQueue(descriptor, resources());
    expect(again.rxBurst(batch)).toBe(1);
    again.close();
    expect(() => ref.netdev.queueDescriptor(1)).toThrow('has no queue 1');
    await ref.release();
    expect(provider.device('d')).toBeUndefined();
  });

  test('a replay of random bytes is refused with a sentence, never a crash', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
        const path = join(folder, 'random');
        writeFileSync(path, bytes);
        await expect(open('d', { replay: path })).rejects.toMatchObject({ code: 'EINVAL' });
      }),
      { numRuns: 200 },
    );
  });
});
