/** Cases for frames on their way through a queue: complete, in order, owned by whom the contract says. */

import assert from 'node:assert/strict';
import { FRAME_HEADROOM, MAX_PACKET, SMALL_FRAME_ROOM } from '@etherloom/core';
import type { CaseDefinition } from './define.js';
import { arrive, ETH_HEADER, eventually, frameOf, sameFrames, wired } from './tools.js';

/** Sizes around every limit that a driver may have inside: frames classes of the arena, pages, the longest packet. */
const LARGE_SIZES = [
  1515,
  SMALL_FRAME_ROOM - 1,
  SMALL_FRAME_ROOM,
  SMALL_FRAME_ROOM + 1,
  2048,
  4095,
  4096,
  4097,
  9014,
  MAX_PACKET - 1,
  MAX_PACKET,
];

export const trafficCases: readonly CaseDefinition[] = [
  {
    name: 'frames of 14 to 1,514 bytes are received whole and in order',
    cites: 'NetdevQueue.rxBurst: "Receives into the free slots of batch; returns how many were appended."',
    run: (fixture) =>
      wired(fixture, async ({ far, port }) => {
        for (let first = ETH_HEADER; first <= 1514; first += 25) {
          const frames = Array.from({ length: Math.min(25, 1515 - first) }, (_, i) =>
            frameOf(first + i, first),
          );
          await far.send(frames);
          sameFrames(await port.receive(frames.length), frames);
        }
        assert.deepEqual(port.dropped(), {});
      }),
  },
  {
    name: 'frames of 14 to 1,514 bytes are sent whole and in order',
    cites: 'NetdevQueue.txBurst: "Sends all packets of batch"',
    run: (fixture) =>
      wired(fixture, async ({ far, port }) => {
        for (let first = ETH_HEADER; first <= 1514; first += 25) {
          const frames = Array.from({ length: Math.min(25, 1515 - first) }, (_, i) =>
            frameOf(first + i, first),
          );
          assert.equal(port.transmit(frames), frames.length);
          sameFrames(await arrive(far, frames.length), frames);
        }
        assert.deepEqual(port.dropped(), {});
      }),
  },
  {
    name: 'frames up to 65,535 bytes go both ways',
    cites: 'arena.ts, MAX_PACKET: "Longest packet that the datapath handles"',
    needs: 'largest-frame',
    run: (fixture) =>
      wired(fixture, async ({ ref, far, port }) => {
        await ref.netdev.setMtu(MAX_PACKET - ETH_HEADER);
        for (const length of LARGE_SIZES) {
          const frames = [frameOf(length, 1), frameOf(60, 2), frameOf(length, 3)];
          await far.send(frames);
          sameFrames(await port.receive(3), frames);
          assert.equal(port.transmit(frames), 3);
          sameFrames(await arrive(far, 3), frames);
        }
        assert.deepEqual(port.dropped(), {});
      }),
  },
  {
    name: 'bursts of any number are received, never more than there are free slots',
    cites: 'NetdevQueue.rxBurst: "Receives into the free slots of batch"; "0 means that nothing waits."',
    run: (fixture) =>
      wired(fixture, async ({ far, port }) => {
        for (const count of [0, 1, 31, 32, 33, 65]) {
          const frames = Array.from({ length: count }, (_, i) => frameOf(60 + i, count));
          await far.send(frames);
          const received: Uint8Array[] = [];
          await eventually(`${count} frames are received`, () => {
            const burst = port.queue.rxBurst(port.batch);
            assert.equal(burst, port.batch.count, 'rxBurst returns what it appended');
            assert.ok(burst <= port.batch.capacity);
            received.push(...port.unload());
            return received.length >= count;
          });
          sameFrames(received, frames);
        }
      }),
  },
  {
    name: 'a batch that holds packets is filled up behind them, a full one is left alone',
    cites: 'NetdevQueue.rxBurst: "Receives into the free slots of batch; returns how many were appended."',
    run: (fixture) =>
      wired(fixture, async ({ far, port }) => {
        const held = Array.from({ length: port.batch.capacity - 1 }, (_, i) => frameOf(100, i));
        const sent = [frameOf(200, 1), frameOf(201, 2), frameOf(202, 3)];
        await far.send(sent);
        const received: Uint8Array[] = [];
        await eventually('one frame at a time is received', () => {
          port.load(held);
          const burst = port.queue.rxBurst(port.batch);
          assert.ok(burst <= 1, `${burst} packets went into one free slot`);
          if (burst === 1) assert.equal(port.queue.rxBurst(port.batch), 0, 'a full batch takes nothing');
          const all = port.unload();
          sameFrames(all.slice(0, held.length), held);
          received.push(...all.slice(held.length));
          return received.length >= sent.length;
        });
        sameFrames(received, sent);
      }),
  },
  {
    name: 'received packets have headroom, an owner, and only the metadata that the device announced',
    cites:
      'arena.ts, FRAME_HEADROOM; NetdevQueue.rxBurst: "The batch\'s owner now owns those frames."; NetdevCapabilities.rxOffloads',
    run: (fixture) =>
      wired(fixture, async ({ ref, far, port }) => {
        await far.send([frameOf(60), frameOf(1514)]);
        let ours = 0;
        await eventually('two frames are received', () => {
          port.queue.rxBurst(port.batch);
          for (let i = 0; i < port.batch.count; i++) {
            const at = port.batch.data[i]!;
            const { arena } = port.pool;
            const headroom = at - arena.frameStart(arena.frameIndex(at));
            assert.ok(headroom >= FRAME_HEADROOM, `headroom of ${headroom} bytes`);
            assert.equal(port.pool.isShared(at), false);
            assert.equal(arena.refs[arena.frameIndex(at)], 1, "one reference, the batch owner's");
            assert.equal(
              port.batch.offload[i]! & ~ref.netdev.capabilities.rxOffloads,
              0,
              'unannounced offload bits',
            );
          }
          ours += port.unload().length;
          return ours >= 2;
        });
      }),
  },
  {
    name: 'bursts of any number are sent, and the batch is empty afterwards',
    cites:
      'NetdevQueue.txBurst: "Sends all packets of batch and takes over their frames, empties the batch, and returns how many the device took."',
    run: (fixture) =>
      wired(
        fixture,
        async ({ far, port }) => {
          for (const count of [0, 1, 31, 32, 33, 64]) {
            const frames = Array.from({ length: count }, (_, i) => frameOf(60 + i, count));
            assert.equal(port.queue.txBurst(port.load(frames)), count);
            assert.equal(port.batch.count, 0);
            sameFrames(await arrive(far, count), frames);
          }
        },
        { batch: 64 },
      ),
  },
  {
    name: 'a frame that has another owner too is sent unchanged and stays with that owner',
    cites: 'NetdevQueue.txBurst: "takes over their frames"; FramePool.release: "One owner less"',
    run: (fixture) =>
      wired(fixture, async ({ far, port }) => {
        const frame = frameOf(200, 9);
        port.load([frame]);
        const at = port.batch.data[0]!;
        port.pool.retain(at);
        port.pool.retain(at);
        // The same frame twice in one burst, as a flow with two outputs to one port does.
        port.batch.push(at, frame.length);
        assert.equal(port.queue.txBurst(port.batch), 2);
        sameFrames(await arrive(far, 2), [frame, frame]);
        const { arena } = port.pool;
        await eventually('the device lets the frame go', () => arena.refs[arena.frameIndex(at)] === 1);
        sameFrames([arena.bytes.slice(at, at + frame.length)], [frame]);
        port.pool.release(at);
      }),
  },
];
