/**
 * What the control thread and a poll-mode thread tell each other besides the rings: how a thread begins, and ports, whose
 * queue descriptors are plain objects. Types only.
 */

import type { MessagePort } from 'node:worker_threads';
import type { ArenaOptions, ClassifierOptions, ErrnoCode, QueueDescriptor } from '@etherloom/core';
import type { TapMemory } from '../capture/source.js';
import type { TapSpec } from '../capture/tap.hot.js';

/** What a thread is made with. */
export interface ThreadInit {
  /** For top(1). */
  readonly title: string;
  readonly cpu: number | undefined;
  readonly arena: ArenaOptions;
  readonly limits: ClassifierOptions;
  /** VLAN tags that are part of a key, 1 or 2. */
  readonly vlanLimit: number;
  /** Shared memory (layout.hot.ts). */
  readonly control: SharedArrayBuffer;
  readonly report: SharedArrayBuffer;
  readonly commands: SharedArrayBuffer;
  readonly replies: SharedArrayBuffer;
  readonly upcalls: SharedArrayBuffer;
  /** Flow statistics (`FlowCounters`), by flow. */
  readonly flows: SharedArrayBuffer;
  /** Drops of packets whose input port does not exist. */
  readonly portlessDrops: SharedArrayBuffer;
  /** What to add to CLOCK_MONOTONIC in milliseconds for the datapath's clock: one double. */
  readonly clock: SharedArrayBuffer;
  readonly doorbell: number;
  readonly port: MessagePort;
}

/** How a thread sends to a port. */
export type Transmit =
  /** By a half of its own. */
  | { readonly kind: 'half'; readonly descriptor: QueueDescriptor }
  /** By a queue that it receives from as well. */
  | { readonly kind: 'queue'; readonly descriptor: QueueDescriptor }
  /** By thread `to`, which has the device's queues, at the other end of `ring`: the same one for all its ports. */
  | {
      readonly kind: 'relay';
      readonly to: number;
      readonly ring: SharedArrayBuffer;
      readonly control: SharedArrayBuffer;
      readonly doorbell: number;
    };

export type Message =
  | {
      readonly type: 'addPort';
      readonly portNo: number;
      /** DROP_REASON_COUNT doubles. */
      readonly drops: SharedArrayBuffer;
      readonly queues: readonly QueueDescriptor[];
      readonly transmit: Transmit;
      /** OFFLOAD_* bits that the device takes. */
      readonly txOffloads: number;
    }
  | { readonly type: 'removePort'; readonly portNo: number }
  | { readonly type: 'openQueue'; readonly portNo: number; readonly descriptor: QueueDescriptor }
  | { readonly type: 'closeQueue'; readonly portNo: number; readonly index: number }
  /** Another thread will send packets for this one's devices through `ring`. */
  | { readonly type: 'relay'; readonly ring: SharedArrayBuffer }
  /** A capture sees packets of this thread from now on, and no longer. */
  | { readonly type: 'addTap'; readonly spec: TapSpec; readonly memory: TapMemory }
  | { readonly type: 'removeTap'; readonly id: number };

export interface Request {
  readonly id: number;
  readonly message: Message;
}

export interface Reply {
  /** Of the request; 0 when the thread has begun. */
  readonly id: number;
  readonly error?: { readonly code: ErrnoCode; readonly message: string };
  /** Receive queues of the thread that have a file descriptor. */
  readonly descriptors: number;
}
