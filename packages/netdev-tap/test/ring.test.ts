/** The io_uring that a thread's queues write by: one, for as long as one of them is open, and what happens without it. */

import { closeSync, openSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { getSystemErrorName } from 'node:util';
import { Worker } from 'node:worker_threads';
import { PacketArena } from '@etherloom/core';
import {
  ethernet,
  hex,
  pattern,
  raw,
  requirePrivileges,
  run,
  type SkippableContext,
  withNetns,
} from '@etherloom/testkit';
import { expect, test } from 'vitest';
import { tapBursts } from '../src/binding.js';
import { OUR_TYPE, Port, provider, withPair } from './harness.js';

function requireRing(context: SkippableContext): void {
  requirePrivileges(context, 'tun', 'netns');
  const native = tapBursts();
  const fd = openSync('/dev/null', 'w');
  try {
    const slot = native.joinRing(fd);
    if (slot < 0) context.skip(`needs io_uring of Linux 6.10, which gives ${getSystemErrorName(slot)} here`);
    native.leaveRing(slot);
  } finally {
    closeSync(fd);
  }
}

const isRing = (name: string): boolean => name.includes('[io_uring]');

/** What descriptor `fd` of this process is; empty for one that is closed by now, as that of a listing. */
function target(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return '';
  }
}

/** Rings of this process. */
function rings(): { fds: number; mappings: number } {
  return {
    fds: readdirSync('/proc/self/fd').map(target).filter(isRing).length,
    mappings: readFileSync('/proc/self/maps', 'utf8').split('\n').filter(isRing).length,
  };
}

const NONE = { fds: 0, mappings: 0 };
const ONE = { fds: 1, mappings: 2 };

test('bursts go by the ring, few frames by themselves', async (context) => {
  requireRing(context);
  await withNetns(async (netns) => {
    const tap = await provider.open('tap0', { netns: netns.name });
    const port = new Port(tap.queueDescriptor(0));
    /** Results that the kernel put into the ring. */
    const results = (): number => {
      const fd = readdirSync('/proc/self/fd').find((name) => isRing(target(name)));
      return Number(/CqTail:\s*(\d+)/.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1]);
    };
    const frames = Array.from({ length: 32 }, (_, i) => ethernet({}, raw(OUR_TYPE, pattern(64, i))));
    expect(port.send(...frames)).toBe(32);
    expect(results()).toBe(32);
    // None waited for a thread of the kernel's: order and buffers are as with write(2).
    const threads = readdirSync('/proc/self/task').map((id) =>
      readFileSync(`/proc/self/task/${id}/comm`, 'utf8'),
    );
    expect(threads.filter((name) => name.startsWith('iou-'))).toEqual([]);
    expect(port.send(...frames.slice(0, 2))).toBe(2);
    expect(results()).toBe(32);
    port.close();
    await tap.close();
  });
});

test('the queues of a thread have one ring, which goes with the last of them', async (context) => {
  requireRing(context);
  await withNetns(async (netns) => {
    const tap = await provider.open('tap0', { netns: netns.name, queues: '2' });
    for (let cycle = 0; cycle < 100; cycle++) {
      const ports = [0, 1].map((index) => new Port(tap.queueDescriptor(index), 64, 1));
      expect(rings()).toEqual(ONE);
      ports[0]?.close();
      ports[0]?.close();
      expect(rings()).toEqual(ONE);
      ports[1]?.close();
      expect(rings()).toEqual(NONE);
    }
    expect(await tap.getStatus?.()).toEqual({});
    await tap.close();
  });
});

/** Plain JavaScript, since threads know no TypeScript: opens a queue, and leaves it open. */
const HOLD = `
  import { parentPort, workerData } from 'node:worker_threads';
  const { core, descriptor, arena } = workerData;
  const { DROP_REASON_COUNT, FramePool, PacketArena } = await import(core);
  const { openQueue } = await import(descriptor.module);
  const pool = new FramePool(PacketArena.attach(arena));
  globalThis.queue = openQueue(descriptor, { pool, drops: new Float64Array(DROP_REASON_COUNT) });
  parentPort.once('message', () => parentPort.close());
  parentPort.postMessage('open');
`;

test('a thread that ends without closing its queues leaves no ring', async (context) => {
  requireRing(context);
  await withNetns(async (netns) => {
    for (const end of ['terminated', 'returned']) {
      const tap = await provider.open('tap0', { netns: netns.name });
      const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(HOLD)}`), {
        workerData: {
          core: new URL('../../core/dist/index.js', import.meta.url).href,
          descriptor: tap.queueDescriptor(0),
          arena: PacketArena.create({ frames: 64, largeFrames: 2 }).descriptor(),
        },
        // Without Vitest's own conditions, which lead to TypeScript.
        execArgv: [],
      });
      const exit = new Promise((resolve) => worker.once('exit', resolve));
      await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
      expect(rings()).toEqual(ONE);
      if (end === 'terminated') await worker.terminate();
      else worker.postMessage('end');
      await exit;
      expect(rings()).toEqual(NONE);
      // The ring had the device open, too.
      await tap.close();
      expect(await netns.ip('-o', 'link')).not.toMatch('tap0');
    }
  });
});

test('a queue that gets no ring writes one by one, and the device says why', async (context) => {
  requireRing(context);
  await withPair({}, async (left, right) => {
    // The kernel's own refusal, had by taking every descriptor that there is.
    const { pid } = process;
    const limit = (
      await run('prlimit', ['--pid', `${pid}`, '--nofile', '-o', 'SOFT', '--noheadings'])
    ).trim();
    await run('prlimit', ['--pid', `${pid}`, '--nofile=1000:']);
    const taken: number[] = [];
    let sender: Port;
    try {
      expect(() => {
        for (;;) taken.push(openSync('/dev/null', 'r'));
      }).toThrow('EMFILE');
      sender = new Port(left.queueDescriptor(0));
    } finally {
      for (const fd of taken) closeSync(fd);
      await run('prlimit', ['--pid', `${pid}`, `--nofile=${limit}:`]);
    }
    expect(rings()).toEqual(NONE);
    expect(await left.getStatus?.()).toEqual({ writes: 'one by one (io_uring: EMFILE)' });
    expect(await right.getStatus?.()).toEqual({});
    const receiver = new Port(right.queueDescriptor(0));
    const frames = Array.from({ length: 32 }, (_, i) => ethernet({}, raw(OUR_TYPE, pattern(64, i))));
    expect(sender.send(...frames)).toBe(32);
    expect((await receiver.receiveMany(32)).map(hex)).toEqual(frames.map(hex));
    sender.close();
    receiver.close();
  });
});
