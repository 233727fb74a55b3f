/** Mutations of bytes that have no structure we know of. */

import type { Random } from '../random.js';

/** Numbers at which code changes its mind, also in big-endian order. */
const INTERESTING = [
  0, 1, 2, 3, 4, 5, 7, 8, 0x0f, 0x10, 0x14, 0x1f, 0x20, 0x3f, 0x40, 0x7f, 0x80, 0xfe, 0xff, 0x100, 0x3ff,
  0x5dc, 0x5ff, 0x600, 0x800, 0x806, 0xfff, 0x1000, 0x1fff, 0x2000, 0x3fff, 0x7fff, 0x8000, 0x8100, 0x8847,
  0x86dd, 0x88a8, 0x894f, 0xffff, 0x10000, 0xfffff, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff,
];
/** Longest stretch that is inserted or removed at once. */
const STRETCH = 40;

type Change = (random: Random, bytes: Uint8Array, donor: Uint8Array) => Uint8Array;

/** Puts `insert` in the place of `remove` bytes at `at`, or of as many as there are. */
function splice(bytes: Uint8Array, at: number, remove: number, insert: Uint8Array): Uint8Array {
  const out = new Uint8Array(bytes.length - Math.min(remove, bytes.length - at) + insert.length);
  out.set(bytes.subarray(0, at));
  out.set(insert, at);
  out.set(bytes.subarray(at + remove), at + insert.length);
  return out;
}

/** A stretch of `bytes`, not empty unless they are. */
function stretch(random: Random, bytes: Uint8Array): Uint8Array {
  const at = random.below(bytes.length);
  return bytes.subarray(at, at + 1 + random.below(STRETCH));
}

/** Sets 1, 2 or 4 bytes, in either order. */
const setNumber: Change = (random, bytes) => {
  const out = bytes.slice();
  const size = random.pick([1, 2, 4]);
  if (out.length < size) return out;
  const view = new DataView(out.buffer);
  const at = random.below(out.length - size + 1);
  const near = random.oneIn(4) ? random.below(5) - 2 : 0;
  const value = random.pick(INTERESTING) + near;
  const little = random.oneIn(2);
  if (size === 1) view.setUint8(at, value);
  else if (size === 2) view.setUint16(at, value, little);
  else view.setUint32(at, value, little);
  return out;
};

const IN_PLACE: readonly Change[] = [
  (random, bytes) => {
    const out = bytes.slice();
    const bit = random.below(out.length * 8);
    if (out.length > 0) out[bit >> 3]! ^= 1 << (bit & 7);
    return out;
  },
  (random, bytes) => {
    const out = bytes.slice();
    if (out.length > 0) out[random.below(out.length)] = random.next();
    return out;
  },
  setNumber,
  setNumber,
  (random, bytes) => {
    const out = bytes.slice();
    out.fill(random.pick([0, 0xff]), random.below(out.length), random.below(out.length + 1));
    return out;
  },
];

const RESIZING: readonly Change[] = [
  ...IN_PLACE,
  (random, bytes) => splice(bytes, random.below(bytes.length), 0, new Uint8Array(1 + random.below(STRETCH))),
  (random, bytes) => splice(bytes, random.below(bytes.length), 0, stretch(random, bytes)),
  (random, bytes, donor) => splice(bytes, random.below(bytes.length), 0, stretch(random, donor)),
  (random, bytes) => {
    const gone = stretch(random, bytes);
    return splice(bytes, gone.byteOffset - bytes.byteOffset, gone.length, new Uint8Array(0));
  },
  (random, bytes) => bytes.slice(0, random.below(bytes.length + 1)),
  (random, bytes, donor) =>
    splice(bytes, random.below(bytes.length), bytes.length, donor.subarray(random.below(donor.length))),
  // Short, full-sized and jumbo frames take different paths.
  (random, bytes) => splice(bytes, bytes.length, 0, new Uint8Array(random.below(2000)).fill(random.next())),
];

/** One mutation. `donor` gives what is spliced in. */
export function mutateBytes(random: Random, bytes: Uint8Array, donor: Uint8Array): Uint8Array {
  return random.pick(RESIZING)(random, bytes, donor);
}

/** One mutation that leaves the length as it is. */
export function mutateInPlace(random: Random, bytes: Uint8Array): Uint8Array {
  return random.pick(IN_PLACE)(random, bytes, bytes);
}
