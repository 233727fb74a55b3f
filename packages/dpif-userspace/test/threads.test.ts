/** What docs/dpif.md says of threads: a handle stays in its own, and providers in different threads share nothing. */

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { bench } from './bench.js';

const CHILD = new URL('threads-child.mjs', import.meta.url);

it('datapaths of the same name in several threads forward side by side and share nothing', async () => {
  const counts = [1000, 2000, 3000];
  const answers = counts.map(async (packets) => {
    // Without the parent's loaders and conditions: the thread runs what is built.
    const worker = new Worker(CHILD, { workerData: { packets }, execArgv: [] });
    const [answer] = await once(worker, 'message');
    await once(worker, 'exit');
    return answer;
  });
  const expected = counts.map((packets) => ({ sent: packets, hit: packets, flows: 1 }));
  expect(await Promise.all(answers)).toEqual(expected);
});

it('a handle that is sent to another thread arrives without methods', async () => {
  const rig = await bench();
  expect(Object.keys(structuredClone(rig.dpif)).sort()).toEqual(['baseName', 'name', 'type']);
  await rig.close();
});
