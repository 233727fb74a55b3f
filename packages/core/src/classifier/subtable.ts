/** Changes to a subtable: making one for a mask, adding and removing rows. Control path. */

import { KEY_WORDS, W_IN_PORT } from '@etherloom/odp-codec/data';
import { HashIndex } from './hash-index.js';
import { ROW_HEAD, Subtable } from './subtable.hot.js';

const MIN_ROWS = 4;
/**
 * Rows that move to the next generation with each change, and slots of the index that do: there are two for a row. A
 * generation that is seven eighths full begins to, and is through before it is full if these are more than 8 and 16.
 */
const STEP = 9;
const SLOT_STEP = 18;
/**
 * From so many rows on there is room for {@link LEAP} times as many at once, which takes up memory as rows come: most
 * copying of rows is for nothing then.
 */
const LEAP_FROM = 1 << 15;
const LEAP = 8;
/** Words without mask bits that are cheaper to walk over than to begin another run for. */
const MAX_GAP = 2;

/** Where a row's hash is. */
const ROW_HASH = 1;

/** Room for a number of rows, which have the same numbers in all generations. */
interface Generation {
  /** Those of the generation before when they have room. */
  readonly rows: Int32Array;
  /** At most half full: two slots for each row that there may be. */
  readonly index: HashIndex;
}

/** How many flows a subtable has from one port. */
export interface PortCount {
  readonly inPort: number;
  flows: number;
}

/**
 * A subtable together with what only its changer sees.
 *
 * It grows and shrinks some rows at a time: moving half a million at once stopped the packets of a poll-mode thread for
 * 50 ms. While it does, lookups know the old generation, which is complete. Rows are copied in their order, and the index
 * in the order of its slots: entries whose home is in the old index's first slots are in the next one, too. They come to
 * stand in the same order there, so that little of it is touched at a time; in the order of rows each took 0.3 us more.
 */
export class MutableSubtable extends Subtable {
  declare index: HashIndex;
  /** Of the port whose flow came or went last: `PortTables` looks up a port for every flow otherwise. */
  lastPort: PortCount | undefined;
  readonly #limit: number;
  #count = 0;
  #next: Generation | undefined;
  /** Rows that the next generation has, and slots of the old index whose entries it has. */
  #moved = 0;
  #homes = 0;

  /** Makes an empty subtable for at most `limit` flows. Owns `mask`, a row of KEY_WORDS words, from now on. */
  constructor(id: number, mask: Int32Array, factors: Int32Array, limit: number) {
    super(id, mask, factors, runsOf(mask), new HashIndex(MIN_ROWS * 2));
    this.#limit = limit;
    this.rows = new Int32Array(MIN_ROWS * this.stride);
  }

  get count(): number {
    return this.#count;
  }

