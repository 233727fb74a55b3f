/**
 * A ring of frames in shared memory with one producer and one consumer, each on any thread: how frames get between the
 * control half of a dummy device and its queues. Hot: no allocation, no throw.
 *
 * Records lie one behind the other, length first, aligned to 4 and never split by the end of the memory: a record that
 * does not fit there starts at the front again, and -1 in place of its length says so. Positions are byte counts modulo
 * 2 ** 32 and grow forever; the capacity is a power of two, so a position's low bits are its place.
 */

import { copyBytes } from '@etherloom/core/data';

/** Words of the header: who removes writes HEAD, who adds writes TAIL. 64 bytes apart: no false sharing. */
export const RING_HEAD = 0;
export const RING_TAIL = 16;
const RING_HEADER = 128;

/** Holds at least three frames of 65,535 bytes, or four thousand of 60. */
const RING_CAPACITY = 262_144;
export const RING_BYTES = RING_HEADER + RING_CAPACITY;
const MASK = RING_CAPACITY - 1;
const WRAP = -1;

export class FrameRing {
  /** For Atomics.waitAsync and Atomics.notify on RING_TAIL. */
  readonly words: Int32Array;
  readonly #view: DataView;

  /** Attaches to `memory` of {@link RING_BYTES} bytes; zeroed memory is an empty ring. */
  constructor(memory: SharedArrayBuffer) {
    this.words = new Int32Array(memory, 0, RING_HEADER / 4);
    this.#view = new DataView(memory, RING_HEADER, RING_CAPACITY);
  }

  /** Producer: appends `length` bytes of `from` at `at`. False when there is no room. */
  push(from: DataView, at: number, length: number): boolean {
    const tail = this.words[RING_TAIL]!;
    const used = (tail - Atomics.load(this.words, RING_HEAD)) | 0;
    const need = 4 + ((length + 3) & ~3);
    let place = tail & MASK;
    let advance = need;
    const toEnd = RING_CAPACITY - place;
    if (need > toEnd) advance += toEnd;
    if (used + advance > RING_CAPACITY) return false;
    if (need > toEnd) {
      this.#view.setInt32(place, WRAP, true);
      place = 0;
    }
    this.#view.setInt32(place, length, true);
    copyBytes(from, at, this.#view, place + 4, length);
    Atomics.store(this.words, RING_TAIL, (tail + advance) | 0);
    return true;
  }

  /** Consumer: length of the first record, -1 when the ring is empty. */
  next(): number {
    const head = this.words[RING_HEAD]!;
    const tail = Atomics.load(this.words, RING_TAIL);
    if (head === tail) return -1;
    const length = this.#view.getInt32(head & MASK, true);
    if (length !== WRAP) return length;
    Atomics.store(this.words, RING_HEAD, (head + RING_CAPACITY - (head & MASK)) | 0);
    // Who wraps writes the record before the tail moves: there is one at the front.
    return this.#view.getInt32(0, true);
  }

  /** Consumer: copies the first record's bytes, after `next` gave its length, and removes it. */
  take(to: DataView, at: number): void {
    const place = this.words[RING_HEAD]! & MASK;
    copyBytes(this.#view, place + 4, to, at, this.#view.getInt32(place, true));
    this.skip();
  }

  /** Consumer: removes the first record, after `next` gave its length. */
  skip(): void {
    const head = this.words[RING_HEAD]!;
    const length = this.#view.getInt32(head & MASK, true);
    Atomics.store(this.words, RING_HEAD, (head + 4 + ((length + 3) & ~3)) | 0);
  }
}
