/**
 * The flow cache: from the hash of the words that any mask needs to the place of the flow that such a packet had last.
 * Hot: no allocation, no throw.
 *
 * An entry is a hint, a hash and a place, never a copy of a key: whoever finds one compares the packet with the flow that
 * is at that place now. So nothing has to be told to the cache when flows come and go, and an entry costs 8 bytes.
 */

/** Bits of a reference that hold the subtable; the others hold its row + 1. */
const TABLE_BITS = 11;
const TABLE_MASK = (1 << TABLE_BITS) - 1;
const MAX_ROW = (1 << (32 - TABLE_BITS)) - 2;

const MIN_ENTRIES = 1 << 10;
/** 8 MiB: a megabyte of entries hold the working set of as many five-tuples as a switch can meet in a second. */
const MAX_ENTRIES = 1 << 20;

/** No entry. */
export const NO_REFERENCE = 0;

export class FlowCache {
  /** Sets of two entries, each hash and reference; the one that came later stands first. */
  entries = new Int32Array(MIN_ENTRIES * 2);
  /** `hash & setMask` is the number of the set. */
  setMask = MIN_ENTRIES / 2 - 1;
  /** Entries that were pushed out since the cache grew. */
  #pushedOut = 0;

  /** Whether so many entries were pushed out that twice the size would pay: call {@link grow} outside the hot path. */
  get wantsMore(): boolean {
    return this.#pushedOut > this.setMask && this.entries.length < MAX_ENTRIES * 2;
  }

  /** What is known for `hash`: a reference or {@link NO_REFERENCE}. */
  find(hash: number): number {
    const { entries } = this;
    const at = (hash & this.setMask) * 4;
    if (entries[at] === hash) return entries[at + 1]!;
    if (entries[at + 2] === hash) return entries[at + 3]!;
    return NO_REFERENCE;
  }

  /**
   * Keeps a place. A cache that is full and as large as it may be takes one place in eight: traffic in turns over more
   * flows than fit would otherwise push out every entry just before it is needed.
   */
  insert(hash: number, table: number, row: number): void {
    if (row > MAX_ROW || table > TABLE_MASK) return;
    const { entries } = this;
    const at = (hash & this.setMask) * 4;
    const reference = ((row + 1) << TABLE_BITS) | table;
    if (entries[at] !== hash && entries[at + 1] !== NO_REFERENCE) {
      if (entries[at + 2] !== hash && entries[at + 3] !== NO_REFERENCE) {
        this.#pushedOut++;
        if (entries.length === MAX_ENTRIES * 2 && (this.#pushedOut & 7) !== 0) return;
      }
      entries[at + 2] = entries[at]!;
      entries[at + 3] = entries[at + 1]!;
    }
    entries[at] = hash;
    entries[at + 1] = reference;
  }

  /** Control path: twice the size. */
  grow(): void {
    const before = this.entries;
    this.entries = new Int32Array(before.length * 2);
    this.setMask = this.entries.length / 4 - 1;
    this.#pushedOut = 0;
    for (let at = 0; at < before.length; at += 2) {
      const reference = before[at + 1]!;
      if (reference !== NO_REFERENCE) this.insert(before[at]!, tableOf(reference), rowOf(reference));
    }
  }
}

/** Id of the subtable that a reference names. */
export function tableOf(reference: number): number {
  return reference & TABLE_MASK;
}

export function rowOf(reference: number): number {
  return (reference >>> TABLE_BITS) - 1;
}
