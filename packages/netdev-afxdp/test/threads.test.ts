/** Queues in other threads: sending from several, and a thread that ends without closing what it opened. */

import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { PacketArena, type QueueDescriptor } from '@etherloom/core';
import { hex } from '@etherloom/testkit';
import { expect, it } from 'vitest';
import { AfpacketProvider, AfxdpProvider } from '../src/index.js';
import { frameOf, missing, Port, withVeths } from './harness.js';

const noAfxdp = await missing('afxdp');
const noPacket = await missing('afpacket');

/** Plain JavaScript, since threads know no TypeScript: opens a queue, sends `frames`, and stays there. */
const SENDER = `
  import { parentPort, workerData } from 'node:worker_threads';
  const { core, descriptor, arena: memory, frames } = workerData;
  const { DROP_REASON_COUNT, FramePool, PacketArena, PacketBatch } = await import(core);
  const { openQueue } = await import(descriptor.module);
  const pool = new FramePool(PacketArena.attach(memory));
  const queue = openQueue(descriptor, { pool, drops: new Float64Array(DROP_REASON_COUNT) });
  const batch = new PacketBatch();
  for (const frame of frames) {
    const at = pool.alloc();
    pool.arena.bytes.set(frame, at);
    batch.push(at, frame.length);
  }
  parentPort.postMessage(queue.txBurst(batch));
  setInterval(() => queue.rxBurst(batch), 1000);
`;

async function sender(descriptor: QueueDescriptor, frames: readonly Uint8Array[]): Promise<Worker> {
  const core = new URL('../../core/dist/index.js', import.meta.url).href;
  const arena = PacketArena.create({ frames: 128, largeFrames: 1 }).descriptor();
  const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(SENDER)}`), {
    workerData: { core, descriptor, arena, frames },
    // Without Vitest's own conditions, which lead to TypeScript.
    execArgv: [],
  });
  expect(await once(worker, 'message')).toEqual([frames.length]);
  return worker;
}

it('several threads send through one packet socket, and the device counts for all', async (context) => {
  if (noPacket !== undefined) context.skip(noPacket);
  await withVeths(1, async (netns) => {
    const provider = new AfpacketProvider();
    const device = await provider.open('v0', { netns: netns.name });
    const far = await provider.open('p0', { netns: netns.name });
    const receiver = new Port(far);
    const sent = [0, 1, 2].map((thread) => [frameOf(60 + thread, thread), frameOf(100 + thread, thread)]);
    const descriptors = sent.map(() => device.transmitDescriptor?.() ?? device.queueDescriptor(0));
    const workers = await Promise.all(descriptors.map((descriptor, i) => sender(descriptor, sent[i] ?? [])));
    const received = (await receiver.receiveMany(6)).map(hex);
    expect(received.sort()).toEqual(sent.flat().map(hex).sort());
    expect(await device.getStats()).toMatchObject({ txPackets: 6, txBytes: 486 });
    expect(() => device.queueDescriptor(1)).toThrow(expect.objectContaining({ code: 'EINVAL' }));
    for (const worker of workers) await worker.terminate();
    receiver.queue.close();
    await device.close();
    await far.close();
  });
});

it('the queue of a thread that was ended is free again', async (context) => {
  if (noAfxdp !== undefined) context.skip(noAfxdp);
  await withVeths(1, async (netns) => {
    const provider = new AfxdpProvider();
    const device = await provider.open('v0', { netns: netns.name });
    const far = await provider.open('p0', { netns: netns.name });
    const receiver = new Port(far);
    const worker = await sender(device.queueDescriptor(0), [frameOf(60)]);
    await receiver.receiveMany(1);
    await worker.terminate();
    device.reclaimQueue?.(0);
    expect(await device.getStats()).toMatchObject({ txPackets: 1, rxDropped: 0 });
    const port = new Port(device);
    receiver.send(frameOf(70));
    expect((await port.receiveMany(1)).map(hex)).toEqual([hex(frameOf(70))]);
    port.queue.close();
    receiver.queue.close();
    await device.close();
    await far.close();
  });
});
