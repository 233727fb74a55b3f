/**
 * Netlink attributes: u16 length (header included), u16 type, payload, padding to 4. Header integers are in host
 * order, which on every machine that speaks this ABI with us is little-endian (uapi struct nlattr).
 */

/** Bytes of an attribute header. */
export const NLA_HEADER = 4;
/** Bits of the type field that are the type; the upper two are flags (nested, network order). */
export const NLA_TYPE_MASK = 0x3fff;
/** Longest payload that fits one attribute. */
export const NLA_MAX_PAYLOAD = 0xffff - NLA_HEADER;

/** Rounds up to the 4-byte alignment of attributes. */
export const nlAlign = (length: number): number => (length + 3) & ~3;

/**
 * Walks the attributes in `bytes[start, end)`.
 *
 * After `next()` returned true, `type`, `offset` (of the payload) and `length` (of the payload) describe the current
 * attribute. `next()` returns false at the end and at the first malformed header; `leftover` tells them apart: it is
 * the number of bytes that could not be read as an attribute, 0 for a well-formed stream. Reusable through `reset`.
 */
export class NlReader {
  bytes: Uint8Array;
  type = 0;
  offset = 0;
  length = 0;
  leftover = 0;
  #at: number;
  #end: number;

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.bytes = bytes;
    this.#at = start;
    this.#end = end;
  }

  reset(bytes: Uint8Array, start = 0, end = bytes.length): this {
    this.bytes = bytes;
    this.#at = start;
    this.#end = end;
    this.leftover = 0;
    return this;
  }

  next(): boolean {
    const at = this.#at;
    const room = this.#end - at;
    if (room < NLA_HEADER) {
      this.leftover = Math.max(room, 0);
      return false;
    }
    const length = this.bytes[at]! | (this.bytes[at + 1]! << 8);
    if (length < NLA_HEADER || length > room) {
      this.leftover = room;
      return false;
    }
    this.type = (this.bytes[at + 2]! | (this.bytes[at + 3]! << 8)) & NLA_TYPE_MASK;
    this.offset = at + NLA_HEADER;
    this.length = length - NLA_HEADER;
    // Padding that is cut off is not a fault of the attribute; what is left of it is left over.
    const padded = nlAlign(length);
    this.#at = at + (padded <= room ? padded : length);
    return true;
  }

  /** The payload of the current attribute: a view, valid as long as the bytes are. */
  payload(): Uint8Array {
    return this.bytes.subarray(this.offset, this.offset + this.length);
  }

  /** A reader over the payload of the current attribute. */
  nested(): NlReader {
    return new NlReader(this.bytes, this.offset, this.offset + this.length);
  }
}

/** Longer results have a buffer of their own, ... */
const POOLED_MAX = 512;
/** ... and up to this length V8 keeps an array in its own heap, which is cheaper yet. */
const POOLED_MIN = 64;
/** Small, because one result that somebody keeps, keeps all of the pool that it is in. */
const POOL_BYTES = 8192;

let pool = new Uint8Array(0);
let poolWords = new Int32Array(pool.buffer);
/** A multiple of 4. */
let poolUsed = 0;

/**
 * A copy of the first `length` bytes (a multiple of 4) of an array of words. A buffer outside V8's heap costs 0.3 us, a
 * view of a shared one 0.15, so that most keys are views into a pool, as Node's buffers are. Not for users of the package.
 */
export function pooledCopy(words: Int32Array, length: number): Uint8Array {
  // A pool whose buffer a caller transferred away has no length, and is replaced as a full one is.
  if (poolUsed + length > pool.length) {
    pool = new Uint8Array(POOL_BYTES);
    poolWords = new Int32Array(pool.buffer);
    poolUsed = 0;
  }
  const start = poolUsed;
  const target = poolWords;
  for (let i = 0; i < length >> 2; i++) target[(start >> 2) + i] = words[i]!;
  poolUsed = start + length;
  // As `subarray`, in two thirds of its time.
  return new Uint8Array(pool.buffer, start, length);
}

/** The bytes of a word in the opposite order: network order on the little-endian hosts that speak this ABI. */
const swap32 = (value: number): number =>
  (value << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24);

/**
 * Writes attributes into a growing buffer. `finish()` copies them out; `clear()` starts again with the same memory.
 * Attributes are aligned to words, so that headers and integers are written as words: a key of 17 attributes takes
 * 0.3 us, with a store for each byte 0.65 us, through a `DataView` 3.7 us.
 */
