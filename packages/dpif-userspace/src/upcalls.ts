/**
 * Upcalls: from the packets' path to clients (dpif.h "Upcall Queuing and Ordering").
 *
 * Every port has one queue per handler, and each handler one special queue besides; every queue has its Netlink PID. A
 * packet that missed goes to the queue of its port and of the handler that its flow's hash picks, always the same one.
 * An action goes to the queue whose PID it names. A handler reads its queues in turn, one upcall of each, so that a
 * port with many upcalls delays no other, and fills no queue but its own.
 */

import {
  type ActionProgram,
  DpifError,
  DROP_NO_HANDLER,
  DROP_UPCALL_FULL,
  onAbort,
  type PacketBatch,
  type PacketState,
  PORT_NONE,
  type Upcall,
  type UpcallType,
} from '@etherloom/core';
import { RowForms, W_IN_PORT, W_PACKET_TYPE } from '@etherloom/odp-codec';
import { flowHash } from './flow-hash.js';
import type { UpcallSink } from './pipeline.hot.js';
import { copyOf, type OffloadedPacket, type PacketMemory, packetsOf, sizeOf } from './upcall-packets.js';
import { type UpcallLimits, UpcallQueue } from './upcall-queue.js';

const ACCEPTED = -1;
/** More readers than any machine has processors; each costs a queue for every port. */
export const MAX_HANDLERS = 1024;

interface Waiter {
  readonly max: number;
  readonly resolve: (upcalls: Upcall[]) => void;
}

/** What one client thread reads. */
interface Handler {
  readonly special: UpcallQueue;
  /** Queues that hold something, in the order of their turns. */
  turns: UpcallQueue[];
  readonly waiters: Waiter[];
}

/** Upcalls that no client will read any more, and how many of them are misses. */
export interface Discarded {
  readonly upcalls: number;
  readonly misses: number;
}

const NOTHING: Discarded = { upcalls: 0, misses: 0 };

export class Upcalls implements UpcallSink {
  readonly #memory: PacketMemory;
  readonly #limits: UpcallLimits;
  readonly #forms: RowForms;
  /** The opener that receives upcalls. */
  #owner: object | undefined;
  #handlers: Handler[] = [];
  /** By port number: one queue per handler. */
  readonly #ports = new Map<number, UpcallQueue[]>();
  readonly #byPid = new Map<number, { readonly queue: UpcallQueue; readonly handler: number }>();
  #nextPid = 1;
  #pending = 0;
  /** Of all queues. */
  #bytes = 0;

  /** Keys have up to `vlanLimit` tags, 1 or 2. */
  constructor(memory: PacketMemory, limits: UpcallLimits, vlanLimit: number) {
    this.#forms = new RowForms({ vlanLimit });
    this.#memory = memory;
    this.#limits = limits;
    this.#handlers = [this.#newHandler(0)];
  }

  /** Whether a client takes upcalls. */
  get listening(): boolean {
    return this.#owner !== undefined;
  }

  /** Upcalls that wait in all queues. */
  get pending(): number {
    return this.#pending;
  }

  // --- packets' path

  miss(keys: Int32Array, base: number, batch: PacketBatch, i: number): number {
    if (batch.offload[i] === 0) return this.missed(keys, base, batch.data[i]!, batch.length[i]!);
    return this.pass(keys, base, {
      data: batch.data[i]!,
      length: batch.length[i]!,
      packetType: keys[base + W_PACKET_TYPE]!,
      cut: 0,
      offload: batch.offload[i]!,
      csumStart: batch.csumStart[i]!,
      csumOffset: batch.csumOffset[i]!,
      gsoSize: batch.gsoSize[i]!,
      gsoHeader: batch.gsoHeader[i]!,
    });
  }

