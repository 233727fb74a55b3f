/**
 * Tuple-space search over compact rows: the words of a packet that some mask of its port needs, one behind the other.
 * For ports with many masks, where code for each mask would be too much code. Hot: no allocation, no throw.
 */

import { finishHash, type Subtable } from '../subtable.hot.js';

/** Words from one packet's compact row to the next: zero, in_port, and at most 37 that a frame decides. */
export const COMPACT_WORDS = 40;
/** Always 0: stands for the words of a key that a received frame cannot set. */
export const COMPACT_ZERO = 0;
export const COMPACT_PORT = 1;

/** Words of a term: place in a compact row, mask, place in a row of the subtable, hash factor. */
export const TERM_WORDS = 4;

/** Where the words of masks are: one term per word that a mask has bits in, subtable by subtable. */
export interface CompactTerms {
  readonly terms: Int32Array;
  /** By position: where the terms of that subtable end. */
  readonly ends: Int32Array;
  /** By subtable id: its position, or -1. */
  readonly positions: Int32Array;
}

/** Whether row `row` of the subtable at `position` matches the compact row at `compact[base]`. */
export function matchesCompact(
  { terms, ends }: CompactTerms,
  position: number,
  subtable: Subtable,
  row: number,
  compact: Int32Array,
  base: number,
): boolean {
  const { rows } = subtable;
  const at = row * subtable.stride;
  const end = ends[position]!;
  for (let term = position === 0 ? 0 : ends[position - 1]!; term < end; term += 4) {
    if ((compact[base + terms[term]!]! & terms[term + 1]!) !== rows[at + terms[term + 2]!]) return false;
  }
  return true;
}

/** The row of the subtable at `position` that the compact row at `compact[base]` matches, or -1. */
export function findCompact(
  compactTerms: CompactTerms,
  position: number,
  subtable: Subtable,
  compact: Int32Array,
  base: number,
): number {
  const { terms, ends } = compactTerms;
  const end = ends[position]!;
  let hash = 0;
  for (let term = position === 0 ? 0 : ends[position - 1]!; term < end; term += 4) {
    hash = (hash + Math.imul(compact[base + terms[term]!]! & terms[term + 1]!, terms[term + 3]!)) | 0;
  }
  hash = finishHash(hash);
  const { slots, mask } = subtable.index;
  for (let at = hash & mask; ; at = (at + 1) & mask) {
    const entry = slots[at * 2 + 1]!;
    if (entry === 0) return -1;
    if (
      slots[at * 2] === hash &&
      matchesCompact(compactTerms, position, subtable, entry - 1, compact, base)
    ) {
      return entry - 1;
    }
  }
}
