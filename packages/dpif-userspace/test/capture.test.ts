/** Captures: which packets they see, inline and on threads, and what they leave behind. */

import type { CapturedPacket, CaptureOptions, PacketCapture } from '@etherloom/core';
import { parseFlowKey } from '@etherloom/odp-codec';
import { hex } from '@etherloom/testkit';
import { afterEach, describe, expect, it } from 'vitest';
import { type Bench, bench, eventually } from './bench.js';
import { pmdBench } from './pmd/bench.js';

let rig: Bench;
afterEach(() => rig.close());

/** An untyped frame from station `seed`. */
const frame = (seed: number, length = 60, type = 0x88b5): Uint8Array => {
  const bytes = new Uint8Array(length).fill(seed);
  bytes.set([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, seed, type >> 8, type & 0xff]);
  return bytes;
};
const FLOW = (port: number): string => `in_port(${port}),eth(),eth_type(0x88b5)`;

async function start(threads: number): Promise<void> {
  rig = await bench({ arena: { frames: 1024, largeFrames: 8 }, pmdThreads: threads });
  for (const portNo of [1, 2, 3]) await rig.port(`p${portNo}`, portNo);
  await rig.put(FLOW(1), '2,3');
  await rig.put(FLOW(2), '1');
}

/** All that comes, up to `count` packets. */
async function take(capture: PacketCapture, count: number): Promise<CapturedPacket[]> {
  const packets: CapturedPacket[] = [];
  while (packets.length < count) packets.push(...(await capture.next(count - packets.length)));
  return packets;
}

const brief = ({ port, direction, bytes }: CapturedPacket): string => `${direction} ${port} ${bytes[11]}`;

