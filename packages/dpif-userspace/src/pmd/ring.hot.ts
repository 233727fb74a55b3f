/**
 * A ring of records in shared memory with one producer and one consumer, each on any thread: commands, replies, upcalls
 * and packets for another thread's port go through such rings. Hot: no allocation, no throw.
 *
 * A record is a run of 32-bit words, never split by the end of the memory: one that does not fit there starts at the front
 * again, and a mark in place of its length says so. Positions count words modulo 2 ** 32 and grow forever; the
 * capacity is a power of two, so a position's low bits are its place. Records are written and read in place; what was
 * written shows, and what was read is free again, with one atomic store per batch (an atomic access costs 5 to 9 ns, a
 * plain one 0.5).
 */

/** Words of the header: who removes writes HEAD, who adds writes TAIL. 64 bytes apart: no false sharing. */
const HEAD = 0;
const TAIL = 16;
const HEADER_BYTES = 128;
const WRAP = -1;

/** Bytes of a ring of `words` words, a power of two. */
export function ringBytes(words: number): number {
  return HEADER_BYTES + words * 4;
}

/** Words of the longest record of a ring of `words` words: an empty ring takes it wherever it starts. */
export function longestRecord(words: number): number {
  return (words >> 1) - 1;
}

export class SharedRing {
  /** Records are written to and read from here, at the indices that `reserve`, `peek` and `reclaim` return. */
  readonly words: Int32Array;
  /** The same memory: byte `4 * i` is the first one of word `i`. */
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly capacity: number;
  readonly #header: Int32Array;
  readonly #mask: number;
  // Producer: next position, the one that the consumer sees, the consumer's as last seen, and what was reclaimed.
  #tail: number;
  #published: number;
  #consumed: number;
  #reclaimed: number;
  // Consumer: next position, the one that the producer sees, the producer's as last seen.
  #head: number;
  #released: number;
  #seen: number;

  /** Attaches to `memory` of `ringBytes(n)` bytes, as either end; zeroed memory is an empty ring. */
  constructor(memory: SharedArrayBuffer) {
    this.#header = new Int32Array(memory, 0, HEADER_BYTES / 4);
    this.words = new Int32Array(memory, HEADER_BYTES);
    this.bytes = new Uint8Array(memory, HEADER_BYTES);
    this.view = new DataView(memory, HEADER_BYTES);
    this.capacity = this.words.length;
    this.#mask = this.capacity - 1;
    this.#head = Atomics.load(this.#header, HEAD);
    this.#tail = Atomics.load(this.#header, TAIL);
    this.#published = this.#tail;
    this.#consumed = this.#head;
    this.#reclaimed = this.#head;
    this.#released = this.#head;
    this.#seen = this.#head;
  }

  /** Producer: words that are free, in one piece or two. */
  get free(): number {
    return this.capacity - ((this.#tail - this.#consumed) | 0);
  }

  /** Producer: looks how far the consumer is. */
  refresh(): void {
    this.#consumed = Atomics.load(this.#header, HEAD);
  }

  /** Producer: whether a record of `length` words certainly fits, as far as the last `refresh` knows. */
  fits(length: number): boolean {
    // The end of the memory may waste almost as much as the record takes.
    return this.free >= 2 * length + 2;
  }

  /**
   * Producer: appends a record of `length` words, to be written before the next `publish`; returns the index of its
   * first word, or -1 when there is no room.
   */
  reserve(length: number): number {
    const need = length + 1;
    let tail = this.#tail;
    let place = tail & this.#mask;
    const toEnd = this.capacity - place;
    const advance = need > toEnd ? toEnd + need : need;
    if (((tail - this.#consumed) | 0) + advance > this.capacity) {
      this.refresh();
      if (((tail - this.#consumed) | 0) + advance > this.capacity) return -1;
    }
    if (need > toEnd) {
      this.words[place] = WRAP;
      tail = (tail + toEnd) | 0;
      place = 0;
    }
    this.words[place] = need;
    this.#tail = (tail + need) | 0;
    return place + 1;
  }

  /** Producer: lets the consumer see what was appended; returns whether there was something. */
  publish(): boolean {
    if (this.#published === this.#tail) return false;
    this.#published = this.#tail;
    Atomics.store(this.#header, TAIL, this.#tail);
    return true;
  }

  /**
   * Producer: the index of a record that the consumer was done with at the last `refresh`, oldest first, each once; -1
   * when there is none. It is whole until the next `reserve`.
   */
  reclaim(): number {
    if (this.#reclaimed === this.#consumed) return -1;
    let place = this.#reclaimed & this.#mask;
    if (this.words[place] === WRAP) {
      this.#reclaimed = (this.#reclaimed + this.capacity - place) | 0;
      if (this.#reclaimed === this.#consumed) return -1;
      place = 0;
    }
    this.#reclaimed = (this.#reclaimed + this.words[place]!) | 0;
    return place + 1;
  }

  /** Consumer: the index of the first record, or -1 when the ring is empty. */
  peek(): number {
    if (this.#head === this.#seen) {
      this.#seen = Atomics.load(this.#header, TAIL);
      if (this.#head === this.#seen) return -1;
    }
    const place = this.#head & this.#mask;
    if (this.words[place] !== WRAP) return place + 1;
    // Who wraps publishes the mark and the record together: there is one at the front.
    this.#head = (this.#head + this.capacity - place) | 0;
    return 1;
  }

  /** Length in words of the record at `index`. */
  length(index: number): number {
    return this.words[index - 1]! - 1;
  }

  /** Consumer: goes on behind the first record, which `peek` returned. Its memory stays until `release`. */
  skip(): void {
    this.#head = (this.#head + this.words[this.#head & this.#mask]!) | 0;
  }

  /** Consumer: gives back the memory of what was skipped. */
  release(): void {
    if (this.#released === this.#head) return;
    this.#released = this.#head;
    Atomics.store(this.#header, HEAD, this.#head);
  }
}
