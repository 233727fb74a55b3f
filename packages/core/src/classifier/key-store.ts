/**
 * The unmasked keys of all flows, found by exact content: what flow put, get and del go by (dpif.h "Flow Table": the
 * datapath retains the flow that the client supplied). Control path.
 *
 * Keys are kept compact (packed-row.ts) in slabs, one per size class of two words. A slab has no holes: removing a row
 * moves the last one into its place. It is a list of chunks, and the index is many small ones, so that nothing is ever
 * copied or made anew for all keys at once: growing in one piece stopped everything for 60 ms at a million flows.
 */

import { HashIndex } from './hash-index.js';
import { hashPacked, PACKED_WORDS, packedLength, unpackRow } from './packed-row.js';
import type { PreparedKey } from './prepared-key.js';

/** Words between size classes: on average half a word of a row is padding. */
const CLASS_WORDS = 2;
const CLASSES = Math.ceil(PACKED_WORDS / CLASS_WORDS) + 1;
/** Rows of a chunk: 50 KB of five-tuples. The first chunk of a slab begins smaller. */
const CHUNK_SHIFT = 10;
const CHUNK_ROWS = 1 << CHUNK_SHIFT;
const MIN_ROWS = 16;
/** Indexes, by the upper bits of the hash; the lower ones find slots. At a million flows each has 256 KB. */
const SHARD_SHIFT = 26;
const SHARDS = 1 << (32 - SHARD_SHIFT);
/** By flow: size class, and row in its slab. */
const PLACE_WORDS = 2;

/** Rows of one size class. */
class Slab {
  readonly chunks: Int32Array[] = [];
  /** Words of a row: the flow, then its key. */
  readonly stride: number;
  rows = 0;

  constructor(sizeClass: number) {
    this.stride = 1 + sizeClass * CLASS_WORDS;
  }

  /** Adds a row, to be written at once; returns it. */
  push(): number {
    const row = this.rows++;
    const { chunks, stride } = this;
    const at = row >> CHUNK_SHIFT;
    const chunk = chunks[at];
    if (chunk === undefined) {
      chunks.push(new Int32Array((at === 0 ? MIN_ROWS : CHUNK_ROWS) * stride));
    } else if ((row & (CHUNK_ROWS - 1)) * stride === chunk.length) {
      const grown = new Int32Array(chunk.length * 2);
      grown.set(chunk);
      chunks[at] = grown;
    }
    return row;
  }

  /** Removes the last row. One chunk more than is needed stays, so that rows may come and go at the border of two. */
  pop(): void {
    const used = (--this.rows + CHUNK_ROWS - 1) >> CHUNK_SHIFT;
    if (this.chunks.length > used + 1) this.chunks.pop();
  }
}

export class KeyStore {
  readonly #shards = Array.from({ length: SHARDS }, () => new HashIndex());
  readonly #slabs: (Slab | undefined)[] = new Array(CLASSES).fill(undefined);
  readonly #seed: number;
  #places = new Int32Array();

  constructor(capacity: number, seed: number) {
    this.#seed = seed;
    this.#places = new Int32Array(capacity * PLACE_WORDS);
  }

  /** Makes room for flow ids below `capacity`, which is larger than before. */
  grow(capacity: number): void {
    const places = this.#places;
    this.#places = new Int32Array(capacity * PLACE_WORDS);
    this.#places.set(places);
  }

