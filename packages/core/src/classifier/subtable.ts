/** Changes to a subtable: making one for a mask, adding and removing rows. Control path. */

import { KEY_WORDS, W_IN_PORT } from '@etherloom/odp-codec';
import { HashIndex } from './hash-index.js';
import { hashMasked, ROW_HEAD, Subtable } from './subtable.hot.js';

const MIN_ROWS = 4;
/** Words without mask bits that are cheaper to walk over than to begin another run for. */
const MAX_GAP = 2;

/** A key with one row's masked words in place; words outside the mask are stale, and every hash ignores them. */
const spread = new Int32Array(KEY_WORDS);

/** A subtable together with what only its changer sees. */
export class MutableSubtable extends Subtable {
  declare readonly index: HashIndex;
  #count = 0;

  /** Makes an empty subtable. Owns `mask`, a row of KEY_WORDS words, from now on. */
  constructor(id: number, mask: Int32Array, factors: Int32Array) {
    super(id, mask, factors, runsOf(mask), new HashIndex());
  }

  get count(): number {
    return this.#count;
  }

  /** Adds flow `flow` with key `key[base, ...)`; returns its row. No flow of this subtable matches the key yet. */
  add(key: Int32Array, base: number, flow: number): number {
    const { stride, runs, mask } = this;
    if ((this.#count + 1) * stride > this.rows.length) this.#resize(this.#count * 2);
    const row = this.#count++;
    let at = row * stride;
    this.rows[at] = flow;
    at += ROW_HEAD;
    for (let run = 0; run < runs.length; run += 2) {
      for (let word = runs[run]!; word < runs[run + 1]!; word++) {
        this.rows[at++] = key[base + word]! & mask[word]!;
      }
    }
    this.index.insert(hashMasked(this, key, base), row);
    return row;
  }

  /**
   * Removes a row. Rows stay dense: the last one moves into the hole, and the flow that it belongs to is returned, to
   * be told its new row; -1 when none moved.
   */
  delete(row: number): number {
    const { stride } = this;
    this.index.remove(this.#hashOf(row), row);
    const last = --this.#count;
    let moved = -1;
    if (row !== last) {
      this.index.replace(this.#hashOf(last), last, row);
      this.rows.copyWithin(row * stride, last * stride, (last + 1) * stride);
      moved = this.rows[row * stride]!;
    }
    this.rows[last * stride] = -1;
    const capacity = this.rows.length / stride;
    if (capacity > MIN_ROWS && this.#count * 4 < capacity) this.#resize(capacity / 2);
    return moved;
  }

  /** The masked in_port of a row; 0 when the mask has none of it. */
  portOf(row: number): number {
    return this.mask[W_IN_PORT] === 0 ? 0 : this.rows[row * this.stride + ROW_HEAD]!;
  }

  /** A row's masked words hash as the key did that it came from: masking is idempotent. */
  #hashOf(row: number): number {
    const { runs, rows } = this;
    let at = row * this.stride + ROW_HEAD;
    for (let run = 0; run < runs.length; run += 2) {
      for (let word = runs[run]!; word < runs[run + 1]!; word++) spread[word] = rows[at++]!;
    }
    return hashMasked(this, spread, 0);
  }

  #resize(rows: number): void {
    const used = this.#count * this.stride;
    const resized = new Int32Array(Math.max(rows, MIN_ROWS) * this.stride);
    resized.set(this.rows.subarray(0, used));
    resized.fill(-1, used);
    this.rows = resized;
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