  action(keys: Int32Array, base: number, state: PacketState, program: ActionProgram, index: number): number {
    if (this.#owner === undefined) return DROP_NO_HANDLER;
    const { data, length, packetType, offload, csumStart, csumOffset, gsoSize, gsoHeader } = state;
    const cut = state.pendingCut;
    const packet = { data, length, packetType, cut, offload, csumStart, csumOffset, gsoSize, gsoHeader };
    const { pid, userdata, withActions } = program.userspace[index]!;
    return this.pass(keys, base, packet, pid, userdata, withActions ? program.actions : undefined);
  }

  /** Queues a packet in the memory that missed and has no offloads, as almost all. Returns as `miss` does. */
  missed(keys: Int32Array, base: number, data: number, length: number): number {
    if (this.#owner === undefined) return DROP_NO_HANDLER;
    const handler = this.#handlerOf(keys, base);
    const queue = this.#queueOf(keys[base + W_IN_PORT]! >>> 0, handler);
    if (!this.#takes(queue, 1, length)) return DROP_UPCALL_FULL;
    const packet = copyOf(this.#memory, data, length);
    this.#push(queue, { type: 'miss', packet, key: this.#forms.key(keys, base), pid: queue.pid });
    this.#list(queue, handler);
    return ACCEPTED;
  }

  /**
   * Queues a packet in the memory: one that missed, or with `pid` one of an action, with the action's argument and the
   * flow's actions where there are any. Returns as `miss` does.
   */
  pass(
    keys: Int32Array,
    base: number,
    packet: OffloadedPacket,
    pid?: number,
    userdata?: Uint8Array,
    actions?: Uint8Array,
  ): number {
    if (this.#owner === undefined) return DROP_NO_HANDLER;
    let target = pid === undefined ? undefined : this.#byPid.get(pid);
    if (target === undefined) {
      // Of an action: no queue has this PID (0, or a port that is gone), and the port's own queue is better than losing it.
      const handler = this.#handlerOf(keys, base);
      target = { queue: this.#queueOf(keys[base + W_IN_PORT]! >>> 0, handler), handler };
    }
    const type = pid === undefined ? 'miss' : 'action';
    return this.#take(target.queue, target.handler, packet, keys, base, type, userdata, actions);
  }

  /** Hands out what came in to those who wait for it, after a burst; returns whether anybody got something. */
  deliver(): boolean {
    if (this.#pending === 0) return false;
    let delivered = false;
    for (const handler of this.#handlers) {
      while (handler.waiters.length > 0 && handler.turns.length > 0) {
        const { max, resolve } = handler.waiters.shift()!;
        resolve(this.#hand(handler, max));
        delivered = true;
      }
    }
    return delivered;
  }

  // --- ports

  addPort(portNo: number): void {
    this.#ports.set(
      portNo,
      this.#handlers.map((_, handler) => this.#newQueue(handler)),
    );
  }

  /** Forgets the queues of a port; returns what was lost with them. */
  removePort(portNo: number): Discarded {
    const queues = this.#ports.get(portNo) ?? [];
    let upcalls = 0;
    let misses = 0;
    queues.forEach((queue, i) => {
      this.#pending -= queue.length;
      this.#bytes -= queue.bytes;
      upcalls += queue.length;
      misses += queue.purge();
      const handler = this.#handlers[i]!;
      handler.turns = handler.turns.filter((other) => other !== queue);
      this.#byPid.delete(queue.pid);
    });
    this.#ports.delete(portNo);
    return { upcalls, misses };
  }

  /** The PID of port `portNo` (which exists) that `hash` picks; PORT_NONE stands for the special queues. */
  pid(portNo: number, hash: number): number {
    const handler = (hash >>> 0) % this.#handlers.length;
    return portNo === PORT_NONE
      ? this.#handlers[handler]!.special.pid
      : this.#ports.get(portNo)![handler]!.pid;
  }

  /** The PID of the queue for a packet that missed, or with `pid` for one of an action; -1 while nobody takes upcalls. */
  target(keys: Int32Array, base: number, pid?: number): number {
    if (this.#owner === undefined) return -1;
    if (pid !== undefined && this.#byPid.has(pid)) return pid;
    return this.#queueOf(keys[base + W_IN_PORT]! >>> 0, this.#handlerOf(keys, base)).pid;
  }

  // --- clients

  /** Turns upcalls to `owner` on or off; returns what is lost. EBUSY when another opener receives them. */
  set(owner: object, enable: boolean): Discarded {
    if (enable) {
      if (this.#owner !== undefined && this.#owner !== owner) {
        throw new DpifError(
          'EBUSY',
          'another handle on this datapath receives upcalls; only one can at a time, so turn it off there first',
        );
      }
      this.#owner = owner;
      return NOTHING;
    }
    if (this.#owner !== owner) return NOTHING;
    this.#owner = undefined;
    for (const handler of this.#handlers) dismiss(handler);
    return this.purge();
  }

  /**
   * Sets the number of handlers, EINVAL for too many. A change purges, and returns what is lost; handlers that stay keep their
   * queues and PIDs.
   */
  setHandlers(count: number): Discarded {
    if (count > MAX_HANDLERS) {
      throw new DpifError(
        'EINVAL',
        `${count} upcall handlers are too many; this datapath has up to ${MAX_HANDLERS}`,
      );
    }
    const before = this.#handlers.length;
    if (count === before) return NOTHING;
    const lost = this.purge();
    for (let i = before; i < count; i++) {
      this.#handlers.push(this.#newHandler(i));
      for (const queues of this.#ports.values()) queues.push(this.#newQueue(i));
    }
    for (const handler of this.#handlers.splice(count)) {
      dismiss(handler);
      this.#byPid.delete(handler.special.pid);
    }
    for (const queues of this.#ports.values()) {
      for (const queue of queues.splice(count)) this.#byPid.delete(queue.pid);
    }
    return lost;
  }

  /** The next upcall for `owner`'s handler `index`; undefined when there is none, no such handler, or it is another's. */
  recv(owner: object, index: number): Upcall | undefined {
    const handler = this.#handlers[index];
    if (this.#owner !== owner || handler === undefined) return undefined;
    return this.#hand(handler, 1)[0];
  }

  /**
   * Waits for upcalls. Empty when `signal` aborts, upcalls are off (or another's), or the handler goes away. EINVAL
   * for a handler that does not exist and for a `max` below 1.
   */
  async recvBatch(owner: object, index: number, max: number, signal?: AbortSignal): Promise<Upcall[]> {
    if (!(max >= 1)) throw new DpifError('EINVAL', `a batch of at most ${max} upcalls: give 1 or more`);
    const handler = this.#handlers[index];
    if (handler === undefined) {
      throw new DpifError(
        'EINVAL',
        `there is no upcall handler ${index}: this datapath has ${this.#handlers.length}, counted from 0`,
      );
    }
    if (this.#owner !== owner || signal?.aborted === true) return [];
    if (handler.turns.length > 0 && handler.waiters.length === 0) return this.#hand(handler, max);
    return new Promise((resolve) => {
      const waiter: Waiter = {
        max,
        resolve: (upcalls) => {
          forget?.();
          resolve(upcalls);
        },
      };
      const abort = (): void => {
        handler.waiters.splice(handler.waiters.indexOf(waiter), 1);
        waiter.resolve([]);
      };
      const forget = signal && onAbort(signal, abort);
      handler.waiters.push(waiter);
    });
  }

  /** Discards what is queued, and returns it. */
  purge(): Discarded {
    const upcalls = this.#pending;
    let misses = 0;
    for (const handler of this.#handlers) {
      for (const queue of handler.turns) {
        misses += queue.purge();
        queue.listed = false;
      }
      handler.turns = [];
    }
    this.#pending = 0;
    this.#bytes = 0;
    return { upcalls, misses };
  }

  // --- inside

  #handlerOf(keys: Int32Array, base: number): number {
    const count = this.#handlers.length;
    return count === 1 ? 0 : (flowHash(keys, base) >>> 0) % count;
  }

  /** A packet from a port that does not exist can come only from a client's execute: it goes to the special queue. */
  #queueOf(portNo: number, handler: number): UpcallQueue {
    return this.#ports.get(portNo)?.[handler] ?? this.#handlers[handler]!.special;
  }

  /** Queues the packet as upcalls, all segments of a super-packet or none. */
  #take(
    queue: UpcallQueue,
    handler: number,
    packet: OffloadedPacket,
    keys: Int32Array,
    base: number,
    type: UpcallType,
    userdata?: Uint8Array,
    actions?: Uint8Array,
  ): number {
    const [packets, bytes] = sizeOf(packet);
    if (!this.#takes(queue, packets, bytes)) return DROP_UPCALL_FULL;
    for (const one of packetsOf(this.#memory, packet)) {
      this.#push(queue, upcallOf(type, one, this.#forms.key(keys, base), queue.pid, userdata, actions));
    }
    this.#list(queue, handler);
    return ACCEPTED;
  }

  /** The handler shall know that the queue has something. */
  #list(queue: UpcallQueue, handler: number): void {
    if (queue.listed) return;
    queue.listed = true;
    this.#handlers[handler]!.turns.push(queue);
  }

  #takes(queue: UpcallQueue, packets: number, bytes: number): boolean {
    return queue.hasRoom(packets, bytes) && this.#hasShare(queue, bytes);
  }

  #push(queue: UpcallQueue, upcall: Upcall): void {
    this.#bytes += queue.push(upcall);
    this.#pending++;
  }

  /** Whether `bytes` more are within the limit for all queues, or in an equal share of it. An empty queue takes a packet. */
  #hasShare(queue: UpcallQueue, bytes: number): boolean {
    const limit = this.#limits.upcallTotalBytes;
    return (
      queue.length === 0 || this.#bytes + bytes <= limit || queue.bytes + bytes <= limit / this.#byPid.size
    );
  }

  #hand(handler: Handler, max: number): Upcall[] {
    const upcalls: Upcall[] = [];
    while (upcalls.length < max) {
      const queue = handler.turns.shift();
      if (queue === undefined) break;
      const before = queue.bytes;
      upcalls.push(queue.shift());
      this.#bytes -= before - queue.bytes;
      if (queue.length > 0) handler.turns.push(queue);
      else queue.listed = false;
    }
    this.#pending -= upcalls.length;
    return upcalls;
  }

  #newHandler(index: number): Handler {
    return { special: this.#newQueue(index), turns: [], waiters: [] };
  }

  #newQueue(handler: number): UpcallQueue {
    while (this.#nextPid === 0 || this.#byPid.has(this.#nextPid)) this.#nextPid = (this.#nextPid + 1) >>> 0;
    const queue = new UpcallQueue(this.#nextPid, this.#limits);
    this.#byPid.set(queue.pid, { queue, handler });
    this.#nextPid = (this.#nextPid + 1) >>> 0;
    return queue;
  }
}

function dismiss(handler: Handler): void {
  for (const waiter of handler.waiters.splice(0)) waiter.resolve([]);
}

/** Copies what it is given but packet and key, which are the client's already. */
function upcallOf(
  type: UpcallType,
  packet: Uint8Array,
  key: Uint8Array,
  pid: number,
  userdata: Uint8Array | undefined,
  actions: Uint8Array | undefined,
): Upcall {
  if (userdata === undefined && actions === undefined) return { type, packet, key, pid };
  return {
    type,
    packet,
    key,
    pid,
    ...(userdata !== undefined && { userdata: userdata.slice() }),
    ...(actions !== undefined && { actions: actions.slice() }),
  };
}
