/** Opens the queues of dummy devices on any thread; the module that their descriptors name. */

import {
  DpifError,
  type FramePool,
  type QueueDescriptor,
  type QueueResources,
  watchWord,
} from '@etherloom/core/data';
import { DummyQueue, type ReplaySource } from './queue.hot.js';
import { FrameRing, RING_TAIL } from './ring.hot.js';

/** Frames of a capture in shared memory, as replay.ts loads them. */
export interface ReplayDescriptor {
  readonly frames: SharedArrayBuffer;
  /** Offset (a multiple of BLOCK, see copy.hot.ts) and length of each frame as 32-bit words, one pair behind the other. */
  readonly table: SharedArrayBuffer;
  readonly loops: number;
  readonly shared: boolean;
}

export interface DummyQueueDescriptor extends QueueDescriptor {
  /** STATE_* words of the device (queue.hot.ts). */
  readonly state: SharedArrayBuffer;
  readonly rx: SharedArrayBuffer;
  readonly tx: SharedArrayBuffer;
  /** One word: 1 while the queue is open somewhere. */
  readonly owner: SharedArrayBuffer;
  readonly queues: number;
  readonly replay: ReplayDescriptor | undefined;
}

/** The device's side of a queue, for queues that are opened on the device's own thread. */
export interface LocalDevice {
  opened(queue: DummyQueue): void;
  closed(): void;
}

/** By the queue's rx memory: a clone on another thread is another object, so that thread finds nothing. */
const local = new WeakMap<SharedArrayBuffer, LocalDevice>();

export function registerLocal(rx: SharedArrayBuffer, device: LocalDevice): void {
  local.set(rx, device);
}

/**
 * Opens a queue on the calling thread. Throws EINVAL for a descriptor of another driver, EBUSY while the queue is open
 * (here or elsewhere), ENOBUFS when the pool cannot hold the capture of `replay_shared`.
 */
export function openQueue(descriptor: QueueDescriptor, resources: QueueResources): DummyQueue {
  if (!isDummy(descriptor)) {
    throw new DpifError(
      'EINVAL',
      `queue ${descriptor.index} of "${descriptor.netdev}" is not one of a dummy device`,
    );
  }
  const owner = new Int32Array(descriptor.owner);
  if (Atomics.compareExchange(owner, 0, 0, 1) !== 0) {
    throw new DpifError(
      'EBUSY',
      `queue ${descriptor.index} of "${descriptor.netdev}" is open already: close it first`,
    );
  }
  let replay: ReplaySource | undefined;
  try {
    replay = replaySource(descriptor, resources.pool);
  } catch (error) {
    Atomics.store(owner, 0, 0);
    throw error;
  }
  const device = local.get(descriptor.rx);
  const rx = new FrameRing(descriptor.rx);
  let stop = (): void => undefined;
  const queue = new DummyQueue(
    resources.pool,
    resources.drops,
    new Float64Array(descriptor.counters),
    new Int32Array(descriptor.state),
    rx,
    new FrameRing(descriptor.tx),
    replay,
    () => {
      stop();
      device?.closed();
      Atomics.store(owner, 0, 0);
    },
  );
  if (device !== undefined) device.opened(queue);
  else stop = watchWord(rx.words, RING_TAIL, queue.kick);
  return queue;
}

function isDummy(descriptor: QueueDescriptor): descriptor is DummyQueueDescriptor {
  return 'owner' in descriptor && 'rx' in descriptor && descriptor.rx instanceof SharedArrayBuffer;
}

/** The share of the capture that queue `index` of `queues` receives: every `queues`-th frame. */
function replaySource(descriptor: DummyQueueDescriptor, pool: FramePool): ReplaySource | undefined {
  const { replay, index, queues } = descriptor;
  if (replay === undefined) return undefined;
  const table = new Int32Array(replay.table);
  const all = table.length / 2;
  const count = Math.max(0, Math.ceil((all - index) / queues));
  const offsets = new Int32Array(count);
  const lengths = new Int32Array(count);
  for (let i = 0; i < count; i++) {
    offsets[i] = table[(index + i * queues) * 2]!;
    lengths[i] = table[(index + i * queues) * 2 + 1]!;
  }
  const { loops, shared } = replay;
  const words = new Int32Array(replay.frames);
  if (!shared) return { words, offsets, lengths, shared, loops };

  const bytes = new Uint8Array(replay.frames);
  for (let i = 0; i < count; i++) {
    const frame = pool.allocFor(lengths[i]!);
    if (frame < 0) {
      for (let held = 0; held < i; held++) pool.release(offsets[held]!);
      throw new DpifError(
        'ENOBUFS',
        `the packet buffers hold only ${i} of the ${count} frames that "${descriptor.netdev}" replays: ` +
          'give the arena more frames or leave out replay_shared',
      );
    }
    pool.arena.bytes.set(bytes.subarray(offsets[i]!, offsets[i]! + lengths[i]!), frame);
    offsets[i] = frame;
  }
  return { words, offsets, lengths, shared, loops };
}
