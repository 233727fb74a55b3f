/** What the machine does to a thread that is always ready to run: the latency of packets that it would have had to see to. */

import { fileURLToPath } from 'node:url';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { native } from './native.js';
import { BUCKETS, noteLatency } from './probe-queue.js';

interface Task {
  readonly core: number;
  readonly rate: number;
  readonly ms: number;
  readonly histogram: SharedArrayBuffer;
}

/**
 * Packets by latency in microseconds, of `rate` a second for `ms` milliseconds, on a thread on processor `core` that looks at
 * the clock and at nothing else.
 */
export async function measureNoise(core: number, rate: number, ms: number): Promise<Int32Array> {
  const task: Task = { core, rate, ms, histogram: new SharedArrayBuffer(BUCKETS * 4) };
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: { noise: task } });
  await new Promise<void>((resolve, reject) => {
    worker.on('error', reject);
    worker.on('exit', () => resolve());
  });
  return new Int32Array(task.histogram);
}

function watch({ core, rate, ms, histogram: memory }: Task): void {
  const { clock, pin } = native();
  pin(core);
  const histogram = new Int32Array(memory);
  const now = new Float64Array(1);
  const gap = 1000 / rate;
  clock(now);
  const end = now[0]! + ms;
  for (let due = now[0]!; now[0]! < end; clock(now)) {
    for (; due <= now[0]!; due += gap) noteLatency(histogram, now[0]! - due);
  }
}

const isTask = (data: unknown): data is { readonly noise: Task } =>
  typeof data === 'object' && data !== null && 'noise' in data;

if (!isMainThread && isTask(workerData)) watch(workerData.noise);
