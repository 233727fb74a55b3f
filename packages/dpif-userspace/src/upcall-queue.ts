/** One upcall queue: first in, first out, bounded by count and by bytes, with a Netlink PID that names it. */

import type { Upcall } from '@etherloom/core';

export interface UpcallLimits {
  /** Most upcalls in one queue; default 512. */
  readonly upcalls: number;
  /** Most bytes of packets and keys in one queue; default 1 MiB. The first packet always fits. */
  readonly upcallBytes: number;
  /**
   * Bytes in all queues of the datapath from which on a queue may hold only its equal share of as much again; default
   * 64 MiB. So all together hold no more than twice this, however many ports there are and however long the client sleeps.
   */
  readonly upcallTotalBytes: number;
}

/** What an upcall costs besides its packet and key: three objects and a slot. */
const OVERHEAD = 200;

export class UpcallQueue {
  /** 32 bits, not 0, unique in the datapath. */
  readonly pid: number;
  /** Whether the handler knows that this queue has something; maintained by the handler. */
  listed = false;
  readonly #limits: UpcallLimits;
  #items: Upcall[] = [];
  #head = 0;
  #bytes = 0;

  constructor(pid: number, limits: UpcallLimits) {
    this.pid = pid;
    this.#limits = limits;
  }

  get length(): number {
    return this.#items.length - this.#head;
  }

  /** Bytes that count. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Whether `packets` upcalls with packets of `bytes` together may still come in. */
  hasRoom(packets: number, bytes: number): boolean {
    const { length } = this;
    if (length === 0) return packets <= Math.max(this.#limits.upcalls, 1);
    return (
      length + packets <= this.#limits.upcalls &&
      this.#bytes + bytes + packets * OVERHEAD <= this.#limits.upcallBytes
    );
  }

  /** Returns how many bytes more count. */
  push(upcall: Upcall): number {
    const bytes = cost(upcall);
    this.#items.push(upcall);
    this.#bytes += bytes;
    return bytes;
  }

  /** The oldest upcall. The queue is not empty. */
  shift(): Upcall {
    const upcall = this.#items[this.#head++]!;
    this.#bytes -= cost(upcall);
    if (this.#head === this.#items.length) {
      this.#items = [];
      this.#head = 0;
    } else if (this.#head >= 64 && this.#head * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return upcall;
  }

  /** Discards everything; returns how many misses there were. */
  purge(): number {
    let misses = 0;
    for (let i = this.#head; i < this.#items.length; i++) if (this.#items[i]!.type === 'miss') misses++;
    this.#items = [];
    this.#head = 0;
    this.#bytes = 0;
    return misses;
  }
}

function cost(upcall: Upcall): number {
  return upcall.packet.length + upcall.key.length + OVERHEAD;
}
