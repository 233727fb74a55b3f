/** What one connection has open: datapath handles, dumps, devices, calls that wait. All of it ends with the connection. */

import { remoteMethods } from '@etherloom/cli';
import {
  type Dpif,
  DpifError,
  type DpifPort,
  type FlowDump,
  type NetdevRef,
  type PacketCapture,
} from '@etherloom/core';
import type { Connection } from '../command.js';

/** Handles, devices and dumps (each for itself) that a connection may have open. */
const MAX_OPEN = 256;

/** A dump of one kind or the other. */
export type Dump =
  | { readonly kind: 'ports'; readonly ports: AsyncIterator<DpifPort> }
  | { readonly kind: 'flows'; readonly flows: FlowDump };

/** An open datapath. */
export interface OpenDatapath {
  readonly dpif: Dpif;
  readonly dumps: Numbered<Dump>;
  /** They end with the handle. */
  readonly captures: Numbered<PacketCapture>;
  /** Ends what waits on this handle. */
  readonly closing: AbortController;
  /** Called when the handle is closed. */
  readonly closed: () => Promise<void>;
}

/** Things by the numbers under which the peer knows them. */
export class Numbered<T> {
  readonly #what: string;
  readonly #items = new Map<number, T>();
  #next = 1;

  constructor(what: string) {
    this.#what = what;
  }

  /** EMFILE when there are too many. Ask before making what is to be added. */
  reserve(): void {
    if (this.#items.size >= MAX_OPEN) {
      throw new DpifError(
        'EMFILE',
        `this connection has ${MAX_OPEN} ${this.#what}s open; close one, or open another connection`,
      );
    }
  }

  add(item: T): number {
    this.#items.set(this.#next, item);
    return this.#next++;
  }

  find(number: number): T | undefined {
    return this.#items.get(number);
  }

  /** EBADF. */
  get(number: number): T {
    const item = this.#items.get(number);
    if (item !== undefined) return item;
    throw new DpifError('EBADF', `this connection has no ${this.#what} ${number} open`);
  }

  remove(number: number): void {
    this.#items.delete(number);
  }

  /** Everything; nothing is left. */
  takeAll(): T[] {
    const all = [...this.#items.values()];
    this.#items.clear();
    return all;
  }

  get size(): number {
    return this.#items.size;
  }
}

export class Session {
  readonly datapaths = new Numbered<OpenDatapath>('datapath handle');
  readonly devices = new Numbered<NetdevRef>('device');
  readonly #connection: Connection;
  readonly #waits = new Map<number, AbortController>();

  constructor(connection: Connection) {
    this.#connection = connection;
    connection.ended.addEventListener('abort', () => void this.#close());
  }

  get over(): boolean {
    return this.#connection.ended.aborted;
  }

  /** To be called when something was opened or closed: a connection that uses nothing may be cut off for others. */
  changed(): void {
    this.#connection.inUse = this.datapaths.size > 0 || this.devices.size > 0;
  }

  /** Closes a datapath handle with everything on it. */
  async closeDatapath({ dpif, dumps, closing, closed }: OpenDatapath): Promise<void> {
    closing.abort();
    for (const dump of dumps.takeAll()) await endDump(dump);
    try {
      await dpif.close();
    } finally {
      await closed();
    }
  }

  /** Runs `work` with a signal that aborts when the peer cancels `wait`, or its handle or connection closes. */
  async wait<R>(
    wait: number,
    { closing }: OpenDatapath,
    work: (signal: AbortSignal) => Promise<R>,
  ): Promise<R> {
    if (this.#waits.size >= remoteMethods.MAX_WAITING) {
      throw new DpifError(
        'EMFILE',
        `${this.#waits.size} calls of this connection wait already; open another connection for more`,
      );
    }
    if (this.#waits.has(wait)) throw new DpifError('EEXIST', `a call number ${wait} waits already`);
    const own = new AbortController();
    this.#waits.set(wait, own);
    try {
      return await work(AbortSignal.any([own.signal, closing.signal, this.#connection.ended]));
    } finally {
      this.#waits.delete(wait);
    }
  }

  cancel(wait: number): void {
    this.#waits.get(wait)?.abort();
  }

  async #close(): Promise<void> {
    const devices = this.devices.takeAll();
    const datapaths = this.datapaths.takeAll();
    await Promise.allSettled([
      ...datapaths.map((datapath) => this.closeDatapath(datapath)),
      ...devices.map((device) => device.release()),
    ]);
  }
}

export async function endDump(dump: Dump): Promise<void> {
  if (dump.kind === 'flows') await dump.flows.done();
  else await dump.ports.return?.();
}
