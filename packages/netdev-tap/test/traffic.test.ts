/** Frames between two real TAPs that a kernel bridge joins. */

import { setTimeout as sleep } from 'node:timers/promises';
import { DROP_TX_DOWN, DROP_TX_ERROR, DROP_TX_TOO_BIG } from '@etherloom/core';
import { ethernet, hex, pattern, raw, requirePrivileges, withNetns } from '@etherloom/testkit';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EACH_WAY, isOurs, OUR_TYPE, Port, provider, withPair } from './harness.js';

test.for(EACH_WAY)('frames of all sizes cross unchanged and in order, %s', async (writes, context) => {
  requirePrivileges(context, 'tun', 'netns');
  await withPair({ mtu: '65521' }, async (left, right) => {
    const sender = new Port(left.queueDescriptor(0), 256, 32, writes);
    const receiver = new Port(right.queueDescriptor(0));
    const size = fc.oneof(
      fc.integer({ min: 0, max: 1500 }),
      fc.constantFrom(1777, 1778, 1779, 4096, 9000, 65_521),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(size, { minLength: 1, maxLength: 32, size: 'max' }),
        fc.nat(250),
        async (sizes, seed) => {
          const frames = sizes.map((length, i) => ethernet({}, raw(OUR_TYPE, pattern(length, seed + i))));
          expect(sender.send(...frames)).toBe(frames.length);
          expect(sender.pool.free).toBe(sender.arena.frames);
          const received = await receiver.receiveMany(frames.length);
          expect(received.map(hex)).toEqual(frames.map(hex));
        },
      ),
      { numRuns: 50 },
    );
    expect(receiver.drops.every((count) => count === 0)).toBe(true);
    sender.close();
    receiver.close();
  });
});

test.for(EACH_WAY)('a long train arrives in full bursts, none lost, %s', async (writes, context) => {
  requirePrivileges(context, 'tun', 'netns');
  await withPair({}, async (left, right) => {
    const sender = new Port(left.queueDescriptor(0), 256, 8, writes);
    const receiver = new Port(right.queueDescriptor(0));
    const frames = Array.from({ length: 320 }, (_, i) => ethernet({}, raw(OUR_TYPE, pattern(64, i % 251))));
    for (let i = 0; i < frames.length; i += 32) expect(sender.send(...frames.slice(i, i + 32))).toBe(32);
    const bursts: number[] = [];
    const received: string[] = [];
    const deadline = Date.now() + 5000;
    while (received.length < frames.length && Date.now() < deadline) {
      const burst = receiver.receive().filter(isOurs);
      if (burst.length > 0) bursts.push(burst.length);
      else await sleep(1);
      received.push(...burst.map(hex));
    }
    expect(received).toEqual(frames.map(hex));
    expect(Math.max(...bursts)).toBeGreaterThan(20);
    sender.close();
    receiver.close();
  });
});

test.for(EACH_WAY)('refused frames are counted by reason, the others arrive, %s', async (writes, context) => {
  requirePrivileges(context, 'tun', 'netns');
  await withPair({}, async (left, right) => {
    const sender = new Port(left.queueDescriptor(0), 256, 8, writes);
    const receiver = new Port(right.queueDescriptor(0));
    const frames = Array.from({ length: 28 }, (_, i) => ethernet({}, raw(OUR_TYPE, pattern(64, i))));
    const runt = (frame: Uint8Array): Uint8Array => frame.subarray(0, 13);
    const long = ethernet({}, raw(OUR_TYPE, pattern(1501)));
    // Among few and among many: the first too long for the MTU, the second and the last too short for the kernel.
    for (const good of [frames.slice(0, 2), frames]) {
      const [first, ...others] = good as [Uint8Array, ...Uint8Array[]];
      sender.drops.fill(0);
      expect(sender.send(long, runt(first), first, runt(first), ...others, runt(first))).toBe(good.length);
      expect(sender.drops[DROP_TX_ERROR]).toBe(3);
      expect(sender.drops[DROP_TX_TOO_BIG]).toBe(1);
      expect((await receiver.receiveMany(good.length)).map(hex)).toEqual(good.map(hex));
    }
    await left.setFlags({ up: false });
    expect(sender.send(...frames)).toBe(0);
    expect(sender.drops[DROP_TX_DOWN]).toBe(28);
    expect((await left.getStats()).txPackets).toBe(30);
    sender.close();
    receiver.close();
  });
});

test.for(EACH_WAY)(
  'a device that goes down and up amid bursts took what we count, %s',
  async (writes, context) => {
    requirePrivileges(context, 'tun', 'netns');
    await withNetns(async (netns) => {
      const tap = await provider.open('tap0', { netns: netns.name });
      const port = new Port(tap.queueDescriptor(0), 256, 8, writes);
      const frames = Array.from({ length: 32 }, (_, i) => ethernet({}, raw(OUR_TYPE, pattern(64, i))));
      const flaps = netns.run('sh', [
        '-c',
        'for i in $(seq 20); do ip link set tap0 down; sleep 0.01; ip link set tap0 up; sleep 0.01; done',
      ]);
      let flapping = true;
      void flaps.finally(() => {
        flapping = false;
      });
      let given = 0;
      let sent = 0;
      while (flapping) {
        given += frames.length;
        sent += port.send(...frames);
        await new Promise((resolve) => setImmediate(resolve));
      }
      await flaps;
      const down = port.drops[DROP_TX_DOWN] ?? 0;
      expect(sent).toBeGreaterThan(0);
      expect(down).toBeGreaterThan(0);
      expect(sent + down).toBe(given);
      const [link] = JSON.parse(await netns.ip('-s', '-j', 'link', 'show', 'tap0'));
      expect(link.stats64.rx.packets).toBe(sent);
      port.close();
      await tap.close();
    });
  },
);

test('several queues share a device', async (context) => {
  requirePrivileges(context, 'tun', 'netns');
  await withPair({ queues: '2' }, async (left, right, netns) => {
    const senders = [0, 1].map((index) => new Port(left.queueDescriptor(index)));
    const receivers = [0, 1].map((index) => new Port(right.queueDescriptor(index)));
    await expect(provider.open('left', { netns: netns.name })).rejects.toMatchObject({ code: 'EEXIST' });
    senders.forEach((sender, i) => {
      expect(sender.send(ethernet({}, raw(OUR_TYPE, pattern(100, i))))).toBe(1);
    });
    const received: string[] = [];
    for (let i = 0; i < 500 && received.length < 2; i++) {
      for (const receiver of receivers) received.push(...receiver.receive().filter(isOurs).map(hex));
      await sleep(2);
    }
    const sent = [0, 1].map((i) => hex(ethernet({}, raw(OUR_TYPE, pattern(100, i)))));
    expect(received.sort()).toEqual(sent.sort());
    expect(await left.getStats()).toMatchObject({ txPackets: 2 });
    expect(await right.getConfig()).toMatchObject({ queues: '2' });
    for (const port of [...senders, ...receivers]) port.close();
  });
});
