/**
 * Flow keys in compact form: bitmaps of the words that are not zero, and those words. A typical key has 9 to 16 of its 140
 * words set, so a million of them take 40 to 70 MB instead of 560.
 *
 * A row is five groups of 28 words. The first word of the compact form is the bitmap of the first group, with a bit for
 * each further group that is not all zeros; the group's words follow, then bitmap and words of each such group.
 */

import { KEY_WORDS } from '@etherloom/odp-codec/data';

const GROUP_WORDS = 28;
const GROUPS = KEY_WORDS / GROUP_WORDS;
/** In the first word: bit for the second group, the next ones for those after it. */
const FURTHER = 28;
/** Words of the longest compact row. */
export const PACKED_WORDS = GROUPS + KEY_WORDS;

/**
 * Packs the row at `row[base, base + KEY_WORDS)` into `into`, which holds {@link PACKED_WORDS} words; returns the number
 * of words used. Equal rows, and only those, pack to equal words, and none to the beginning of another. Words of the row
 * from `end` on must be zero, and need not be looked at.
 */
export function packRow(row: Int32Array, base: number, into: Int32Array, end = KEY_WORDS): number {
  let length = 1;
  let groups = 0;
  let at = base;
  let bitmapAt = 0;
  const behind = base + end;
  for (let group = 0; group < GROUPS && at < behind; group++) {
    let bitmap = 0;
    // Four words at a time: most keys end before word 40, and what follows is zero.
    for (let i = 0; i < GROUP_WORDS && at < behind; i += 4, at += 4) {
      const a = row[at]!;
      const b = row[at + 1]!;
      const c = row[at + 2]!;
      const d = row[at + 3]!;
      if ((a | b | c | d) === 0) continue;
      if (bitmap === 0 && group > 0) bitmapAt = length++;
      let bits = 0;
      if (a !== 0) {
        bits = 1;
        into[length++] = a;
      }
      if (b !== 0) {
        bits |= 2;
        into[length++] = b;
      }
      if (c !== 0) {
        bits |= 4;
        into[length++] = c;
      }
      if (d !== 0) {
        bits |= 8;
        into[length++] = d;
      }
      bitmap |= bits << i;
    }
    if (group === 0) groups = bitmap;
    else if (bitmap !== 0) {
      into[bitmapAt] = bitmap;
      groups |= 1 << (FURTHER + group - 1);
    }
  }
  into[0] = groups;
  return length;
}

/** Restores a packed row, zeros included, to `into[base, base + KEY_WORDS)`. */
export function unpackRow(packed: Int32Array, at: number, into: Int32Array, base: number): void {
  into.fill(0, base, base + KEY_WORDS);
  let next = at;
  let bits = packed[next++]!;
  let further = bits >>> FURTHER;
  bits &= (1 << FURTHER) - 1;
  let first = base;
  for (;;) {
    while (bits !== 0) {
      into[first + 31 - Math.clz32(bits & -bits)] = packed[next++]!;
      bits &= bits - 1;
    }
    if (further === 0) return;
    for (first += GROUP_WORDS; (further & 1) === 0; first += GROUP_WORDS) further >>>= 1;
    further >>>= 1;
    bits = packed[next++]!;
  }
}

/** Words of the packed row at `packed[at]`. */
export function packedLength(packed: Int32Array, at: number): number {
  const first = packed[at]!;
  let length = 1 + ones(first & ((1 << FURTHER) - 1));
  for (let further = first >>> FURTHER; further !== 0; further &= further - 1) {
    length += 1 + ones(packed[at + length]!);
  }
  return length;
}

function ones(bits: number): number {
  let count = 0;
  for (let rest = bits; rest !== 0; rest &= rest - 1) count++;
  return count;
}

/** Hash of the packed row at `packed[at, at + length)`. */
export function hashPacked(packed: Int32Array, at: number, length: number, seed: number): number {
  let hash = seed;
  for (let i = at; i < at + length; i++) {
    hash = Math.imul(hash ^ packed[i]!, 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  return hash;
}
