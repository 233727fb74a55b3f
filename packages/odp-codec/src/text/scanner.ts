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
const PLUS = 0x2b;
const MINUS = 0x2d;
const ZERO = 0x30;
const X = 0x78;
/** What may stand between two attributes or two actions. */
export const DELIMITERS = ', \t\r\n';

const IPV6_CHARACTERS = '0123456789abcdefABCDEF:.';
/** Longest IPv6 text the scanner of OVS looks at. */
const IPV6_TEXT = 46;

/** Flag names by bit number; a bit without a name is not printed and not read by name. */
export type FlagNames = readonly (string | undefined)[];

/** A value and which of its bits matter. */
export interface Masked {
  value: number;
  mask: number;
}

export class Scanner {
  readonly text: string;
  /** 0-based index of the next character. */
  position: number;
  /** Upper and lower 32 bits, unsigned, of what `integer` read last. */
  hi = 0;
  lo = 0;

  constructor(text: string, position = 0) {
    this.text = text;
    this.position = position;
  }

  /** 1-based column of the next character. */
  get column(): number {
    return this.position + 1;
  }

  get done(): boolean {
    return this.position >= this.text.length;
  }

  /** The next character, or '' at the end. */
  peek(): string {
    return this.text.charAt(this.position);
  }

  /** Whether `literal` comes next. */
  at(literal: string): boolean {
    return this.text.startsWith(literal, this.position);
  }

  /** Takes `literal` if it comes next. */
  accept(literal: string): boolean {
    if (!this.text.startsWith(literal, this.position)) return false;
    this.position += literal.length;
    return true;
  }

  /** Takes `literal` or fails. */
  expect(literal: string): void {
    if (!this.accept(literal)) this.fail(`'${literal}'`);
  }

  /** Skips characters that are in `set`. */
  skip(set: string): void {
    const { text } = this;
    while (this.position < text.length && set.includes(text[this.position]!)) this.position++;
  }

  skipSpaces(): void {
    while (isSpace(this.text.charCodeAt(this.position))) this.position++;
  }

  /** Skips what may stand between attributes and between actions. */
  skipDelimiters(): void {
    this.skip(DELIMITERS);
  }

  /** The characters up to the first one of `set` (or the end), without taking them. */
  until(set: string): string {
    let end = this.position;
    while (end < this.text.length && !set.includes(this.text[end]!)) end++;
    return this.text.slice(this.position, end);
  }

  /** Takes up to `most` characters of `set`; undefined when the first is not one. */
  run(set: string, most = Number.MAX_SAFE_INTEGER): string | undefined {
    let end = this.position;
    while (end < this.text.length && end - this.position < most && set.includes(this.text[end]!)) end++;
    if (end === this.position) return undefined;
    const found = this.text.slice(this.position, end);
    this.position = end;
    return found;
  }

  /** Throws: `expected` names what would have been accepted at the position (or at `at`). */
  fail(expected: string, code: OdpErrorCode = 'EINVAL', at = this.position): never {
    const rest = this.text.slice(at, at + 24);
    const found = rest === '' ? 'the end of the text' : `'${rest}${at + 24 < this.text.length ? '...' : ''}'`;
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
    const { text } = this;
    let at = this.position;
    while (isSpace(text.charCodeAt(at))) at++;
    const negative = text.charCodeAt(at) === MINUS;
    if (negative || text.charCodeAt(at) === PLUS) at++;
    const zero = text.charCodeAt(at) === ZERO;
    let radix: number = base;
    if (zero && (base === 0 || base === 16) && (text.charCodeAt(at + 1) | 0x20) === X) {
      radix = 16;
      at += 2;
    } else if (base === 0) {
      radix = zero ? 8 : 10;
    }
    const start = at;
    let hi = 0;
    let lo = 0;
    for (; at < text.length; at++) {
      const digit = hexDigit(text.charCodeAt(at));
      if (digit < 0 || digit >= radix) break;
      const low = lo * radix + digit;
      lo = low >>> 0;
      hi = (hi * radix + (low - lo) / 0x1_0000_0000) >>> 0;
    }
    if (at === start) return false;
    if (negative) {
      lo = -lo >>> 0;
      hi = (~hi + (lo === 0 ? 1 : 0)) >>> 0;
    }
    this.hi = hi;
    this.lo = lo;
    this.position = at;
    return true;
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

  /** A MAC address, 6 bytes. Each part is cut to 8 bits. */
  eth(): Uint8Array | undefined {
    return this.#parts(6, ':', 16);
  }

  /** An IPv4 address, 4 bytes. Each part is cut to 8 bits. */
  ipv4(): Uint8Array | undefined {
    return this.#parts(4, '.', 10);
  }

  /** An IPv6 address, 16 bytes. */
  ipv6(): Uint8Array | undefined {
    const start = this.position;
    this.skipSpaces();
    const text = this.run(IPV6_CHARACTERS, IPV6_TEXT);
    const out = new Uint8Array(16);
    if (text !== undefined && readIpv6(text, out)) return out;
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
        const digit = hexDigit(this.text.charCodeAt(this.position));
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
    } else if (!this.#overflows() && this.integer()) {
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
      const high = hexDigit(this.text.charCodeAt(this.position));
      const low = hexDigit(this.text.charCodeAt(this.position + 1));
      if (!(high >= 0 && low >= 0)) return Uint8Array.from(out);
      out.push((high << 4) | low);
      this.position += 2;
    }
  }

