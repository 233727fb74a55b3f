/** The thread of the suite's worker case: opens a queue from its descriptor alone and sends back what it receives. */

import { parentPort, workerData } from 'node:worker_threads';
import {
  type ArenaDescriptor,
  DROP_REASON_COUNT,
  FramePool,
  PacketArena,
  PacketBatch,
  type QueueDescriptor,
  type QueueModule,
} from '@etherloom/core';

/** What the case passes. */
export interface EchoJob {
  readonly descriptor: QueueDescriptor;
  readonly arena: ArenaDescriptor;
  /** One word: not 0 once the thread shall end. */
  readonly stop: SharedArrayBuffer;
}

const job: EchoJob = workerData;
const module: QueueModule = await import(job.descriptor.module);
const pool = new FramePool(PacketArena.attach(job.arena));
const queue = module.openQueue(job.descriptor, { pool, drops: new Float64Array(DROP_REASON_COUNT) });
const batch = new PacketBatch();
const stop = new Int32Array(job.stop);
parentPort?.postMessage('open');
while (Atomics.load(stop, 0) === 0) {
  if (queue.rxBurst(batch) > 0) queue.txBurst(batch);
  // A poll-mode thread would spin; the test machine has better uses for its core.
  else Atomics.wait(stop, 0, 0, 1);
}
queue.close();
parentPort?.postMessage(
  pool.free === pool.arena.frames && pool.freeLarge === pool.arena.largeFrames ? 'clean' : 'leaked',
);