  /** Forgets all keys, with room for flow ids below `capacity`. */
  clear(capacity: number): void {
    for (const shard of this.#shards) shard.clear();
    this.#slabs.fill(undefined);
    this.#places = new Int32Array(capacity * PLACE_WORDS);
  }

  /** Brings closer what {@link find} and {@link insert} of a key with this hash look at first: a number, to be used. */
  touch(hash: number): number {
    const { slots, mask } = this.#shards[hash >>> SHARD_SHIFT]!;
    return slots[(hash & mask) * 2]!;
  }

  /** The flow that a key with this hash probably has, or -1. */
  guess(hash: number): number {
    const { slots, mask } = this.#shards[hash >>> SHARD_SHIFT]!;
    for (let at = hash & mask; slots[at * 2 + 1] !== 0; at = (at + 1) & mask) {
      if (slots[at * 2] === hash) return slots[at * 2 + 1]! - 1;
    }
    return -1;
  }

  /** Brings the key of a flow closer: a number, to be used. */
  touchFlow(flow: number): number {
    const places = this.#places;
    const { chunks, stride } = this.#slabs[places[flow * PLACE_WORDS]!]!;
    const row = places[flow * PLACE_WORDS + 1]!;
    return chunks[row >> CHUNK_SHIFT]![(row & (CHUNK_ROWS - 1)) * stride]!;
  }

  /** The flow whose key this is, or -1. */
  find(key: PreparedKey): number {
    const { hash } = key;
    const { slots, mask } = this.#shards[hash >>> SHARD_SHIFT]!;
    for (let at = hash & mask; slots[at * 2 + 1] !== 0; at = (at + 1) & mask) {
      if (slots[at * 2] !== hash) continue;
      const flow = slots[at * 2 + 1]! - 1;
      if (this.#equals(flow, key)) return flow;
    }
    return -1;
  }

  /** Keeps a key which no flow has yet as that of flow `flow`. */
  insert(flow: number, key: PreparedKey): void {
    const { hash, length, packed } = key;
    const sizeClass = classOf(length);
    this.#slabs[sizeClass] ??= new Slab(sizeClass);
    const slab = this.#slabs[sizeClass]!;
    const row = slab.push();
    const words = slab.chunks[row >> CHUNK_SHIFT]!;
    let at = (row & (CHUNK_ROWS - 1)) * slab.stride;
    words[at++] = flow;
    // A loop, since a view for set() would cost more than the copy of 20 words.
    for (let i = 0; i < length; i++) words[at + i] = packed[i]!;
    this.#places[flow * PLACE_WORDS] = sizeClass;
    this.#places[flow * PLACE_WORDS + 1] = row;
    this.#shards[hash >>> SHARD_SHIFT]!.insert(hash, flow);
  }

  /** Forgets the key of a flow. */
  remove(flow: number): void {
    const { chunks, stride } = this.#slabs[this.#places[flow * PLACE_WORDS]!]!;
    const row = this.#places[flow * PLACE_WORDS + 1]!;
    const words = chunks[row >> CHUNK_SHIFT]!;
    const at = (row & (CHUNK_ROWS - 1)) * stride + 1;
    this.removeHashed(flow, hashPacked(words, at, packedLength(words, at), this.#seed));
  }

  /** Forgets the key of a flow, which has this hash. */
  removeHashed(flow: number, hash: number): void {
    this.#shards[hash >>> SHARD_SHIFT]!.remove(hash, flow);
    const slab = this.#slabs[this.#places[flow * PLACE_WORDS]!]!;
    const { chunks, stride } = slab;
    const row = this.#places[flow * PLACE_WORDS + 1]!;
    const last = slab.rows - 1;
    if (row !== last) {
      const source = chunks[last >> CHUNK_SHIFT]!;
      const target = chunks[row >> CHUNK_SHIFT]!;
      const from = (last & (CHUNK_ROWS - 1)) * stride;
      const to = (row & (CHUNK_ROWS - 1)) * stride;
      for (let i = 0; i < stride; i++) target[to + i] = source[from + i]!;
      this.#places[source[from]! * PLACE_WORDS + 1] = row;
    }
    slab.pop();
  }

  /** Writes the key of `flow` to `into[base, base + KEY_WORDS)`. */
  read(flow: number, into: Int32Array, base: number): void {
    const { chunks, stride } = this.#slabs[this.#places[flow * PLACE_WORDS]!]!;
    const row = this.#places[flow * PLACE_WORDS + 1]!;
    unpackRow(chunks[row >> CHUNK_SHIFT]!, (row & (CHUNK_ROWS - 1)) * stride + 1, into, base);
  }

  /** Whether the key of `flow` is this one. */
  #equals(flow: number, { length, packed }: PreparedKey): boolean {
    const sizeClass = this.#places[flow * PLACE_WORDS]!;
    if (sizeClass !== classOf(length)) return false;
    const { chunks, stride } = this.#slabs[sizeClass]!;
    const row = this.#places[flow * PLACE_WORDS + 1]!;
    const words = chunks[row >> CHUNK_SHIFT]!;
    const at = (row & (CHUNK_ROWS - 1)) * stride + 1;
    // Bitmaps tell how many words follow, so the words that are looked for decide the length.
    for (let i = 0; i < length; i++) if (words[at + i] !== packed[i]) return false;
    return true;
  }
}

function classOf(length: number): number {
  return (length + CLASS_WORDS - 1) >> 1;
}
