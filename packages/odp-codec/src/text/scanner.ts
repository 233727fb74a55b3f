/**
 * A cursor over text that reads numbers and addresses the way Open vSwitch's own scanner does, so that what dpctl
 * accepts is accepted and what it truncates is truncated: white space is skipped before every number, a number may
 * carry a sign, base 0 understands `0x..` and octal `0..`, and a value is cut to the width of its field instead of
 * being refused (`eth_type(0x10000)` is eth_type 0).
 *
 * Readers return `undefined` and leave the position alone when what they look for is not there. `need` and `fail`
 * turn that into an {@link OdpError} that names the column.
 */
import { OdpError, type OdpErrorCode } from '../errors.js';
import { hexDigit, readIpv6 } from './address.js';

/** What isspace(3) knows in the C locale. */
const isSpace = (code: number): boolean => code === 0x20 || (code >= 0x09 && code <= 0x0d);
const isDelimiter = (code: number): boolean =>
  code === COMMA || code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09;
const PLUS = 0x2b;
const COMMA = 0x2c;
const MINUS = 0x2d;
const DOT = 0x2e;
const ZERO = 0x30;
const COLON = 0x3a;
const X = 0x78;
/** Below this, a number times 16 and a digit are a 32-bit integer, which is cheaper to work with than two halves. */
const SMALL = 0x400_0000;
/** What may stand between two attributes or two actions. */
export const DELIMITERS = ', \t\r\n';

/** By code the value of a hexadecimal digit, 255 for anything else. */
const DIGITS = Uint8Array.from({ length: 256 }, (_, code) => hexDigit(code) & 0xff);

/** Longest IPv6 text the scanner of OVS looks at. */
const IPV6_TEXT = 46;

/** What stands at the end of the codes, and for every character that is not ASCII: no literal has it. */
const NONE = 0xff;
/** Room for a line of dump-flows. */
const ROOM = 1024;

/** Of the Encoding Standard, so that every browser has it as well as Node; TypeScript knows it only with either's types. */
declare const TextEncoder: new () => {
  encodeInto(text: string, into: Uint8Array): { readonly read: number; readonly written: number };
};
const encoder = new TextEncoder();

export class Scanner {
  /** 0-based index of the next character. */
  position: number;
  /** Upper and lower 32 bits of what `integer` read last; signed, as V8 stores those without converting them. */
  #hi = 0;
  #lo = 0;
  /** Whether that had more than 64 bits. */
  #overflow = false;
  #text = '';
  /** The text in ASCII, ended by {@link NONE}: an IPv4 address is read from it in half the time that `charCodeAt` takes. */
  #codes = new Uint8Array(ROOM);
  #end = 0;
  /** What {@link NONE} stands in place of. */
  #atEnd = NONE;

  constructor(text: string, position = 0) {
    this.reset(text);
    this.position = position;
  }

