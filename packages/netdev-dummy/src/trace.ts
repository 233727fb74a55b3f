/** A decorator that shows each frame that a driver's queues receive and send. For debugging: copies every frame. */

import type { FramePool, NetdevProvider, NetdevQueue, PacketBatch } from '@etherloom/core';
import { decorate } from './decorate.js';

export interface TraceEvent {
  readonly netdev: string;
  readonly queue: number;
  /** `tx` is a frame given to the device, whether it takes it or not. */
  readonly direction: 'rx' | 'tx';
  /** A copy. */
  readonly frame: Uint8Array;
}

/** `provider` with `sink` called for every frame. What `sink` throws becomes an uncaught exception. */
export function trace(provider: NetdevProvider, sink: (event: TraceEvent) => void): NetdevProvider {
  return decorate(provider, (queue, { netdev, index }, { pool }) => {
    const show = (direction: 'rx' | 'tx', frames: readonly Uint8Array[]): void => {
      for (const frame of frames) {
        try {
          sink({ netdev, queue: index, direction, frame });
        } catch (error) {
          process.nextTick(() => {
            throw error;
          });
        }
      }
    };
    const traced: NetdevQueue = {
      pollFd: queue.pollFd,
      rxBurst(batch) {
        const from = batch.count;
        const received = queue.rxBurst(batch);
        show('rx', copies(pool, batch, from));
        return received;
      },
      txBurst(batch) {
        show('tx', copies(pool, batch, 0));
        return queue.txBurst(batch);
      },
      close: () => queue.close(),
    };
    if (queue.setWake !== undefined) traced.setWake = (wake) => queue.setWake?.(wake);
    return traced;
  });
}

function copies(pool: FramePool, batch: PacketBatch, from: number): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let i = from; i < batch.count; i++) {
    const start = batch.data[i]!;
    frames.push(pool.arena.bytes.slice(start, start + batch.length[i]!));
  }
  return frames;
}