describe.each([0, 2])('with %i threads', (threads) => {
  it('sees what ports receive and send, with bytes, length and time', async () => {
    await start(threads);
    const before = Date.now() / 1000;
    const capture = await rig.dpif.capture();
    rig.device('p1').inject(frame(7));
    const packets = await take(capture, 3);
    expect(packets.map(brief).sort()).toEqual(['in 1 7', 'out 2 7', 'out 3 7']);
    for (const { bytes, length, seconds, nanoseconds } of packets) {
      expect(hex(bytes)).toBe(hex(frame(7)));
      expect(length).toBe(60);
      expect(Math.abs(seconds + nanoseconds / 1e9 - before)).toBeLessThan(20);
    }
    expect(await capture.stop()).toEqual({ missed: 0 });
    expect(await capture.stop()).toEqual({ missed: 0 });
    // What is over sees nothing and waits for nothing.
    rig.device('p1').inject(frame(8));
    await eventually(async () => (await rig.device('p3').getStats()).txPackets === 2);
    expect(await capture.next(9)).toEqual([]);
  });

  it.each<[string, CaptureOptions, string[]]>([
    ['of a port', { port: 2 }, ['in 2 8', 'out 2 7', 'out 2 9']],
    ['of a direction', { direction: 'in' }, ['in 1 7', 'in 1 9', 'in 2 8']],
    ['of both', { port: 1, direction: 'out' }, ['out 1 8']],
    [
      'of a station',
      { filter: parseFlowKey('eth(src=02:00:00:00:00:07)') },
      ['in 1 7', 'out 2 7', 'out 3 7'],
    ],
    [
      'of a port and stations',
      { filter: parseFlowKey('in_port(3),eth(src=02:00:00:00:00:01/01:00:00:00:00:01)') },
      ['out 3 7', 'out 3 9'],
    ],
    ['of a type', { filter: parseFlowKey('eth(),eth_type(0x0806)') }, []],
    ['of no port', { port: 77 }, []],
  ])('sees only packets %s', async (_, options, wanted) => {
    await start(threads);
    const capture = await rig.dpif.capture(options);
    const all = await rig.dpif.capture();
    rig.device('p1').inject(frame(7));
    rig.device('p2').inject(frame(8));
    rig.device('p1').inject(frame(9));
    await take(all, 8);
    await capture.stop();
    expect((await capture.next(99)).map(brief).sort()).toEqual(wanted);
  });

  it('gives up waiting when asked to, and loses nothing by it', async () => {
    await start(threads);
    const capture = await rig.dpif.capture({ direction: 'in' });
    const end = new AbortController();
    const waiting = capture.next(1, end.signal);
    end.abort();
    expect(await waiting).toEqual([]);
    rig.device('p1').inject(frame(7));
    expect((await take(capture, 1)).map(brief)).toEqual(['in 1 7']);
  });

  it('cuts packets, and counts those that it has no room for', async () => {
    await start(threads);
    const capture = await rig.dpif.capture({ snaplen: 20, direction: 'in' });
    const full = await rig.dpif.capture({ direction: 'in', port: 1 });
    rig.device('p1').inject(frame(7, 1500));
    const [packet] = await take(capture, 1);
    expect(packet).toMatchObject({ length: 1500 });
    expect(hex(packet?.bytes ?? new Uint8Array())).toBe(hex(frame(7, 1500).subarray(0, 20)));
    // 1 MiB holds fewer than 700 of these.
    const sent = 1000;
    for (let i = 0; i < sent; i += 100) {
      rig.device('p1').injectMany(Array.from({ length: 100 }, () => frame(7, 1500)));
      await eventually(async () => (await rig.device('p2').getStats()).txPackets === i + 101);
    }
    const { missed } = await full.stop();
    let got = 0;
    for (let some = await full.next(1000); some.length > 0; some = await full.next(1000)) got += some.length;
    expect(missed).toBeGreaterThan(100);
    expect(got + missed).toBe(sent + 1);
    // All of them were forwarded.
    expect(await rig.dpif.portGetDrops(1)).toEqual({});
  });

  it('ends with its handle, and waiting for packets with it', async () => {
    await start(threads);
    const other = await rig.dpifs.open('br0', 'dummy');
    const captures = await Promise.all(Array.from({ length: 8 }, () => other.capture()));
    await expect(rig.dpif.capture()).rejects.toMatchObject({ code: 'EMFILE' });
    const waiting = captures[0]!.next(1);
    // One that ended and still holds packets counts until they have been read.
    rig.device('p1').inject(frame(6));
    expect(await waiting).toHaveLength(1);
    expect(await captures[0]!.stop()).toEqual({ missed: 0 });
    await expect(rig.dpif.capture()).rejects.toMatchObject({ code: 'EMFILE' });
    while ((await captures[0]!.next(9)).length > 0);
    const ninth = await rig.dpif.capture();
    const quiet = ninth.next(1, AbortSignal.timeout(20));
    await other.close();
    expect(await captures[1]!.next(1)).toEqual([]);
    expect(await quiet).toEqual([]);
    expect(await ninth.stop()).toEqual({ missed: 0 });
    await expect(Promise.all(Array.from({ length: 6 }, () => rig.dpif.capture()))).resolves.toHaveLength(6);
    const again = await rig.dpif.capture({ direction: 'in' });
    rig.device('p1').inject(frame(5));
    expect((await take(again, 1)).map(brief)).toEqual(['in 1 5']);
  });
});

it('refuses options that make no sense', async () => {
  await start(0);
  for (const options of [
    { snaplen: 0 },
    { snaplen: 1.5 },
    { filter: { key: Uint8Array.of(1), mask: new Uint8Array() } },
  ]) {
    await expect(rig.dpif.capture(options)).rejects.toMatchObject({ code: 'EINVAL' });
  }
  const capture = await rig.dpif.capture();
  await expect(capture.next(0)).rejects.toMatchObject({ code: 'EINVAL' });
});

it('goes on when a thread dies and another one takes its place', async () => {
  await start(0);
  const threads = await pmdBench(1);
  try {
    await threads.port('q1', 1);
    await threads.put(FLOW(1), '1');
    const capture = await threads.opener.capture({ direction: 'in' });
    threads.device('q1').inject(frame(1));
    expect((await take(capture, 1)).map(brief)).toEqual(['in 1 1']);
    await threads.plane.crew.slots[0]!.thread!.terminate();
    await eventually(() => threads.events.some(({ type }) => type === 'restarted'), 20_000);
    threads.device('q1').inject(frame(2));
    expect((await take(capture, 1)).map(brief)).toEqual(['in 1 2']);
  } finally {
    await threads.close();
  }
});
