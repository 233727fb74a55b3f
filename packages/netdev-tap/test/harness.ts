/** What the tests of this package share: queues with a pool of their own, and two TAPs joined by a kernel bridge. */

import {
  DROP_REASON_COUNT,
  FramePool,
  type Netdev,
  type NetdevConfig,
  type NetdevQueue,
  PacketArena,
  PacketBatch,
  type QueueDescriptor,
  type QueueResources,
} from '@etherloom/core';
import { Netns } from '@etherloom/testkit';
import { tapBursts } from '../src/binding.js';
import { TapProvider } from '../src/index.js';
import { openQueue } from '../src/queue.js';

export const provider = new TapProvider();

const EPERM = 1;

/** Its queues write as they do where the kernel refuses io_uring to a thread: here `joinRing` alone says so. */
class OneByOneProvider extends TapProvider {
  override openQueue(descriptor: QueueDescriptor, resources: QueueResources): NetdevQueue {
    return openQueue(descriptor, resources, { ...tapBursts(), joinRing: () => -EPERM });
  }
}

/** The ways in which a queue writes, as providers. */
export const WRITES = { 'by io_uring': provider, 'one by one': new OneByOneProvider() } as const;
export type Writes = keyof typeof WRITES;

/** For tests of both. */
export const EACH_WAY: readonly Writes[] = ['by io_uring', 'one by one'];

/** A queue, and the memory that its packets live in. */
export class Port {
  readonly arena: PacketArena;
  readonly pool: FramePool;
  readonly drops = new Float64Array(DROP_REASON_COUNT);
  readonly queue: NetdevQueue;
  readonly batch = new PacketBatch();

  constructor(descriptor: QueueDescriptor, frames = 256, largeFrames = 8, writes: Writes = 'by io_uring') {
    this.arena = PacketArena.create({ frames, largeFrames });
    this.pool = new FramePool(this.arena);
    this.queue = WRITES[writes].openQueue(descriptor, { pool: this.pool, drops: this.drops });
  }

  /** Puts `frames` into the batch and sends it; returns how many the device took. */
  send(...frames: readonly Uint8Array[]): number {
    for (const frame of frames) {
      const data = this.pool.allocFor(frame.length);
      this.arena.bytes.set(frame, data);
      this.batch.push(data, frame.length);
    }
    return this.queue.txBurst(this.batch);
  }

  /** One burst, as copies. */
  receive(): Uint8Array[] {
    this.queue.rxBurst(this.batch);
    return this.take();
  }

  /** Bursts until `wanted` frames came that `accept` likes; rejects after 5 s. */
  async receiveMany(wanted: number, accept: (frame: Uint8Array) => boolean = isOurs): Promise<Uint8Array[]> {
    const frames: Uint8Array[] = [];
    const deadline = Date.now() + 5000;
    while (frames.length < wanted) {
      frames.push(...this.receive().filter(accept));
      if (Date.now() > deadline) throw new Error(`${frames.length} of ${wanted} frames came within 5 s`);
      await new Promise((resolve) => setImmediate(resolve));
    }
    return frames;
  }

  /** Closes the queue; throws when a frame was lost on the way. */
  close(): void {
    this.queue.close();
    const { free, freeLarge } = this.pool;
    if (free !== this.arena.frames || freeLarge !== this.arena.largeFrames) {
      throw new Error(
        `frames leaked: ${free} of ${this.arena.frames} and ${freeLarge} of ${this.arena.largeFrames} are left`,
      );
    }
  }

  /** Empties the batch, into copies. */
  take(): Uint8Array[] {
    const { batch } = this;
    const frames: Uint8Array[] = [];
    for (let i = 0; i < batch.count; i++) {
      const data = batch.data[i] ?? 0;
      frames.push(this.arena.bytes.slice(data, data + (batch.length[i] ?? 0)));
      this.pool.release(data);
    }
    batch.count = 0;
    return frames;
  }
}

/** Local experimental EtherType (IEEE 802): nothing but these tests uses it, while a live link carries the kernel's IPv6. */
export const OUR_TYPE = 0x88b5;

/** Whether `frame` has that EtherType, behind any VLAN tags. */
export function isOurs(frame: Uint8Array): boolean {
  let at = 12;
  const type = (): number => ((frame[at] ?? 0) << 8) | (frame[at + 1] ?? 0);
  while (type() === 0x8100 || type() === 0x88a8) at += 4;
  return type() === OUR_TYPE;
}

/** Two TAPs in a scratch namespace, joined by a kernel bridge: what one sends, the other receives. */
export async function withPair(
  config: NetdevConfig,
  body: (left: Netdev, right: Netdev, netns: Netns) => Promise<void>,
): Promise<void> {
  const netns = await Netns.create();
  const open: Netdev[] = [];
  try {
    await netns.ip('link', 'add', 'bridge', 'type', 'bridge', 'mcast_snooping', '0');
    for (const name of ['left', 'right']) {
      open.push(await provider.open(name, { ...config, netns: netns.name }));
      await netns.ip('link', 'set', name, 'master', 'bridge');
    }
    await netns.ip('link', 'set', 'bridge', 'up');
    const [left, right] = open;
    if (left !== undefined && right !== undefined) await body(left, right, netns);
  } finally {
    for (const netdev of open) await netdev.close();
    await netns.remove();
  }
}