  /**
   * Adds flow `flow` with key `key[base, ...)`, whose hash under this mask is `hash`; returns its row. No flow of this
   * subtable matches the key yet.
   */
  add(key: Int32Array, base: number, hash: number, flow: number): number {
    const { stride, runs, mask, rows } = this;
    const row = this.#count++;
    let at = row * stride;
    rows[at] = flow + 1;
    rows[at + ROW_HASH] = hash;
    at += ROW_HEAD;
    for (let run = 0; run < runs.length; run += 2) {
      const end = runs[run + 1]!;
      for (let word = runs[run]!; word < end; word++) rows[at++] = key[base + word]! & mask[word]!;
    }
    this.index.insert(hash, row);
    if (this.#hasMoved(hash)) this.#next!.index.insert(hash, row);
    this.#move();
    return row;
  }

  /**
   * Removes a row. Rows stay dense: the last one moves into the hole, and the flow that it belongs to is returned, to
   * be told its new row; -1 when none moved.
   */
  delete(row: number): number {
    const { stride, rows } = this;
    const next = this.#next;
    const last = --this.#count;
    const hash = rows[row * stride + ROW_HASH]!;
    const hashOfLast = rows[last * stride + ROW_HASH]!;
    this.index.remove(hash, row);
    if (row !== last) {
      this.index.replace(hashOfLast, last, row);
      // In a third of the time of `copyWithin`.
      for (let i = 0; i < stride; i++) rows[row * stride + i] = rows[last * stride + i]!;
    }
    rows[last * stride] = 0;
    if (next !== undefined) {
      if (this.#hasMoved(hash)) next.index.remove(hash, row);
      if (row !== last && this.#hasMoved(hashOfLast)) next.index.replace(hashOfLast, last, row);
      if (row !== last && row < this.#moved) this.#copyRow(next, row);
      if (last < this.#moved) {
        next.rows[last * stride] = 0;
        this.#moved = last;
      }
    }
    this.#move();
    return row === last ? -1 : rows[row * stride]! - 1;
  }

  /** The masked in_port of a row; 0 when the mask has none of it. */
  portOf(row: number): number {
    return this.mask[W_IN_PORT] === 0 ? 0 : this.rows[row * this.stride + ROW_HEAD]!;
  }

  /** Brings closer what {@link delete} of a row looks at, when `before` others are deleted first: a number, to be used. */
  touch(row: number, before: number): number {
    const { rows, stride } = this;
    const { slots, mask } = this.index;
    const last = Math.max(this.#count - 1 - before, 0);
    const hash = rows[row * stride + ROW_HASH]!;
    const hashOfLast = rows[last * stride + ROW_HASH]!;
    return slots[(hash & mask) * 2]! + slots[(hashOfLast & mask) * 2]!;
  }

  /** Whether the next generation's index has entries with this hash. */
  #hasMoved(hash: number): boolean {
    return this.#next !== undefined && (hash & this.index.mask) < this.#homes;
  }

  /** Begins to move when there is little or much room left, and moves {@link STEP} rows and {@link SLOT_STEP} slots. */
  #move(): void {
    const count = this.#count;
    let next = this.#next;
    if (next === undefined) {
      const capacity = (this.index.mask + 1) >> 1;
      if (count * 8 >= capacity * 7 && capacity < this.#limit) next = this.#larger(capacity * 2);
      else if (count * 4 < capacity && capacity > MIN_ROWS) next = this.#generation(capacity >> 1);
      else return;
      this.#next = next;
      this.#moved = 0;
      this.#homes = 0;
    }
    const end = next.rows === this.rows ? count : Math.min(this.#moved + STEP, count);
    if (next.rows !== this.rows) for (let row = this.#moved; row < end; row++) this.#copyRow(next, row);
    this.#moved = end;
    const slots = this.index.mask + 1;
    if (this.#homes < slots) this.#moveSlots(next, Math.min(this.#homes + SLOT_STEP, slots));
    if (end < count || this.#homes < slots) return;
    this.rows = next.rows;
    this.index = next.index;
    this.#next = undefined;
  }

  #larger(capacity: number): Generation {
    if (capacity * this.stride <= this.rows.length) {
      return { rows: this.rows, index: new HashIndex(capacity * 2) };
    }
    const leap = Math.max(Math.min(capacity * LEAP, this.#limit), capacity);
    return this.#generation(capacity, capacity < LEAP_FROM ? capacity : leap);
  }

  #generation(capacity: number, room = capacity): Generation {
    return { rows: new Int32Array(room * this.stride), index: new HashIndex(capacity * 2) };
  }

  /** Gives the next generation's index the entries whose homes are the slots from those that it has to `end`. */
  #moveSlots(next: Generation, end: number): void {
    const { slots, mask } = this.index;
    const first = this.#homes;
    // Entries stand behind their home without a gap, at the latest where the first free slot after all homes is.
    for (let at = first; at <= first + mask; at++) {
      const slot = at & mask;
      const entry = slots[slot * 2 + 1]!;
      if (entry === 0) {
        if (at >= end) break;
        continue;
      }
      const hash = slots[slot * 2]!;
      const home = hash & mask;
      if (home >= first && home < end) next.index.insert(hash, entry - 1);
    }
    this.#homes = end;
  }

  #copyRow(next: Generation, row: number): void {
    const { rows, stride } = this;
    const target = next.rows;
    const end = (row + 1) * stride;
    for (let at = row * stride; at < end; at++) target[at] = rows[at]!;
  }
}

/** Random odd factors for the words of a key; the same for the same seed. */
export function hashFactors(seed: number): Int32Array {
  return Int32Array.from({ length: KEY_WORDS }, (_, word) => mix(seed + word) | 1);
}

function runsOf(mask: Int32Array): Int32Array {
  const runs: number[] = [];
  for (let word = 0; word < KEY_WORDS; word++) {
    if (mask[word] === 0) continue;
    if (runs.length > 0 && word - runs.at(-1)! <= MAX_GAP) runs[runs.length - 1] = word + 1;
    else runs.push(word, word + 1);
  }
  return Int32Array.from(runs);
}

/** A bijection of 32-bit words whose every output bit depends on every input bit. */
function mix(word: number): number {
  let bits = Math.imul(word ^ (word >>> 16), 0x21f0aaad);
  bits = Math.imul(bits ^ (bits >>> 15), 0x735a2d97);
  return bits ^ (bits >>> 15);
}
