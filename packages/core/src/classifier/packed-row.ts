/**
 * Flow keys in compact form: a bitmap of the words that are not zero, then those words. A typical key has 10 to 16 of
 * its 140 words set, so a million of them take 60 to 84 MB instead of 560.
 */

import { KEY_WORDS } from '@etherloom/odp-codec';

const BITMAP_WORDS = Math.ceil(KEY_WORDS / 32);
/** Words of the longest compact row. */
export const PACKED_WORDS = BITMAP_WORDS + KEY_WORDS;

/**
 * Packs the row at `row[base, base + KEY_WORDS)` into `into`, which holds {@link PACKED_WORDS} words; returns the number
 * of words used. Equal rows, and only those, pack to equal words.
 */
export function packRow(row: Int32Array, base: number, into: Int32Array): number {
  let length = BITMAP_WORDS;
  for (let part = 0; part < BITMAP_WORDS; part++) into[part] = 0;
  // Four words at a time: most keys end before word 40, and what follows is zero.
  for (let i = 0; i < KEY_WORDS; i += 4) {
    const at = base + i;
    if ((row[at]! | row[at + 1]! | row[at + 2]! | row[at + 3]!) === 0) continue;
    let bits = 0;
    for (let j = 0; j < 4; j++) {
      const word = row[at + j]!;
      if (word === 0) continue;
      bits |= 1 << j;
      into[length++] = word;
    }
    into[i >> 5]! |= bits << (i & 31);
  }
  return length;
}

/** Restores a packed row, zeros included, to `into[base, base + KEY_WORDS)`. */
export function unpackRow(packed: Int32Array, at: number, into: Int32Array, base: number): void {
  into.fill(0, base, base + KEY_WORDS);
  let next = at + BITMAP_WORDS;
  for (let part = 0; part < BITMAP_WORDS; part++) {
    let bits = packed[at + part]!;
    while (bits !== 0) {
      const lowest = 31 - Math.clz32(bits & -bits);
      into[base + part * 32 + lowest] = packed[next++]!;
      bits &= bits - 1;
    }
  }
}

/** Hash of the first `length` words of a packed row. */
export function hashPacked(packed: Int32Array, length: number, seed: number): number {
  let hash = seed;
  for (let i = 0; i < length; i++) {
    hash = Math.imul(hash ^ packed[i]!, 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  return hash;
}
