/**
 * Which subtables the flows of each port are in: a packet is looked up in those only. Control path; lookups read it
 * through `PortView`.
 */

import { W_IN_PORT } from '@etherloom/odp-codec/data';
import type { MutableSubtable, PortCount } from '../subtable.js';
import type { BurstCode, BurstMemory, PortSubtables, PortView } from './burst-lookup.hot.js';
import { BurstCodes } from './codegen.js';
import type { CompactTerms } from './compact.hot.js';

/** How much more often than the one before it a subtable must be hit to take its place: new order is new code. */
const OVERTAKE = 1.25;

const NO_HITS = new Float64Array(0);

class Port implements PortSubtables {
  user: BurstMemory | undefined;
  subtables: readonly MutableSubtable[] = [];
  hits: Float64Array = NO_HITS;
  code: BurstCode | undefined;
  terms: CompactTerms | undefined;
  cold = 0;
  /** How many flows of this port each subtable has. */
  readonly flows = new Map<MutableSubtable, PortCount>();
  readonly #anyPort: ReadonlySet<MutableSubtable>;
  readonly #codes: BurstCodes;

  constructor(anyPort: ReadonlySet<MutableSubtable>, codes: BurstCodes) {
    this.#anyPort = anyPort;
    this.#codes = codes;
  }

  refresh(user: BurstMemory): void {
    this.#relist();
    this.user = user;
    this.cold = 0;
    this.#getCode(user, false);
  }

  order(): readonly MutableSubtable[] {
    if (this.user === undefined) this.#relist();
    return this.subtables;
  }

  /** Subtables that stay keep their order, and new ones come last. */
  #relist(): void {
    const now = new Set([...this.flows.keys(), ...this.#anyPort]);
    const before = this.subtables;
    const stay = before.filter((subtable) => now.has(subtable));
    this.subtables = [...new Set([...stay, ...now])];
    this.hits = Float64Array.from(this.subtables, (subtable) => this.hits[before.indexOf(subtable)] ?? 0);
  }

  compile(): void {
    if (this.user !== undefined) this.#getCode(this.user, true);
  }

  /** Orders the subtables by recent hits, where that changes much. */
  rank(): void {
    const { hits, subtables } = this;
    if (hits.some((count, i) => i > 0 && count > hits[i - 1]! * OVERTAKE)) {
      const order = [...hits.keys()].sort((a, b) => hits[b]! - hits[a]!);
      this.subtables = order.map((position) => subtables[position]!);
      this.hits = Float64Array.from(order, (position) => hits[position]!);
      this.user = undefined;
    }
    for (let i = 0; i < this.hits.length; i++) this.hits[i] = Math.floor(this.hits[i]! / 2);
  }

  #getCode(user: BurstMemory, make: boolean): void {
    const generated = this.#codes.get(this.subtables, user, make);
    this.code = generated?.code;
    this.terms = generated?.terms;
  }
}

export class PortTables implements PortView {
  readonly byPort = new Map<number, Port>();
  readonly others: Port;
  /** Subtables whose mask leaves in_port open, in whole or in part: for packets from any port. */
  readonly #anyPort = new Set<MutableSubtable>();
  readonly #codes: BurstCodes;

  /** `factors`: the hash factors of all subtables. */
  constructor(factors: Int32Array) {
    this.#codes = new BurstCodes(factors);
    this.others = new Port(this.#anyPort, this.#codes);
  }

  /** A flow from `inPort` was added to `subtable`. */
  added(subtable: MutableSubtable, inPort: number): void {
    const last = subtable.lastPort;
    if (last !== undefined && last.inPort === inPort) {
      last.flows++;
      return;
    }
    if (subtable.mask[W_IN_PORT] !== -1) {
      if (this.#anyPort.has(subtable)) return;
      this.#anyPort.add(subtable);
      this.#refreshAll();
      return;
    }
    let port = this.byPort.get(inPort);
    if (port === undefined) {
      port = new Port(this.#anyPort, this.#codes);
      this.byPort.set(inPort, port);
    }
    let count = port.flows.get(subtable);
    if (count === undefined) {
      count = { inPort, flows: 0 };
      port.flows.set(subtable, count);
      port.user = undefined;
    }
    count.flows++;
    subtable.lastPort = count;
  }

  /** A flow from `inPort` was removed from `subtable`. */
  removed(subtable: MutableSubtable, inPort: number): void {
    if (subtable.mask[W_IN_PORT] !== -1) {
      if (subtable.count > 0) return;
      this.#anyPort.delete(subtable);
      this.#refreshAll();
      return;
    }
    const last = subtable.lastPort;
    if (last !== undefined && last.inPort === inPort && last.flows > 1) {
      last.flows--;
      return;
    }
    const port = this.byPort.get(inPort)!;
    const count = port.flows.get(subtable)!;
    subtable.lastPort = count;
    if (--count.flows > 0) return;
    subtable.lastPort = undefined;
    port.flows.delete(subtable);
    if (port.flows.size === 0) this.byPort.delete(inPort);
    else port.user = undefined;
  }

  clear(): void {
    this.byPort.clear();
    this.#anyPort.clear();
    this.others.user = undefined;
  }

  /** Orders the subtables of each port by recent hits. */
  rank(): void {
    for (const port of this.byPort.values()) port.rank();
    this.others.rank();
  }

  #refreshAll(): void {
    for (const port of this.byPort.values()) port.user = undefined;
    this.others.user = undefined;
  }
}
