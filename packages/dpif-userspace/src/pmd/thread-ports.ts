/** The ports of one poll-mode thread: what the control thread's messages say, done to the thread's queues and output. */

import {
  DpifError,
  type FramePool,
  type NetdevQueue,
  OFFLOAD_UNFINISHED,
  PacketBatch,
  type QueueDescriptor,
  type QueueModule,
} from '@etherloom/core/data';
import { addTap, removeTap } from '../capture/taps.js';
import type { Output } from '../output.hot.js';
import type { Port } from '../port.hot.js';
import type { PollLoop } from './loop.hot.js';
import type { Message, Transmit } from './messages.js';
import { RelayReceiver, RelaySender, type Ringer } from './relay.hot.js';
import { SharedRing } from './ring.hot.js';

type AddPort = Extract<Message, { readonly type: 'addPort' }>;

interface OpenQueue {
  readonly queue: NetdevQueue;
  /** Someone says on another thread when packets wait. */
  readonly announced: boolean;
}

interface ThreadPort {
  readonly port: Port;
  /** Queues that the thread polls, by index. */
  readonly queues: Map<number, OpenQueue>;
}

export class ThreadPorts {
  readonly #pool: FramePool;
  readonly #output: Output;
  readonly #loop: PollLoop;
  readonly #portlessDrops: Float64Array;
  readonly #hand: Float64Array;
  readonly #native: Ringer;
  readonly #doorbell: number;
  readonly #ports = new Map<number, ThreadPort>();
  readonly #modules = new Map<string, QueueModule>();
  /** Rings to other threads: one end each, for all ports that they send for. */
  readonly #rings = new Map<number, SharedRing>();

  /** `hand`: HAND_* of the thread. */
  constructor(
    pool: FramePool,
    output: Output,
    loop: PollLoop,
    portlessDrops: Float64Array,
    hand: Float64Array,
    native: Ringer,
    doorbell: number,
  ) {
    this.#pool = pool;
    this.#output = output;
    this.#loop = loop;
    this.#portlessDrops = portlessDrops;
    this.#hand = hand;
    this.#native = native;
    this.#doorbell = doorbell;
    this.refreshDescriptors();
  }

  /** Does what a message says. The loop must not run meanwhile, except while the promise of `load` is pending. */
  handle(message: Message): void {
    switch (message.type) {
      case 'addPort':
        this.#add(message);
        break;
      case 'removePort':
        this.#remove(message.portNo);
        break;
      case 'openQueue': {
        const port = this.#ports.get(message.portNo)!;
        port.queues.set(message.descriptor.index, this.#open(message.descriptor, port.port.drops));
        break;
      }
      case 'closeQueue': {
        const { queues } = this.#ports.get(message.portNo)!;
        queues.get(message.index)?.queue.close();
        queues.delete(message.index);
        break;
      }
      case 'relay':
        this.#loop.relays = [
          ...this.#loop.relays,
          new RelayReceiver(
            new SharedRing(message.ring),
            this.#pool,
            this.#output,
            this.#portlessDrops,
            this.#hand,
          ),
        ];
        break;
      case 'addTap':
        addTap(this.#output, this.#pool.arena, message.spec, message.memory);
        break;
      case 'removeTap':
        removeTap(this.#output, message.id);
        break;
    }
    this.#refresh();
  }

  /** Loads the drivers that a message names, so that `handle` need not wait. */
  async load(message: Message): Promise<void> {
    const descriptors: QueueDescriptor[] = [];
    if (message.type === 'openQueue') descriptors.push(message.descriptor);
    if (message.type === 'addPort') {
      descriptors.push(...message.queues);
      if (message.transmit.kind !== 'relay') descriptors.push(message.transmit.descriptor);
    }
    for (const { module } of descriptors) {
      if (!this.#modules.has(module)) this.#modules.set(module, await importDriver(module));
    }
  }

  /** Closes everything. */
  close(): void {
    for (const portNo of [...this.#ports.keys()]) this.#remove(portNo);
    this.#refresh();
  }

  /** Receive queues that have a file descriptor. */
  get descriptors(): number {
    return this.#loop.fds.length - 1;
  }

  /** Watches again descriptors that had an error. */
  refreshDescriptors(): void {
    const fds = this.#queues().flatMap(({ queue }) => (queue.pollFd >= 0 ? [queue.pollFd] : []));
    this.#loop.fds = Int32Array.from([this.#doorbell, ...fds]);
  }

  #queues(): OpenQueue[] {
    return [...this.#ports.values()].flatMap(({ queues }) => [...queues.values()]);
  }

  #refresh(): void {
    this.refreshDescriptors();
    this.#loop.queues = [...this.#ports.values()].flatMap(({ port, queues }) =>
      [...queues.values()].map(({ queue }) => ({ port, queue, vain: 0 })),
    );
    this.#loop.restless = this.#queues().some(({ queue, announced }) => queue.pollFd < 0 && !announced);
  }

  #add({ portNo, drops: memory, queues: descriptors, transmit, txOffloads }: AddPort): void {
    const drops = new Float64Array(memory);
    const queues = new Map<number, OpenQueue>();
    try {
      for (const descriptor of descriptors) queues.set(descriptor.index, this.#open(descriptor, drops));
      const port: Port = {
        portNo,
        drops,
        txBatch: new PacketBatch(),
        txQueue: this.#transmitter(portNo, drops, queues, transmit),
        // What another thread sends is for that thread to resolve, if it must.
        txOffloads: transmit.kind === 'relay' ? OFFLOAD_UNFINISHED : txOffloads,
      };
      this.#output.add(port);
      this.#ports.set(portNo, { port, queues });
    } catch (error) {
      for (const { queue } of queues.values()) queue.close();
      throw error;
    }
  }

  #remove(portNo: number): void {
    const entry = this.#ports.get(portNo);
    if (entry === undefined) return;
    this.#ports.delete(portNo);
    this.#output.remove(entry.port);
    for (const { queue } of entry.queues.values()) queue.close();
    entry.port.txQueue.close();
  }

  #open(descriptor: QueueDescriptor, drops: Float64Array): OpenQueue {
    const module = this.#modules.get(descriptor.module)!;
    const queue = module.openQueue(descriptor, { pool: this.#pool, drops });
    return { queue, announced: descriptor.ready !== undefined };
  }

  #transmitter(
    portNo: number,
    drops: Float64Array,
    queues: ReadonlyMap<number, OpenQueue>,
    transmit: Transmit,
  ): NetdevQueue {
    if (transmit.kind === 'half') return this.#open(transmit.descriptor, drops).queue;
    if (transmit.kind === 'queue') return queues.get(transmit.descriptor.index)!.queue;
    const { to, ring, control, doorbell } = transmit;
    const end = this.#rings.get(to) ?? new SharedRing(ring);
    this.#rings.set(to, end);
    return new RelaySender(portNo, this.#pool, drops, end, new Int32Array(control), doorbell, this.#native);
  }
}

async function importDriver(url: string): Promise<QueueModule> {
  let module: unknown;
  try {
    module = await import(url);
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new DpifError('ENOSYS', `the driver module ${url} cannot be loaded in a thread (${reason})`, {
      cause: error,
    });
  }
  if (isQueueModule(module)) return module;
  throw new DpifError(
    'ENOSYS',
    `the driver module ${url} exports no openQueue(), as every I/O driver's does for threads`,
  );
}

const isQueueModule = (module: unknown): module is QueueModule =>
  typeof module === 'object' &&
  module !== null &&
  'openQueue' in module &&
  typeof module.openQueue === 'function';
