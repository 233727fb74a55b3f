/**
 * The unmasked keys of all flows, found by exact content: what flow put, get and del go by (dpif.h "Flow Table": the
 * datapath retains the flow that the client supplied). Control path.
 *
 * Keys are kept compact (packed-row.ts) in slabs, one per size class of two words. A slab has no holes: removing a row
 * moves the last one into its place, so slabs give memory back as flows go. A key's hash is not kept: it is made again of the
 * row when the key goes, which is in the caches then anyway.
 */

import { HashIndex } from './hash-index.js';
import { hashPacked, PACKED_WORDS, packedLength, packRow, unpackRow } from './packed-row.js';

/** Words between size classes: on average half a word of a row is padding. */
const CLASS_WORDS = 2;
const CLASSES = Math.ceil(PACKED_WORDS / CLASS_WORDS) + 1;
const MIN_ROWS = 16;

interface Slab {
  /** Rows of `stride` words; what a row does not use is zero, so rows compare as a whole. */
  words: Int32Array;
  /** Flow id of each row. */
  owner: Int32Array;
  rows: number;
  readonly stride: number;
}

export class KeyStore {
  readonly #index = new HashIndex();
  readonly #slabs: (Slab | undefined)[] = new Array(CLASSES).fill(undefined);
  readonly #scratch = new Int32Array(PACKED_WORDS);
  readonly #seed: number;
  /** By flow id: size class, and row in its slab. */
  #class = new Uint8Array();
  #row = new Int32Array();

  constructor(capacity: number, seed: number) {
    this.#seed = seed;
    this.#allocate(capacity);
  }

  /** Makes room for flow ids below `capacity`, which is larger than before. */
  grow(capacity: number): void {
    const [sizeClass, row] = [this.#class, this.#row];
    this.#allocate(capacity);
    this.#class.set(sizeClass);
    this.#row.set(row);
  }

  /** Forgets all keys, with room for flow ids below `capacity`. */
  clear(capacity: number): void {
    this.#index.clear();
    this.#slabs.fill(undefined);
    this.#allocate(capacity);
  }

  /** The flow whose key is `key[base, ...)`, or -1. */
  find(key: Int32Array, base: number): number {
    const scratch = this.#scratch;
    const length = packRow(key, base, scratch);
    const hash = hashPacked(scratch, 0, length, this.#seed);
    const { slots, mask } = this.#index;
    for (let at = hash & mask; slots[at * 2 + 1] !== 0; at = (at + 1) & mask) {
      if (slots[at * 2] !== hash) continue;
      const flow = slots[at * 2 + 1]! - 1;
      if (this.#equals(flow, length)) return flow;
    }
    return -1;
  }

  /** Keeps `key[base, ...)`, which no flow has yet, as the key of flow `flow`. */
  insert(flow: number, key: Int32Array, base: number): void {
    const scratch = this.#scratch;
    const length = packRow(key, base, scratch);
    const hash = hashPacked(scratch, 0, length, this.#seed);
    const sizeClass = classOf(length);
    this.#slabs[sizeClass] ??= newSlab(sizeClass * CLASS_WORDS);
    const slab = this.#slabs[sizeClass]!;
    if (slab.rows === slab.owner.length) resizeSlab(slab, slab.rows * 2);
    const row = slab.rows++;
    const at = row * slab.stride;
    const { words } = slab;
    // A loop, since a view for set() would cost more than the copy of 20 words.
    for (let i = 0; i < length; i++) words[at + i] = scratch[i]!;
    for (let i = length; i < slab.stride; i++) words[at + i] = 0;
    slab.owner[row] = flow;
    this.#class[flow] = sizeClass;
    this.#row[flow] = row;
    this.#index.insert(hash, flow);
  }

  remove(flow: number): void {
    const slab = this.#slabs[this.#class[flow]!]!;
    const { words, stride } = slab;
    const row = this.#row[flow]!;
    this.#index.remove(hashPacked(words, row * stride, packedLength(words, row * stride), this.#seed), flow);
    const last = --slab.rows;
    if (row !== last) {
      const from = last * stride;
      const to = row * stride;
      for (let i = 0; i < stride; i++) words[to + i] = words[from + i]!;
      const moved = slab.owner[last]!;
      slab.owner[row] = moved;
      this.#row[moved] = row;
    }
    if (slab.owner.length > MIN_ROWS && slab.rows * 4 < slab.owner.length)
      resizeSlab(slab, slab.owner.length / 2);
  }

  /** Writes the key of `flow` to `into[base, base + KEY_WORDS)`. */
  read(flow: number, into: Int32Array, base: number): void {
    const slab = this.#slabs[this.#class[flow]!]!;
    unpackRow(slab.words, this.#row[flow]! * slab.stride, into, base);
  }

  #allocate(capacity: number): void {
    this.#class = new Uint8Array(capacity);
    this.#row = new Int32Array(capacity);
  }

  /** Whether the key of `flow` is the one in the scratch words. */
  #equals(flow: number, length: number): boolean {
    if (this.#class[flow] !== classOf(length)) return false;
    const slab = this.#slabs[this.#class[flow]!]!;
    const scratch = this.#scratch;
    const { words } = slab;
    const at = this.#row[flow]! * slab.stride;
    // Bitmaps tell how many words follow, so the scratch words decide the length.
    for (let i = 0; i < length; i++) {
      if (words[at + i] !== scratch[i]) return false;
    }
    return true;
  }
}

function classOf(length: number): number {
  return Math.ceil(length / CLASS_WORDS);
}

function newSlab(stride: number): Slab {
  return { words: new Int32Array(MIN_ROWS * stride), owner: new Int32Array(MIN_ROWS), rows: 0, stride };
}

function resizeSlab(slab: Slab, rows: number): void {
  const words = new Int32Array(rows * slab.stride);
  words.set(slab.words.subarray(0, slab.rows * slab.stride));
  const owner = new Int32Array(rows);
  owner.set(slab.owner.subarray(0, slab.rows));
  slab.words = words;
  slab.owner = owner;
}
