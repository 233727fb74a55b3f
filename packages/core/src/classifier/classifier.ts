/**
 * The classifier: flows under integer ids, found by exact unmasked key and by masked search.
 *
 * A flow is no object: its key, masked words, and statistics lie in typed arrays by flow id, which is recycled after
 * removal. This class is the control path; `search` is what the packets' path looks up in, and `counters` what it
 * counts in. Everything belongs to one thread.
 */

import { KEY_WORDS, W_IN_PORT } from '@etherloom/odp-codec/data';
import { DpifError } from '../errors.js';
import type { PortView } from './burst/burst-lookup.hot.js';
import { PortTables } from './burst/port-tables.js';
import { FlowCounters } from './counters.hot.js';
import { HashIndex } from './hash-index.js';
import { KeyStore } from './key-store.js';
import { KnownMask } from './known-mask.js';
import { hashPacked, PACKED_WORDS, packRow } from './packed-row.js';
import { PreparedKey } from './prepared-key.js';
import { TupleSearch } from './search.hot.js';
import { findHashed, flowOfRow, hashMasked } from './subtable.hot.js';
import { hashFactors, MutableSubtable } from './subtable.js';

export interface ClassifierOptions {
  /** Most flows at a time; default 1,048,576. */
  readonly maxFlows?: number;
  /**
   * Most distinct masks at a time; default 1024. A lookup that misses probes them all (some 20 ns each), so this
   * bounds what hostile traffic through a client with many mask shapes can cost (tuple-space explosion).
   */
  readonly maxMasks?: number;
  /** Hash seed; random by default, so that nobody outside can choose packets whose keys collide. */
  readonly seed?: number;
  /**
   * Makes this a replica of another classifier, with statistics in memory that the other one's thread reads: room for
   * all of `maxFlows` (`FlowCounters.bytes`). Flows come with their ids, by `insertReplica`; keys are not kept, so
   * `find`, `insert` and `readKey` do not work.
   */
  readonly replica?: SharedArrayBuffer;
}

const MIN_CAPACITY = 64;
/**
 * From so many flows on there is room for {@link LEAP} times as many at once, which takes up memory as flows come:
 * copying half a million of them stopped everything for 30 ms.
 */
const LEAP_FROM = 1 << 17;
const LEAP = 8;

/** By flow id: subtable id + 1 (0: no such flow), row in it, and the serial number of the flow's creation. */
const FLOW_WORDS = 3;
const ROW = 1;
const SERIAL = 2;
/** Of a flow that is gone: in place of its row, the one that went before it + 1. */
const NEXT_FREE = 1;

export class Classifier {
  readonly search = new TupleSearch();
  readonly counters: FlowCounters;
  readonly maxFlows: number;
  readonly maxMasks: number;
  readonly #seed: number;
  readonly #factors: Int32Array;
  readonly #replica: boolean;
  readonly #keys: KeyStore;
  #capacity = 0;
  #count = 0;
  /** Flow ids below this one have been in use. */
  #highWater = 0;
  /** The flow that went last + 1; 0 when all below the high water mark exist. */
  #free = 0;
  /** FLOW_WORDS words each: they are needed together. */
  #flows = new Int32Array();
  #nextSerial = 0;
  readonly #ports: PortTables;
  readonly #subtables: (MutableSubtable | undefined)[] = [];
  readonly #masks = new HashIndex();
  readonly #packedMask = new Int32Array(PACKED_WORDS);
  readonly #key = new PreparedKey();
  /** Where what was only touched goes, so that it is not optimized away. */
  touched = 0;

  constructor(options: ClassifierOptions = {}) {
    this.maxFlows = options.maxFlows ?? 1 << 20;
    this.maxMasks = options.maxMasks ?? 1024;
    this.#seed = (options.seed ?? Math.random() * 0x1_0000_0000) | 0;
    this.#factors = hashFactors(this.#seed);
    this.#replica = options.replica !== undefined;
    this.#ports = new PortTables(this.#factors);
    this.#keys = new KeyStore(MIN_CAPACITY, this.#seed);
    this.counters = new FlowCounters(MIN_CAPACITY);
    if (options.replica !== undefined) this.counters.values = new Float64Array(options.replica);
    this.#capacity = MIN_CAPACITY;
    this.#allocate(MIN_CAPACITY);
  }

