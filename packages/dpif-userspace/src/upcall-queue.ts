/** One upcall queue: first in, first out, bounded by count and by bytes, with a Netlink PID that names it. */

import type { Upcall } from '@etherloom/core';

export interface UpcallLimits {
  /** Most upcalls in one queue; default 512. */
  readonly upcalls: number;
  /** Most bytes of packets and keys in one queue; default 1 MiB. The first upcall always fits. */
  readonly upcallBytes: number;
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

  /** Whether an upcall with a packet of `bytes` may still come in. */
  hasRoom(bytes: number): boolean {
    const { length } = this;
    if (length === 0) return true;
    return length < this.#limits.upcalls && this.#bytes + bytes + OVERHEAD <= this.#limits.upcallBytes;
  }

  push(upcall: Upcall): void {
    this.#items.push(upcall);
    this.#bytes += cost(upcall);
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

  /** Discards everything; returns how many there were. */
  purge(): number {
    const { length } = this;
    this.#items = [];
    this.#head = 0;
    this.#bytes = 0;
    return length;
  }
}

function cost(upcall: Upcall): number {
  return upcall.packet.length + upcall.key.length + OVERHEAD;
}
