/**
 * A key that an operation on flows has, with what the tables go by worked out of it: operations that come together are
 * prepared together, and what they will look at is brought closer for all of them first, so that the processor waits for
 * memory once for several flows instead of three times for each: at a million flows that was half of the time. Control
 * path.
 */

import { KEY_WORDS } from '@etherloom/odp-codec/data';
import { hashPacked, PACKED_WORDS, packRow } from './packed-row.js';
import { hashMasked, type Subtable } from './subtable.hot.js';

/** Subtables whose hash of a key is kept. */
const HASHES = 8;
const NO_SUBTABLES: readonly Subtable[] = [];

export class PreparedKey {
  /** To be written before {@link pack}. */
  readonly row = new Int32Array(KEY_WORDS);
  /** The row packed: the first `length` of these words, and their hash. */
  readonly packed = new Int32Array(PACKED_WORDS);
  length = 0;
  hash = 0;
  /** Hashes under the masks of the first of these subtables, in their order. */
  #order = NO_SUBTABLES;
  readonly #hashes = new Int32Array(HASHES);
  /** The classifier's business. */
  guess = -1;

  /** Packs the row and hashes that; words of the row from `end` on are zero. */
  pack(seed: number, end = KEY_WORDS): void {
    this.#order = NO_SUBTABLES;
    this.length = packRow(this.row, 0, this.packed, end);
    this.hash = hashPacked(this.packed, 0, this.length, seed);
  }

  /** Hashes the row under the masks of `order`. */
  hashFor(order: readonly Subtable[]): void {
    this.#order = order;
    const count = Math.min(order.length, HASHES);
    for (let i = 0; i < count; i++) this.#hashes[i] = hashMasked(order[i]!, this.row, 0);
  }

  /** Brings closer what the subtables have under these hashes: a number, to be used. */
  touch(): number {
    const order = this.#order;
    const count = Math.min(order.length, HASHES);
    let touched = 0;
    for (let i = 0; i < count; i++) {
      const { slots, mask } = order[i]!.index;
      touched += slots[(this.#hashes[i]! & mask) * 2]!;
    }
    return touched;
  }

  /** The row's hash under the mask of a subtable. */
  hashUnder(subtable: Subtable): number {
    const order = this.#order;
    const count = Math.min(order.length, HASHES);
    for (let i = 0; i < count; i++) if (order[i] === subtable) return this.#hashes[i]!;
    return hashMasked(subtable, this.row, 0);
  }

  /** The row's hash under the mask of the subtable at `position` of `order`. */
  hashAt(order: readonly Subtable[], position: number): number {
    return order === this.#order && position < HASHES
      ? this.#hashes[position]!
      : hashMasked(order[position]!, this.row, 0);
  }
}