  /** Starts again at the beginning of another text. */
  reset(text: string): this {
    const { length } = text;
    if (this.#codes.length <= length) this.#codes = new Uint8Array(2 * length);
    const codes = this.#codes;
    const { read, written } = encoder.encodeInto(text, codes);
    if (read < length || written > length) {
      for (let i = 0; i < length; i++) {
        const code = text.charCodeAt(i);
        codes[i] = code < 0x80 ? code : NONE;
      }
    }
    codes[length] = NONE;
    this.#text = text;
    this.#end = length;
    this.#atEnd = NONE;
    this.position = 0;
    return this;
  }

  get text(): string {
    return this.#text;
  }

  /** Upper 32 bits, unsigned, of what `integer` read last. */
  get hi(): number {
    return this.#hi >>> 0;
  }

  /** Lower 32 bits, unsigned, of what `integer` read last. */
  get lo(): number {
    return this.#lo >>> 0;
  }

  /** Where the text ends: its length, or less where only a part of it is to be read. Errors quote what follows, too. */
  get end(): number {
    return this.#end;
  }

  /** At most the length of the text. */
  set end(end: number) {
    const codes = this.#codes;
    codes[this.#end] = this.#atEnd;
    this.#atEnd = codes[end]!;
    codes[end] = NONE;
    this.#end = end;
  }

  /** 1-based column of the next character. */
  get column(): number {
    return this.position + 1;
  }

  get done(): boolean {
    return this.position >= this.#end;
  }

  /** Up to `most` of the next characters, without taking them. */
  ahead(most: number): string {
    return this.#text.slice(this.position, Math.min(this.position + most, this.#end));
  }

  /** ASCII code of the next character, or 255. */
  code(): number {
    return this.#codes[this.position]!;
  }

  /** Whether `literal`, which is ASCII, comes next. */
  at(literal: string): boolean {
    const codes = this.#codes;
    const { position } = this;
    for (let i = 0; i < literal.length; i++) {
      if (codes[position + i] !== literal.charCodeAt(i)) return false;
    }
    return true;
  }

  /** {@link at} for a literal as ASCII codes, of which the first is known to come next. */
  atCodes(literal: Uint8Array): boolean {
    const codes = this.#codes;
    const { position } = this;
    for (let i = 1; i < literal.length; i++) if (codes[position + i] !== literal[i]) return false;
    return true;
  }

  /** Takes `literal` if it comes next. */
  accept(literal: string): boolean {
    if (!this.at(literal)) return false;
    this.position += literal.length;
    return true;
  }

  /** Takes the character of this ASCII code if it comes next. */
  acceptCode(code: number): boolean {
    if (this.#codes[this.position] !== code) return false;
    this.position++;
    return true;
  }

  /** Takes `literal` or fails. */
  expect(literal: string): void {
    if (!this.accept(literal)) this.fail(`'${literal}'`);
  }

  /** Skips characters that are in `set`. */
  skip(set: string): void {
    while (this.position < this.#end && set.includes(this.#text[this.position]!)) this.position++;
  }

  /** Whether something comes next that may stand between attributes and between actions. */
  atDelimiter(): boolean {
    return isDelimiter(this.code());
  }

  /** Skips what may stand between attributes and between actions. */
  skipDelimiters(): void {
    while (isDelimiter(this.code())) this.position++;
  }

  /** The characters up to the first one of `set` (or the end), without taking them. */
  until(set: string): string {
    let end = this.position;
    while (end < this.#end && !set.includes(this.#text[end]!)) end++;
    return this.#text.slice(this.position, end);
  }

  /** Takes up to `most` characters of `set`; undefined when the first is not one. */
  run(set: string, most = Number.MAX_SAFE_INTEGER): string | undefined {
    let end = this.position;
    while (end < this.#end && end - this.position < most && set.includes(this.#text[end]!)) end++;
    if (end === this.position) return undefined;
    const found = this.#text.slice(this.position, end);
    this.position = end;
    return found;
  }

  /** Throws: `expected` names what would have been accepted at the position (or at `at`). */
  fail(expected: string, code: OdpErrorCode = 'EINVAL', at = this.position): never {
    const rest = this.#text.slice(at, at + 24);
    const found =
      rest === '' ? 'the end of the text' : `'${rest}${at + 24 < this.#text.length ? '...' : ''}'`;
    throw new OdpError(code, `expected ${expected} at column ${at + 1}, found ${found}`, {
      column: at + 1,
      expected,
    });
  }

  /** `value`, or an error when it is undefined: `scan.need(scan.u16(), 'a port number')`. */
  need<T>(value: T | undefined, expected: string): T {
    return value === undefined ? this.fail(expected) : value;
  }

  /**
   * Reads an integer into `hi`/`lo`, modulo 2^64 (two's complement for a negative one). Base 0 takes the base from
   * the text; 16 accepts a `0x` in front. Skips leading white space.
   */
  integer(base: 0 | 8 | 10 | 16 = 0): boolean {
    const codes = this.#codes;
    let at = this.position;
    let code = codes[at]!;
    while (isSpace(code)) code = codes[++at]!;
    const negative = code === MINUS;
    if (negative || code === PLUS) code = codes[++at]!;
    let radix: number = base;
    if (code === ZERO && (base === 0 || base === 16) && (codes[at + 1]! | 0x20) === X) {
      radix = 16;
      at += 2;
    } else if (base === 0) {
      radix = code === ZERO ? 8 : 10;
    }
    const start = at;
    let value = 0;
    for (; value < SMALL; at++) {
      const digit = DIGITS[codes[at]!]!;
      if (digit >= radix) break;
      value = value * radix + digit;
    }
    if (at === start) return false;
    this.position = at;
    this.#hi = 0;
    this.#lo = value;
    this.#overflow = false;
    if (value >= SMALL) this.#moreDigits(radix);
    if (negative) {
      this.#lo = -this.#lo | 0;
      this.#hi = (~this.#hi + (this.#lo === 0 ? 1 : 0)) | 0;
    }
    return true;
  }

  /** Reads the digits that follow those that `lo` holds already. */
  #moreDigits(radix: number): void {
    let { hi, lo } = this;
    for (;;) {
      const digit = DIGITS[this.code()]!;
      if (digit >= radix) break;
      this.position++;
      const low = lo * radix + digit;
      lo = low >>> 0;
      const high = hi * radix + (low - lo) / 0x1_0000_0000;
      hi = high >>> 0;
      if (high !== hi) this.#overflow = true;
    }
    this.#hi = hi | 0;
    this.#lo = lo | 0;
  }

  u8(): number | undefined {
    return this.integer() ? this.lo & 0xff : undefined;
  }

  u16(): number | undefined {
    return this.integer() ? this.lo & 0xffff : undefined;
  }

  u32(): number | undefined {
    return this.integer() ? this.lo : undefined;
  }

  /** A MAC address, 6 bytes at `at` of `into`, which it returns. Each part is cut to 8 bits. */
  eth(into: Uint8Array = new Uint8Array(6), at = 0): Uint8Array | undefined {
    return this.#parts(6, COLON, 16, into, at);
  }

  /** An IPv4 address, 4 bytes at `at` of `into`, which it returns. Each part is cut to 8 bits. */
  ipv4(into: Uint8Array = new Uint8Array(4), at = 0): Uint8Array | undefined {
    return this.#parts(4, DOT, 10, into, at);
  }

  /** An IPv6 address, 16 bytes at `at` of `into`, which it returns. Unlike all numbers it has no white space in front. */
  ipv6(into: Uint8Array = new Uint8Array(16), at = 0): Uint8Array | undefined {
    const start = this.position;
    for (let code = this.code(); this.position - start < IPV6_TEXT; code = this.code()) {
      if (code !== COLON && code !== DOT && hexDigit(code) < 0) break;
      this.position++;
    }
    if (readIpv6(this.#text.slice(start, this.position), into, at)) return into;
    this.position = start;
    return undefined;
  }

  /**
   * An integer of `width` bytes, big-endian: `0x` and any number of digits (white space between them is skipped), or
   * a decimal or octal number below 2^64. Undefined when it does not fit, unlike `integer`, which cuts.
   */
  wide(width: number): Uint8Array | undefined {
    const start = this.position;
    const out = new Uint8Array(width);
    if (this.accept('0x') || this.accept('0X')) {
      const digits: number[] = [];
      for (;;) {
        this.skip(' \t\r\n');
        const digit = hexDigit(this.code());
        if (digit < 0) break;
        if (digit !== 0 || digits.length > 0) digits.push(digit);
        this.position++;
      }
      if (digits.length <= width * 2) {
        digits.reverse();
        for (let i = 0; i < digits.length; i++) {
          const at = width - 1 - (i >> 1);
          out[at] = out[at]! | (digits[i]! << ((i & 1) * 4));
        }
        return out;
      }
    } else if (this.integer() && !this.#overflow) {
      let { hi, lo } = this;
      for (let i = width - 1; i >= 0; i--) {
        out[i] = lo & 0xff;
        lo = ((lo >>> 8) | (hi << 24)) >>> 0;
        hi >>>= 8;
      }
      if (lo === 0 && hi === 0) return out;
    }
    this.position = start;
    return undefined;
  }

  /** Pairs of hexadecimal digits, white space between them skipped; as many as there are. */
  hexBytes(): Uint8Array {
    const out: number[] = [];
    for (;;) {
      this.skip(' \t\r\n');
      const high = hexDigit(this.code());
      const low = hexDigit(this.#codes[this.position + 1]!);
      if (!(high >= 0 && low >= 0)) return Uint8Array.from(out);
      out.push((high << 4) | low);
      this.position += 2;
    }
  }

  /**
   * Numbers as `integer` reads them, of which only the lowest byte counts, with a separator between them: by themselves they
   * take half the time. What they leave in `into` when one is missing means nothing.
   */
  #parts(
    count: number,
    separator: number,
    base: 10 | 16,
    into: Uint8Array,
    at: number,
  ): Uint8Array | undefined {
    const codes = this.#codes;
    let next = this.position;
    for (let i = 0; i < count; i++) {
      if (i > 0 && codes[next++] !== separator) return undefined;
      while (isSpace(codes[next]!)) next++;
      const negative = codes[next] === MINUS;
      if (negative || codes[next] === PLUS) next++;
      if (base === 16 && codes[next] === ZERO && (codes[next + 1]! | 0x20) === X) next += 2;
      const start = next;
      let value = 0;
      for (;;) {
        const digit = DIGITS[codes[next]!]!;
        if (digit >= base) break;
        value = (value * base + digit) & 0xff;
        next++;
      }
      if (next === start) return undefined;
      into[at + i] = negative ? -value : value;
    }
    this.position = next;
    return into;
  }
}