  /**
   * A set of flags up to, not including, the character `end`: `a|b` and numbers joined by bars (then the mask is all
   * ones), and where `masked` also `+a-b` and `value/mask`. Only bits of `allowed` may be given.
   */
  flags(names: FlagNames, end: string, allowed: number, masked: boolean): Masked | undefined {
    const start = this.position;
    const found =
      (masked ? this.#numericFlags(allowed) : undefined) ??
      (masked && (this.at('+') || this.at('-'))
        ? this.#signedFlags(names, end, allowed)
        : this.#plainFlags(names, end, allowed));
    if (found === undefined) this.position = start;
    return found;
  }

  #parts(count: number, separator: string, base: 10 | 16): Uint8Array | undefined {
    const start = this.position;
    const out = new Uint8Array(count);
    for (let i = 0; i < count; i++) {
      if ((i > 0 && !this.accept(separator)) || !this.integer(base)) {
        this.position = start;
        return undefined;
      }
      out[i] = this.lo & 0xff;
    }
    return out;
  }

  /** Whether the number that comes next does not fit 64 bits; strtoull(3), which `wide` follows, refuses those. */
  #overflows(): boolean {
    const digits = /^[ \t\n\v\f\r]*[+-]?(0[xX][0-9a-fA-F]+|[0-9]+)/.exec(
      this.text.slice(this.position, this.position + 256),
    )?.[1];
    if (digits === undefined) return false;
    const octal = digits[0] === '0' && !/^0[xX]/.test(digits);
    const significant = octal ? `0o0${/^[0-7]*/.exec(digits)![0]}` : digits;
    return BigInt(significant) > 0xffff_ffff_ffff_ffffn;
  }

  #numericFlags(allowed: number): Masked | undefined {
    const start = this.position;
    if (this.integer()) {
      const value = this.lo;
      if (this.accept('/') && this.integer()) {
        const mask = this.lo;
        if (((value | mask) & ~allowed) === 0) return { value, mask };
      }
    }
    this.position = start;
    return undefined;
  }

  #signedFlags(names: FlagNames, end: string, allowed: number): Masked | undefined {
    let value = 0;
    let mask = 0;
    while (!this.at(end)) {
      const set = this.accept('+');
      if (!set && !this.accept('-')) return undefined;
      const bit = this.#flagName(names, `+-${end}`);
      if (bit === 0 || (mask & bit) !== 0 || (bit & allowed) === 0) return undefined;
      if (set) value |= bit;
      mask |= bit;
    }
    return { value: value >>> 0, mask: mask >>> 0 };
  }

  #plainFlags(names: FlagNames, end: string, allowed: number): Masked | undefined {
    let value = 0;
    while (!this.at(end)) {
      if (this.integer()) {
        if (this.hi !== 0 || (this.lo & ~allowed) !== 0) return undefined;
        value |= this.lo;
      } else {
        const bit = this.#flagName(names, `|${end}`);
        if (bit === 0 || (bit & allowed) === 0) return undefined;
        value |= bit;
      }
      this.accept('|');
    }
    return { value: value >>> 0, mask: 0xffff_ffff };
  }

  /** Takes a flag name that one of `followers` follows; returns its bit, 0 when there is none. */
  #flagName(names: FlagNames, followers: string): number {
    for (let i = 0; i < names.length; i++) {
      const name = names[i];
      if (name === undefined || !this.at(name)) continue;
      const next = this.text.charAt(this.position + name.length);
      if (next === '' || !followers.includes(next)) continue;
      this.position += name.length;
      return 1 << i;
    }
    return 0;
  }
}
