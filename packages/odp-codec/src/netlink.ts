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
    this.#at = at + nlAlign(length);
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

/** Writes attributes into a growing buffer. `finish()` copies them out; `clear()` starts again with the same memory. */
export class NlWriter {
  #bytes: Uint8Array;
  #view: DataView;
  #length = 0;

  constructor(capacity = 512) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  get length(): number {
    return this.#length;
  }

  clear(): this {
    this.#length = 0;
    return this;
  }

  /** Reserves an attribute with `length` payload bytes, zeroed; returns the payload's offset. */
  reserve(type: number, length: number): number {
    if (length > NLA_MAX_PAYLOAD) throw new RangeError(`attribute payload of ${length} bytes exceeds 65531`);
    const at = this.#length;
    const end = at + NLA_HEADER + nlAlign(length);
    if (end > this.#bytes.length) this.#grow(end);
    this.#view.setUint16(at, NLA_HEADER + length, true);
    this.#view.setUint16(at + 2, type, true);
    this.#bytes.fill(0, at + NLA_HEADER, end);
    this.#length = end;
    return at + NLA_HEADER;
  }

  flag(type: number): void {
    this.reserve(type, 0);
  }

  u8(type: number, value: number): void {
    this.#bytes[this.reserve(type, 1)] = value;
  }

  /** Host order. */
  u16(type: number, value: number): void {
    const at = this.reserve(type, 2);
    this.#view.setUint16(at, value, true);
  }

  /** Host order. */
  u32(type: number, value: number): void {
    const at = this.reserve(type, 4);
    this.#view.setUint32(at, value, true);
  }

  /** Network order. */
  be16(type: number, value: number): void {
    const at = this.reserve(type, 2);
    this.#view.setUint16(at, value);
  }

  /** Network order. */
  be32(type: number, value: number): void {
    const at = this.reserve(type, 4);
    this.#view.setUint32(at, value);
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
    this.#view.setUint16(mark, length, true);
  }

  /** Forgets everything after `mark` (a `length` read earlier). */
  rewind(mark: number): void {
    this.#length = mark;
  }

  /** The memory written so far: a view that the next write may invalidate. */
  peek(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  #grow(least: number): void {
    const bytes = new Uint8Array(Math.max(least, this.#bytes.length * 2));
    bytes.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
  }
}
