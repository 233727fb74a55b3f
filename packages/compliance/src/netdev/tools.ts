/** The tools that the cases share: frames, an open queue with memory of its own, waiting, expected errors. */

import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import {
  DROP_REASON_COUNT,
  DROP_REASONS,
  type ErrnoCode,
  FramePool,
  isDpifError,
  type NetdevQueue,
  type NetdevRef,
  PacketArena,
  PacketBatch,
} from '@etherloom/core';
import type { FarEnd, NetdevFixture } from './fixture.js';

/** Bytes of a frame that the MTU does not count; VLAN tags are others. */
export const ETH_HEADER = 14;
/** IEEE 802's first local experimental EtherType: marks the suite's frames among a live wire's others. */
const OUR_TYPE = 0x88b5;

/** A frame with `tags` VLAN tags in front of its type and a payload that depends on `seed`, cut off at `length` bytes. */
export function frameOf(length: number, seed = 0, tags = 0): Uint8Array {
  const frame = Uint8Array.from({ length }, (_, i) => (i * 7 + seed) % 251);
  const header = [0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1];
  for (let tag = 0; tag < tags; tag++)
    header.push(tag === tags - 1 ? 0x81 : 0x88, tag === tags - 1 ? 0 : 0xa8, 0, 5 + tag);
  frame.set([...header, OUR_TYPE >> 8, OUR_TYPE & 0xff].slice(0, length));
  return frame;
}

export function isOurs(frame: Uint8Array): boolean {
  let at = 12;
  const type = (): number => ((frame[at] ?? 0) << 8) | (frame[at + 1] ?? 0);
  while (type() === 0x8100 || type() === 0x88a8) at += 4;
  return type() === OUR_TYPE;
}

/** Frames of the suite are equal: says which one differs, not all their bytes. */
export function sameFrames(actual: readonly Uint8Array[], expected: readonly Uint8Array[]): void {
  const lengths = (frames: readonly Uint8Array[]): number[] => frames.map((frame) => frame.length);
  assert.deepEqual(lengths(actual), lengths(expected), 'lengths of the frames, in order');
  for (const [i, frame] of expected.entries()) {
    assert.ok(Buffer.compare(actual[i] ?? new Uint8Array(), frame) === 0, `frame ${i} came with other bytes`);
  }
}

/** An open queue with memory of its own; `close` checks that every frame came back. */
export class Port {
  readonly pool: FramePool;
  readonly drops = new Float64Array(DROP_REASON_COUNT);
  readonly queue: NetdevQueue;
  readonly batch: PacketBatch;

  constructor(
    ref: NetdevRef,
    options: { frames?: number; largeFrames?: number; batch?: number; index?: number } = {},
  ) {
    const { frames = 256, largeFrames = 8, batch = 32, index = 0 } = options;
    this.pool = new FramePool(PacketArena.create({ frames, largeFrames }));
    this.batch = new PacketBatch(batch);
    this.queue = ref.openQueue(ref.netdev.queueDescriptor(index), { pool: this.pool, drops: this.drops });
  }

  /** Fills the batch with copies of `frames`. */
  load(frames: readonly Uint8Array[]): PacketBatch {
    for (const frame of frames) {
      const at = this.pool.allocFor(frame.length);
      assert.ok(at >= 0, 'the suite itself ran out of frames');
      this.pool.arena.bytes.set(frame, at);
      this.batch.push(at, frame.length);
    }
    return this.batch;
  }

  /** Sends `frames` in bursts of the batch's capacity; returns how many the device took. */
  transmit(frames: readonly Uint8Array[]): number {
    let taken = 0;
    for (let i = 0; i < frames.length; i += this.batch.capacity) {
      taken += this.queue.txBurst(this.load(frames.slice(i, i + this.batch.capacity)));
      assert.equal(this.batch.count, 0, 'txBurst empties the batch');
    }
    return taken;
  }

  /** Copies of the batch's frames that are ours; all are released. */
  unload(): Uint8Array[] {
    const frames: Uint8Array[] = [];
    for (let i = 0; i < this.batch.count; i++) {
      const at = this.batch.data[i]!;
      frames.push(this.pool.arena.bytes.slice(at, at + this.batch.length[i]!));
      this.pool.release(at);
    }
    this.batch.count = 0;
    return frames.filter(isOurs);
  }

  /** Receives until `count` frames of ours came; fails after 5 s. */
  async receive(count: number): Promise<Uint8Array[]> {
    const frames: Uint8Array[] = [];
    await eventually(`${count} frames are received`, () => {
      this.queue.rxBurst(this.batch);
      frames.push(...this.unload());
      return frames.length >= count;
    });
    return frames;
  }

  /** Drop counters that are not 0, by code. */
  dropped(): Record<string, number> {
    const named = DROP_REASONS.map(({ code }, reason): [string, number] => [code, this.drops[reason]!]);
    return Object.fromEntries(named.filter(([, count]) => count > 0));
  }

  close(): void {
    this.queue.close();
    const { free, freeLarge, arena } = this.pool;
    assert.deepEqual(
      { small: free, large: freeLarge },
      { small: arena.frames, large: arena.largeFrames },
      'every frame is back in the pool when the queue is closed',
    );
  }
}

/** Receives at the far end until `count` frames of ours came; fails after 5 s. */
export async function arrive(far: FarEnd, count: number): Promise<Uint8Array[]> {
  const frames: Uint8Array[] = [];
  await eventually(`${count} frames arrive at the far end`, async () => {
    frames.push(...(await far.receive()).filter(isOurs));
    return frames.length >= count;
  });
  return frames;
}

/** Waits until `check` holds, a turn of the event loop at a time; fails after 5 s. */
export async function eventually(what: string, check: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 5000;
  while (!(await check())) {
    assert.ok(Date.now() < deadline, `within 5 s: ${what}`);
    await turn();
  }
}

/** Rejects with a `DpifError` of that code whose message is a sentence. */
export async function rejects(code: ErrnoCode, promise: Promise<unknown>): Promise<void> {
  await assert.rejects(promise, (error) => {
    assert.ok(isDpifError(error), `a DpifError is demanded, not ${String(error)}`);
    assert.equal(error.code, code);
    assert.ok(error.message.length > 10, `"${error.message}" says too little`);
    return true;
  });
}

/** Opens a device with what it needs on this machine. */
export function open(fixture: NetdevFixture, name = fixture.name()): Promise<NetdevRef> {
  return fixture.registry.open(name, fixture.type, fixture.config);
}

export interface Wire {
  readonly ref: NetdevRef;
  readonly far: FarEnd;
  readonly port: Port;
}

/** A device with an open queue and its far end, for `body`; afterwards all frames must be back. */
export async function wired(
  fixture: NetdevFixture,
  body: (wire: Wire) => Promise<void>,
  options: ConstructorParameters<typeof Port>[1] = {},
): Promise<void> {
  const ref = await open(fixture);
  const far = await fixture.farEnd(ref.netdev);
  const port = new Port(ref, options);
  await body({ ref, far, port });
  port.close();
  await far.close();
  await ref.release();
}
