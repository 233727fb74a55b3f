/** The data half in another thread, opened as a datapath's thread does: from the descriptor alone. Needs `dist`. */

import { Worker } from 'node:worker_threads';
import { PacketArena } from '@etherloom/core';
import { ethernet, pattern, raw, requirePrivileges } from '@etherloom/testkit';
import { expect, test } from 'vitest';
import { OUR_TYPE, Port, withPair } from './harness.js';

/** Plain JavaScript, since threads know no TypeScript: receives until 10 frames came and sends each back. */
const ECHO = `
  import { workerData } from 'node:worker_threads';
  const { core, descriptor, arena: memory } = workerData;
  const { DROP_REASON_COUNT, FramePool, PacketArena, PacketBatch } = await import(core);
  const { openQueue } = await import(descriptor.module);
  const pool = new FramePool(PacketArena.attach(memory));
  const queue = openQueue(descriptor, { pool, drops: new Float64Array(DROP_REASON_COUNT) });
  const batch = new PacketBatch();
  const mine = new PacketBatch();
  let echoed = 0;
  while (echoed < 10) {
    queue.rxBurst(batch);
    for (let i = 0; i < batch.count; i++) {
      const data = batch.data[i];
      if (pool.arena.view.getUint16(data + 12) === ${OUR_TYPE}) mine.pushFrom(batch, i);
      else pool.release(data);
    }
    batch.count = 0;
    echoed += queue.txBurst(mine);
  }
  queue.close();
  if (pool.free !== pool.arena.frames) throw new Error('frames leaked');
`;

test('a worker thread opens a queue from its descriptor', async (context) => {
  requirePrivileges(context, 'tun', 'netns');
  await withPair({}, async (left, right) => {
    const port = new Port(left.queueDescriptor(0));
    const descriptor = right.queueDescriptor(0);
    const core = new URL('../../core/dist/index.js', import.meta.url).href;
    const arena = PacketArena.create({ frames: 64, largeFrames: 2 }).descriptor();
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(ECHO)}`), {
      workerData: { core, descriptor, arena },
      // Without Vitest's own conditions, which lead to TypeScript.
      execArgv: [],
    });
    const ended = new Promise<number>((resolve, reject) => {
      worker.once('exit', resolve);
      worker.once('error', reject);
    });
    const frames = Array.from({ length: 10 }, (_, i) => ethernet({}, raw(OUR_TYPE, pattern(200, i))));
    port.send(...frames);
    expect(await Promise.all([port.receiveMany(10), ended])).toEqual([frames, 0]);
    expect(await right.getStats()).toMatchObject({ txPackets: 10, txBytes: 2140 });
    port.close();
  });
});