export class NlWriter {
  #bytes: Uint8Array;
  /** The same memory. */
  #words: Int32Array;
  /** Always a multiple of 4. */
  #length = 0;

  constructor(capacity = 512) {
    this.#bytes = new Uint8Array(nlAlign(capacity));
    this.#words = new Int32Array(this.#bytes.buffer);
  }

  get length(): number {
    return this.#length;
  }

  /** The memory: what `reserve` returned is an index into it. Growing replaces it, so do not keep it. */
  get memory(): Uint8Array {
    return this.#bytes;
  }

  clear(): this {
    this.#length = 0;
    return this;
  }

  /** Reserves an attribute with `length` payload bytes, zeroed; returns the payload's index in `memory`. */
  reserve(type: number, length: number): number {
    if (length > NLA_MAX_PAYLOAD) throw new RangeError(`attribute payload of ${length} bytes exceeds 65531`);
    const start = this.#length;
    const end = start + NLA_HEADER + nlAlign(length);
    if (end > this.#bytes.length) this.#grow(end);
    const words = this.#words;
    words[start >> 2] = (type << 16) | (NLA_HEADER + length);
    for (let word = (start >> 2) + 1; word < end >> 2; word++) words[word] = 0;
    this.#length = end;
    return start + NLA_HEADER;
  }

  /** An attribute whose payload fits one word, given as it is in memory. */
  #word(type: number, length: number, value: number): void {
    const start = this.#length;
    const end = start + NLA_HEADER + 4;
    if (end > this.#bytes.length) this.#grow(end);
    const words = this.#words;
    words[start >> 2] = (type << 16) | (NLA_HEADER + length);
    words[(start >> 2) + 1] = value;
    this.#length = end;
  }

  flag(type: number): void {
    this.reserve(type, 0);
  }

  u8(type: number, value: number): void {
    this.#word(type, 1, value & 0xff);
  }

  /** Host order. */
  u16(type: number, value: number): void {
    this.#word(type, 2, value & 0xffff);
  }

  /** Host order. */
  u32(type: number, value: number): void {
    this.#word(type, 4, value);
  }

  /** Network order. */
  be16(type: number, value: number): void {
    this.#word(type, 2, ((value & 0xff) << 8) | ((value >>> 8) & 0xff));
  }

  /** Network order. */
  be32(type: number, value: number): void {
    this.#word(type, 4, swap32(value));
  }

  put(type: number, payload: Uint8Array): void {
    const at = this.reserve(type, payload.length);
    this.#bytes.set(payload, at);
  }

  /** Appends bytes that already are attributes. */
  append(attributes: Uint8Array): void {
    const at = this.#length;
    const end = at + nlAlign(attributes.length);
    if (end > this.#bytes.length) this.#grow(end);
    this.#bytes.set(attributes, at);
    this.#bytes.fill(0, at + attributes.length, end);
    this.#length = end;
  }

  /** Opens a nested attribute; give the mark to `end`. */
  begin(type: number): number {
    return this.reserve(type, 0) - NLA_HEADER;
  }

  /** Closes a nested attribute. Throws a `RangeError` when what it holds is longer than an attribute can say. */
  end(mark: number): void {
    const length = this.#length - mark;
    if (length > 0xffff) throw new RangeError(`nested attribute of ${length} bytes exceeds 65535`);
    this.#bytes[mark] = length;
    this.#bytes[mark + 1] = length >> 8;
  }

  /** Forgets everything after `mark` (a `length` read earlier). */
  rewind(mark: number): void {
    this.#length = mark;
  }

  /** The attributes written so far: a view that the next write may invalidate. */
  peek(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /**
   * A copy of the attributes written so far. Its `buffer` may be shared with other results and larger than it: heed
   * `byteOffset`, and transfer a copy, not the buffer.
   */
  finish(): Uint8Array {
    const length = this.#length;
    if (length <= POOLED_MIN || length > POOLED_MAX) return this.#bytes.slice(0, length);
    return pooledCopy(this.#words, length);
  }

  #grow(least: number): void {
    const bytes = new Uint8Array(nlAlign(Math.max(least, this.#bytes.length * 2)));
    bytes.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = bytes;
    this.#words = new Int32Array(bytes.buffer);
  }
}