  get flowCount(): number {
    return this.#count;
  }

  get maskCount(): number {
    return this.#masks.count;
  }

  /** What lookups of received packets go by: see `BurstLookup`. */
  get ports(): PortView {
    return this.#ports;
  }

  /** All flow ids are below this. Only grows until the table is empty again. */
  get capacity(): number {
    return this.#capacity;
  }

  /** Serial number of the latest flow; see {@link isFlow}. */
  get serial(): number {
    return this.#nextSerial;
  }

  /** Whether flow `flow` exists; with `serial`, whether it did already when that was the latest serial number. */
  isFlow(flow: number, serial = this.#nextSerial): boolean {
    if (flow >= this.#capacity) return false;
    const at = flow * FLOW_WORDS;
    return this.#flows[at]! > 0 && ((this.#flows[at + SERIAL]! - serial) | 0) <= 0;
  }

  /** The flow with exactly this unmasked key, or -1. */
  find(key: Int32Array, base = 0): number {
    return this.#keys.find(this.#prepared(key, base));
  }

  /** The flow that a packet with this key matches, or -1. Unlike a packet's lookup this is not counted. */
  match(key: Int32Array, base = 0): number {
    return this.search.match(key, base);
  }

  /** Packs and hashes the row of `key`, whose words from `end` on are zero: what the methods for prepared keys take. */
  prepare(key: PreparedKey, end = KEY_WORDS): void {
    key.pack(this.#seed, end);
  }

  /** Brings closer what {@link matchPrepared} and {@link insertUnmatched} of the first `count` keys look at. */
  expectInserts(keys: readonly PreparedKey[], count: number): void {
    const { order } = this.search;
    let touched = 0;
    for (let i = 0; i < count; i++) keys[i]!.hashFor(order);
    // In loops of their own, since the processor looks only some hundred instructions ahead for misses to overlap.
    for (let i = 0; i < count; i++) touched += keys[i]!.touch();
    for (let i = 0; i < count; i++) touched += this.#keys.touch(keys[i]!.hash);
    this.touched = touched | 0;
  }

  /** Brings closer what {@link findPrepared} and {@link removePrepared} of the first `count` keys look at. */
  expectRemovals(keys: readonly PreparedKey[], count: number): void {
    let touched = 0;
    for (let i = 0; i < count; i++) touched += this.#keys.touch(keys[i]!.hash);
    for (let i = 0; i < count; i++) {
      const flow = this.#keys.guess(keys[i]!.hash);
      keys[i]!.guess = flow;
      if (flow >= 0) touched += this.#flows[flow * FLOW_WORDS]! + this.counters.touch(flow);
    }
    for (let i = 0; i < count; i++) {
      const flow = keys[i]!.guess;
      if (flow < 0) continue;
      touched += this.#keys.touchFlow(flow);
      const at = flow * FLOW_WORDS;
      touched += this.#subtables[this.#flows[at]! - 1]!.touch(this.#flows[at + ROW]!, i);
    }
    this.touched = touched | 0;
  }

  /** As {@link find}. */
  findPrepared(key: PreparedKey): number {
    return this.#keys.find(key);
  }

  /** As {@link match}. */
  matchPrepared(key: PreparedKey): number {
    const { order } = this.search;
    for (let i = 0; i < order.length; i++) {
      const subtable = order[i]!;
      const row = findHashed(subtable, key.hashAt(order, i), key.row, 0);
      if (row >= 0) return flowOfRow(subtable, row);
    }
    return -1;
  }

  /**
   * Adds a flow; returns its id, with zero statistics. Nothing changes on failure: EEXIST when a packet with this key
   * matches a flow already (the same key, or one that overlaps), EFBIG when the table is full, ENOSPC when one more
   * mask would be too many.
   */
  insert(key: Int32Array, base: number, mask: Int32Array): number {
    const prepared = this.#prepared(key, base);
    if (this.matchPrepared(prepared) >= 0) {
      const same = this.findPrepared(prepared) >= 0;
      throw new DpifError(
        'EEXIST',
        same
          ? 'a flow with this key is in the table already'
          : 'a flow in the table matches this key already, so the two would overlap',
      );
    }
    return this.insertUnmatched(prepared, new KnownMask(mask));
  }

  /** As {@link insert}, for a key that {@link matchPrepared} found no flow for: there is none with this key then either. */
  insertUnmatched(key: PreparedKey, mask: KnownMask): number {
    if (this.#count >= this.maxFlows) {
      throw new DpifError(
        'EFBIG',
        `the flow table is full: it holds ${this.#count} flows; delete some first`,
      );
    }
    const subtable = this.#subtableOf(mask);
    const flow = this.#newId();
    this.#place(flow, subtable, key.row, 0, key.hashUnder(subtable));
    this.#keys.insert(flow, key);
    return flow;
  }

  /**
   * Adds the flow that the other classifier has under the id `flow`, which is free here. Nothing is checked that the
   * other one checked.
   */
  insertReplica(flow: number, key: Int32Array, base: number, mask: KnownMask): void {
    const subtable = this.#subtableOf(mask);
    let capacity = this.#capacity;
    while (flow >= capacity) capacity *= 2;
    if (capacity > this.#capacity) this.#grow(capacity);
    this.#place(flow, subtable, key, base, hashMasked(subtable, key, base));
  }

  /** Removes a flow that exists. Its id may be given to the next flow. */
  remove(flow: number): void {
    if (!this.#replica) this.#keys.remove(flow);
    this.#remove(flow);
  }

  /** As {@link remove}, of the flow that {@link findPrepared} found for `key`. */
  removePrepared(flow: number, key: PreparedKey): void {
    this.#keys.removeHashed(flow, key.hash);
    this.#remove(flow);
  }

  /** Removes all flows, and gives their memory back. */
  clear(): void {
    this.#count = 0;
    this.#highWater = 0;
    this.#free = 0;
    this.#subtables.length = 0;
    this.#masks.clear();
    this.search.order = [];
    this.#ports.clear();
    if (!this.#replica) this.#keys.clear(MIN_CAPACITY);
    if (!this.#replica) this.counters.values = new FlowCounters(MIN_CAPACITY).values;
    this.#capacity = MIN_CAPACITY;
    this.#allocate(MIN_CAPACITY);
  }

  /** Writes the unmasked key of a flow to `into[base, base + KEY_WORDS)`. */
  readKey(flow: number, into: Int32Array, base = 0): void {
    this.#keys.read(flow, into, base);
  }

  /** The mask row of a flow, shared by all flows with this mask: read only. */
  maskOf(flow: number): Int32Array {
    return this.#subtables[this.#flows[flow * FLOW_WORDS]! - 1]!.mask;
  }

  /** Orders subtables by recent hits. To be called about once a second: hits count half as much after each call. */
  rank(): void {
    this.search.order = [...this.search.order].sort((a, b) => b.hits - a.hits);
    for (const subtable of this.search.order) subtable.hits = Math.floor(subtable.hits / 2);
    this.#ports.rank();
  }

  #subtableOf(mask: KnownMask): MutableSubtable {
    const { subtable } = mask;
    if (subtable !== undefined && this.#subtables[subtable.id] === subtable) return subtable;
    const found = this.#subtableFor(mask.row);
    mask.subtable = found;
    return found;
  }

  #subtableFor(mask: Int32Array): MutableSubtable {
    const packed = this.#packedMask;
    const hash = hashPacked(packed, 0, packRow(mask, 0, packed), this.#seed);
    const { slots, mask: slotMask } = this.#masks;
    for (let at = hash & slotMask; slots[at * 2 + 1] !== 0; at = (at + 1) & slotMask) {
      const subtable = this.#subtables[slots[at * 2 + 1]! - 1]!;
      if (slots[at * 2] === hash && sameRow(subtable.mask, mask)) return subtable;
    }
    if (this.maskCount >= this.maxMasks) {
      throw new DpifError(
        'ENOSPC',
        `the flow table holds ${this.maskCount} different masks, its limit; reuse one of them or delete flows first`,
      );
    }
    let id = this.#subtables.indexOf(undefined);
    if (id < 0) id = this.#subtables.length;
    const subtable = new MutableSubtable(id, mask.slice(0, KEY_WORDS), this.#factors, this.maxFlows);
    this.#subtables[id] = subtable;
    this.#masks.insert(hash, id);
    this.search.order = [...this.search.order, subtable];
    return subtable;
  }

  #dropSubtable(subtable: MutableSubtable): void {
    const packed = this.#packedMask;
    const hash = hashPacked(packed, 0, packRow(subtable.mask, 0, packed), this.#seed);
    this.#masks.remove(hash, subtable.id);
    this.#subtables[subtable.id] = undefined;
    this.search.order = this.search.order.filter((other) => other !== subtable);
  }

  #prepared(row: Int32Array, base: number): PreparedKey {
    const key = this.#key;
    for (let word = 0; word < KEY_WORDS; word++) key.row[word] = row[base + word]!;
    this.prepare(key);
    return key;
  }

  #place(flow: number, subtable: MutableSubtable, key: Int32Array, base: number, hash: number): void {
    const at = flow * FLOW_WORDS;
    this.#flows[at] = subtable.id + 1;
    this.#flows[at + ROW] = subtable.add(key, base, hash, flow);
    this.#ports.added(subtable, key[base + W_IN_PORT]!);
    this.#nextSerial = (this.#nextSerial + 1) | 0;
    this.#flows[at + SERIAL] = this.#nextSerial;
    this.counters.zero(flow);
    this.#count++;
  }

  #remove(flow: number): void {
    const flows = this.#flows;
    const at = flow * FLOW_WORDS;
    const subtable = this.#subtables[flows[at]! - 1]!;
    const row = flows[at + ROW]!;
    const inPort = subtable.portOf(row);
    const moved = subtable.delete(row);
    this.#ports.removed(subtable, inPort);
    if (moved >= 0) flows[moved * FLOW_WORDS + ROW] = row;
    if (subtable.count === 0) this.#dropSubtable(subtable);
    flows[at] = 0;
    if (!this.#replica) {
      flows[at + NEXT_FREE] = this.#free;
      this.#free = flow + 1;
    }
    this.#count--;
    // Arrays by flow id stay as large as the most flows made them; an empty table starts again small.
    if (this.#count === 0 && this.#capacity > MIN_CAPACITY) this.clear();
  }

  #newId(): number {
    if (this.#free > 0) {
      const flow = this.#free - 1;
      this.#free = this.#flows[flow * FLOW_WORDS + NEXT_FREE]!;
      return flow;
    }
    const capacity = this.#capacity;
    if (this.#highWater === capacity) {
      const leap = Math.max(Math.min(capacity * LEAP, this.maxFlows), capacity * 2);
      this.#grow(capacity < LEAP_FROM ? capacity * 2 : leap);
    }
    return this.#highWater++;
  }

  #grow(capacity: number): void {
    this.#capacity = capacity;
    if (this.#replica) return;
    const { values } = this.counters;
    const flows = this.#flows;
    this.#keys.grow(capacity);
    this.counters.values = new FlowCounters(capacity).values;
    this.counters.values.set(values);
    this.#allocate(capacity);
    this.#flows.set(flows);
  }

  /**
   * Replicas get all that they may ever need, since copying it would stop packets: 12 bytes a flow, which take up memory
   * as flows come.
   */
  #allocate(capacity: number): void {
    const flows = this.#replica ? Math.max(capacity, this.maxFlows) : capacity;
    this.#flows = new Int32Array(flows * FLOW_WORDS);
  }
}

function sameRow(mask: Int32Array, other: Int32Array): boolean {
  for (let i = 0; i < KEY_WORDS; i++) if (mask[i] !== other[i]) return false;
  return true;
}
