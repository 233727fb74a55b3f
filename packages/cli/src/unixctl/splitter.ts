/**
 * Cuts a byte stream into the JSON objects that stand back to back in it. It only finds their ends: whether what lies
 * between is JSON is the reader's business.
 */

import { UnixctlProtocolError } from './protocol.js';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;

/** Levels of nesting, as in Open vSwitch: what is deeper would use up the stack of whoever walks it. */
const MAX_DEPTH = 1000;

const isSpace = (byte: number): boolean => byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);

/**
 * Feed it chunks as they arrive; each byte is looked at once. All structure characters of JSON are ASCII, so bytes are
 * scanned and a multi-byte character that two chunks share is put together only when its object is complete.
 */
export class JsonSplitter {
  readonly #maxBytes: number;
  #parts: Uint8Array[] = [];
  #length = 0;
  #depth = 0;
  #inString = false;
  #escaped = false;
  #failed: UnixctlProtocolError | undefined;

  /** `maxBytes` bounds one object, and with it the memory held for an unfinished one. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes of an object that has begun and not ended. */
  get pending(): number {
    return this.#length;
  }

  /**
   * The objects that end in `chunk`, as text. Throws a `UnixctlProtocolError` when something other than an object
   * begins or one grows past the bound; from then on every call throws it again.
   */
  push(chunk: Uint8Array): string[] {
    if (this.#failed !== undefined) throw this.#failed;
    const objects: string[] = [];
    let start = 0;
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i]!;
      if (this.#depth === 0) {
        if (isSpace(byte)) continue;
        if (byte !== OPEN_BRACE) throw this.#fail(`expected "{", found byte 0x${byte.toString(16)}`);
        start = i;
        this.#depth = 1;
      } else if (this.#inString) {
        if (this.#escaped) this.#escaped = false;
        else if (byte === BACKSLASH) this.#escaped = true;
        else if (byte === QUOTE) this.#inString = false;
      } else if (byte === QUOTE) {
        this.#inString = true;
      } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
        if (++this.#depth > MAX_DEPTH)
          throw this.#fail(`a message is nested deeper than ${MAX_DEPTH} levels`);
      } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
        if (--this.#depth === 0) {
          this.#keep(chunk.subarray(start, i + 1));
          objects.push(this.#take());
          start = i + 1;
        }
      }
    }
    if (this.#depth > 0) this.#keep(chunk.subarray(start));
    return objects;
  }

  #keep(part: Uint8Array): void {
    this.#length += part.length;
    if (this.#length > this.#maxBytes) throw this.#fail(`a message is longer than ${this.#maxBytes} bytes`);
    // A copy: a socket may reuse its read buffer for the next chunk.
    if (part.length > 0) this.#parts.push(part.slice());
  }

  #take(): string {
    const text = Buffer.concat(this.#parts).toString('utf8');
    this.#parts = [];
    this.#length = 0;
    return text;
  }

  #fail(message: string): UnixctlProtocolError {
    this.#failed = new UnixctlProtocolError(message);
    this.#parts = [];
    this.#length = 0;
    return this.#failed;
  }
}
