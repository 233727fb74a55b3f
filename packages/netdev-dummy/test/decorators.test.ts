/** What the decorators do when they do something; that they are transparent otherwise, the compliance suite shows. */

import { DROP_REASON_COUNT, DROP_RX_FAULT, FramePool, PacketArena, PacketBatch } from '@etherloom/core';
import { hex, pattern } from '@etherloom/testkit';
import { describe, expect, test } from 'vitest';
import { DummyProvider, type FaultOptions, faults, type TraceEvent, trace } from '../src/index.js';

const FRAMES = 2000;

/** Receives numbered frames through faults, 50 at a time; their texts, drop count, and free frames at the end. */
async function received(options: FaultOptions) {
  const dummy = new DummyProvider();
  const provider = faults(dummy, options);
  const device = await provider.open('d', {});
  const pool = new FramePool(PacketArena.create({ frames: 128, largeFrames: 1 }));
  const drops = new Float64Array(DROP_REASON_COUNT);
  const queue = provider.openQueue(device.queueDescriptor(0), { pool, drops });
  const batch = new PacketBatch();
  const texts: string[] = [];
  for (let first = 0; first < FRAMES; first += 50) {
    dummy.device('d')?.injectMany(Array.from({ length: 50 }, (_, i) => numbered(first + i)));
    while (queue.rxBurst(batch) > 0) {
      for (let i = 0; i < batch.count; i++) {
        const at = batch.data[i]!;
        texts.push(hex(pool.arena.bytes.slice(at, at + batch.length[i]!)));
        pool.release(at);
      }
      batch.count = 0;
    }
  }
  queue.close();
  await device.close();
  return { texts, dropped: drops[DROP_RX_FAULT], free: pool.free };
}

function numbered(n: number): Uint8Array {
  const frame = pattern(60, n);
  frame[0] = n >> 8;
  frame[1] = n & 0xff;
  return frame;
}

const sent = Array.from({ length: FRAMES }, (_, n) => hex(numbered(n)));

/** How many bits differ. */
function distance(a: string, b: string): number {
  const difference = BigInt(`0x${a}`) ^ BigInt(`0x${b}`);
  return [...difference.toString(2)].filter((bit) => bit === '1').length;
}

describe('faults', () => {
  test('are the same for one seed and others for another', async () => {
    const options = { drop: 0.2, duplicate: 0.2, corrupt: 0.2 };
    const [first, again, other] = [
      await received({ ...options, seed: 5 }),
      await received({ ...options, seed: 5 }),
      await received({ ...options, seed: 6 }),
    ];
    expect(again).toEqual(first);
    expect(other.texts).not.toEqual(first.texts);
  });

  test('lose the asked share, counted, the others in order', async () => {
    const { texts, dropped, free } = await received({ drop: 0.25 });
    expect(texts).toEqual(sent.filter((text) => texts.includes(text)));
    expect(texts.length + (dropped ?? 0)).toBe(FRAMES);
    expect((dropped ?? 0) / FRAMES).toBeCloseTo(0.25, 1);
    expect(free).toBe(128);
  });

  test('double the asked share', async () => {
    const { texts, free } = await received({ duplicate: 0.25 });
    expect(texts.filter((text, i) => text !== texts[i - 1])).toEqual(sent);
    expect(texts.length / FRAMES).toBeCloseTo(1.25, 1);
    expect(free).toBe(128);
  });

  test('invert one bit of the asked share', async () => {
    const { texts } = await received({ corrupt: 0.25 });
    const distances = texts.map((text, i) => distance(text, sent[i] ?? ''));
    expect(new Set(distances)).toEqual(new Set([0, 1]));
    expect(distances.filter((bits) => bits === 1).length / FRAMES).toBeCloseTo(0.25, 1);
  });

  test('of probability 1 lose everything, and rxBurst still ends', async () => {
    expect(await received({ drop: 1 })).toEqual({ texts: [], dropped: FRAMES, free: 128 });
    expect(() => faults(new DummyProvider(), { drop: 1.1 })).toThrow('drop 1.1 is no probability');
  });
});

test('trace shows each frame with its direction, and other threads are refused the bare device', async () => {
  const dummy = new DummyProvider();
  const events: TraceEvent[] = [];
  const provider = trace(dummy, (event) => events.push(event));
  const device = await provider.open('d', {});
  const pool = new FramePool(PacketArena.create({ frames: 8, largeFrames: 1 }));
  const resources = { pool, drops: new Float64Array(DROP_REASON_COUNT) };
  const descriptor = device.queueDescriptor(0);
  const queue = provider.openQueue(descriptor, resources);
  const batch = new PacketBatch();
  dummy.device('d')?.inject(numbered(1));
  queue.rxBurst(batch);
  queue.txBurst(batch);
  const common = { netdev: 'd', queue: 0, frame: numbered(1) };
  expect(events).toEqual([
    { ...common, direction: 'rx' },
    { ...common, direction: 'tx' },
  ]);
  queue.close();
  const module: { openQueue(d: typeof descriptor, r: typeof resources): unknown } = await import(
    /* @vite-ignore */ descriptor.module
  );
  expect(() => module.openQueue(descriptor, resources)).toThrow('works on the control thread only');
  await device.close();
});
