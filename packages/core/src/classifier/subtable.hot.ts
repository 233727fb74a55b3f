/**
 * One subtable of the tuple-space search: all flows that share a mask, hashed by the words that the mask has bits in.
 * Hot: no allocation, no throw. Changed by subtable.ts on the control path.
 */

/** Words in front of a row's masked words: the flow id + 1, and the hash of those words. */
export const ROW_HEAD = 2;

/** What `HashIndex` shows to a prober. */
export interface ProbedIndex {
  readonly slots: Int32Array;
  readonly mask: number;
}

export class Subtable {
  /** Index in the classifier's list of subtables. */
  readonly id: number;
  /** The mask: a row of KEY_WORDS words. */
  readonly mask: Int32Array;
  /** One odd factor per word of a key, for the hash. */
  readonly factors: Int32Array;
  /**
   * Pairs of first word and word after the last one: where the mask has bits. Runs rather than a list of words, since
   * most masks live in the first 13 words without a gap, and walking those in order takes 40 ns instead of 69.
   */
  readonly runs: Int32Array;
  /** Words from one row to the next: flow id + 1, hash, then the masked words of all runs. */
  readonly stride: number;
  /** What no row uses has 0 for a flow id + 1, so that whoever remembers a place sees that the flow is gone. */
  rows: Int32Array;
  /** From hash to row. Replaced with the rows when the subtable grows or shrinks. */
  index: ProbedIndex;
  /** Matches since the last ranking, and what is left of those before. */
  hits = 0;

  constructor(id: number, mask: Int32Array, factors: Int32Array, runs: Int32Array, index: ProbedIndex) {
    this.id = id;
    this.mask = mask;
    this.factors = factors;
    this.runs = runs;
    let stride = ROW_HEAD;
    for (let run = 0; run < runs.length; run += 2) stride += runs[run + 1]! - runs[run]!;
    this.stride = stride;
    this.rows = new Int32Array(0);
    this.index = index;
  }
}

/**
 * Hash of the masked words of the key at `keys[base]`: a sum of products of masked words and odd factors: unlike a chain of mixes, the multiplications do not wait for each
 * other. The factors are random, so that nobody can construct keys that collide.
 */
export function hashMasked(subtable: Subtable, keys: Int32Array, base: number): number {
  const { runs, mask, factors } = subtable;
  let hash = 0;
  for (let run = 0; run < runs.length; run += 2) {
    const end = runs[run + 1]!;
    for (let word = runs[run]!; word < end; word++) {
      hash = (hash + Math.imul(keys[base + word]! & mask[word]!, factors[word]!)) | 0;
    }
  }
  return finishHash(hash);
}

/** Products carry upwards only: brings what the high bits of their sum know down to those that index. */
export function finishHash(sum: number): number {
  const hash = Math.imul(sum ^ (sum >>> 16), 0x85ebca6b);
  return hash ^ (hash >>> 13);
}

/** The row that the key at `keys[base]` matches, or -1. */
export function findMasked(subtable: Subtable, keys: Int32Array, base: number): number {
  return findHashed(subtable, hashMasked(subtable, keys, base), keys, base);
}

/** As {@link findMasked}, for a key with this hash. */
export function findHashed(subtable: Subtable, hash: number, keys: Int32Array, base: number): number {
  const { slots, mask } = subtable.index;
  for (let at = hash & mask; ; at = (at + 1) & mask) {
    const entry = slots[at * 2 + 1]!;
    if (entry === 0) return -1;
    if (slots[at * 2] === hash && isRow(subtable, entry - 1, keys, base)) return entry - 1;
  }
}

/** The flow of a row that is in use. */
export function flowOfRow(subtable: Subtable, row: number): number {
  return subtable.rows[row * subtable.stride]! - 1;
}

function isRow(subtable: Subtable, row: number, keys: Int32Array, base: number): boolean {
  const { runs, mask, rows } = subtable;
  let at = row * subtable.stride + ROW_HEAD;
  for (let run = 0; run < runs.length; run += 2) {
    const end = runs[run + 1]!;
    for (let word = runs[run]!; word < end; word++) {
      if (rows[at] !== (keys[base + word]! & mask[word]!)) return false;
      at++;
    }
  }
  return true;
}
