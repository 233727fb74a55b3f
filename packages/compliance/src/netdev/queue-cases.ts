/** Cases for a queue itself: its counters, how its user is woken, closing, other threads. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import {
  type NetdevRef,
  PacketArena,
  QUEUE_RX_BYTES,
  QUEUE_RX_PACKETS,
  QUEUE_TX_BYTES,
  QUEUE_TX_PACKETS,
} from '@etherloom/core';
import type { CaseDefinition } from './define.js';
import type { EchoJob } from './echo-worker.js';
import { arrive, eventually, frameOf, open, Port, sameFrames, wired } from './tools.js';

/** Seen from src as from dist: threads without a TypeScript loader need the built module. */
const ECHO_WORKER = new URL('../../dist/netdev/echo-worker.js', import.meta.url);

const counters = (ref: NetdevRef): Float64Array => new Float64Array(ref.netdev.queueDescriptor(0).counters);

export const queueCases: readonly CaseDefinition[] = [
  {
    name: "the queue counts its packets and bytes in the descriptor's counters",
    cites:
      'netdev.ts: "Counters of one queue, in a Float64Array that the queue\'s thread writes and the control thread reads."',
    run: (fixture) =>
      wired(fixture, async ({ ref, far, port }) => {
        const shared = counters(ref);
        const before = shared.slice();
        port.transmit([frameOf(60), frameOf(1514)]);
        await arrive(far, 2);
        await far.send([frameOf(61), frameOf(62), frameOf(63)]);
        await port.receive(3);
        const grown = (counter: number): number => shared[counter]! - before[counter]!;
        assert.equal(grown(QUEUE_TX_PACKETS), 2);
        assert.equal(grown(QUEUE_TX_BYTES), 1574);
        assert.ok(grown(QUEUE_RX_PACKETS) >= 3 && grown(QUEUE_RX_BYTES) >= 186);
      }),
  },
  {
    name: 'whoever waits is woken once when packets wait, and again after an empty burst',
    cites:
      'NetdevQueue.setWake: "wake is called (once, until rxBurst came back empty) when packets wait"; pollFd: "polls readable while rxBurst has something to give"',
    run: (fixture) =>
      wired(fixture, async ({ far, port }) => {
        const { queue, batch } = port;
        const drain = (): number => {
          let ours = 0;
          while (queue.rxBurst(batch) > 0) ours += port.unload().length;
          return ours;
        };
        if (queue.pollFd >= 0) {
          const { readable } = fixture;
          assert.ok(readable !== undefined, 'the fixture of a driver with a pollFd must offer "readable"');
          await eventually(
            'the idle queue is quiet',
            async () => drain() === 0 && !(await readable(queue.pollFd)),
          );
          await far.send([frameOf(60)]);
          await eventually('the descriptor becomes readable', () => readable(queue.pollFd));
          assert.ok(await readable(queue.pollFd), 'it stays readable while the frame waits');
          assert.equal(drain(), 1);
          await eventually(
            'the descriptor is quiet again',
            async () => drain() === 0 && !(await readable(queue.pollFd)),
          );
          return;
        }
        assert.ok(queue.setWake !== undefined, 'a queue without pollFd must have setWake');
        let woken = 0;
        queue.setWake(() => {
          woken++;
        });
        drain();
        await sleep(10);
        assert.equal(woken, 0, 'nothing waits');
        await far.send([frameOf(60), frameOf(61)]);
        await eventually('wake is called', () => woken > 0);
        await far.send([frameOf(62)]);
        await sleep(10);
        assert.equal(woken, 1, 'once for all that wait');
        assert.equal(drain(), 3);
        await far.send([frameOf(63)]);
        await eventually('wake is called again', () => woken === 2);
        drain();
        queue.setWake(undefined);
        await far.send([frameOf(64)]);
        await sleep(10);
        assert.equal(woken, 2, 'a removed wake is not called');
        // One that comes late finds what waits.
        queue.setWake(() => {
          woken++;
        });
        await eventually('a new wake hears of the frame that waits', () => woken === 3);
        assert.equal(drain(), 1);
      }),
  },
  {
    name: 'a queue closes twice without harm, with packets waiting, and opens again',
    cites:
      'NetdevQueue.close: "Releases everything the queue holds; frames in flight return to the pool. Idempotent."',
    async run(fixture) {
      const ref = await open(fixture);
      const far = await fixture.farEnd(ref.netdev);
      const first = new Port(ref);
      await far.send([frameOf(60), frameOf(61)]);
      first.close();
      first.close();
      const second = new Port(ref);
      await far.send([frameOf(62)]);
      await eventually('the reopened queue receives', async () => {
        const frames = await second.receive(1);
        return frames.some((frame) => frame.length === 62);
      });
      second.close();
      await far.close();
      await ref.release();
    },
  },
  {
    name: 'another thread opens a queue from its descriptor alone',
    cites:
      'NetdevQueue: "used by one thread"; QueueDescriptor.module: "URL of the ES module that exports openQueue."',
    needs: 'worker',
    async run(fixture) {
      const ref = await open(fixture);
      const far = await fixture.farEnd(ref.netdev);
      const stop = new SharedArrayBuffer(4);
      const arena = PacketArena.create({ frames: 64, largeFrames: 2 }).descriptor();
      const job: EchoJob = { descriptor: ref.netdev.queueDescriptor(0), arena, stop };
      // Without the parent's loaders and conditions: the thread runs what is built.
      const worker = new Worker(ECHO_WORKER, { workerData: job, execArgv: [] });
      const next = async (): Promise<unknown> => (await once(worker, 'message'))[0];
      try {
        assert.equal(await next(), 'open');
        const frames = Array.from({ length: 40 }, (_, i) => frameOf(60 + i * 30, i));
        for (let i = 0; i < frames.length; i += 10) await far.send(frames.slice(i, i + 10));
        sameFrames(await arrive(far, frames.length), frames);
        const last = next();
        Atomics.store(new Int32Array(stop), 0, 1);
        assert.equal(await last, 'clean', 'the thread got all its frames back');
      } finally {
        await worker.terminate();
      }
      assert.ok(
        ((await ref.netdev.getStats()).txPackets ?? 40) >= 40,
        'the control half sums what the thread counted',
      );
      await far.close();
      await ref.release();
    },
  },
];
