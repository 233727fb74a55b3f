/** The kinds of field that are addresses, or numbers of more than 32 bits. */
import {
  formatEth,
  formatIpv4,
  formatIpv6,
  hexDigit,
  hexOf,
  readEth,
  readIpv4,
  readIpv6,
} from '../text/address.js';
import type { Scanner } from '../text/scanner.js';
import { allBytes, putBe32 } from './bytes.js';
import { type FieldKind, scanMask, uniform } from './kind.js';

const SLASH = 0x2f;

interface AddressLayout {
  readonly bytes: number;
  readonly expected: string;
  /** What is in `into` when it returns undefined means nothing. */
  read(scan: Scanner, into: Uint8Array, at: number): Uint8Array | undefined;
  print(bytes: Uint8Array, at: number): string;
  fromText(text: string, into: Uint8Array, at: number): boolean;
  /** Whether `/8` may stand for a mask. */
  readonly prefix: boolean;
}

function address(layout: AddressLayout): FieldKind<string> {
  const { bytes: length, print } = layout;
  return uniform({
    bytes: length,
    expected: layout.expected,
    scan(scan, key, at, mask, maskAt, strict) {
      if (layout.read(scan, key, at) === undefined) return false;
      if (mask === undefined) return true;
      const end = scan.position;
      if (scan.acceptCode(SLASH)) {
        if (layout.read(scan, mask, maskAt) !== undefined) return true;
        if (layout.prefix && !strict && scanPrefix(scan, mask, maskAt, length)) return true;
        scan.position = end;
      }
      for (let i = maskAt; i < maskAt + length; i++) mask[i] = 0xff;
      return true;
    },
    print,
    printMask: print,
    isFull: (mask, at) => allBytes(mask, at, length, 0xff),
    toJson: print,
    fromJson: (value, into, at) => typeof value === 'string' && layout.fromText(value, into, at),
    json: layout.expected,
  });
}

/** A prefix length as a mask of `length` bytes. */
function scanPrefix(scan: Scanner, mask: Uint8Array, at: number, length: number): boolean {
  const start = scan.position;
  const digits = scan.run('0123456789', 4);
  const bits = Number(digits);
  if (digits === undefined || bits > 8 * length || scan.at('.') || scan.at(':')) {
    scan.position = start;
    return false;
  }
  for (let i = 0; i < length; i++) mask[at + i] = 0xff00 >> Math.max(0, Math.min(8, bits - 8 * i));
  return true;
}

export const ipv4 = address({
  bytes: 4,
  expected: 'an IPv4 address',
  read: (scan, into, at) => scan.ipv4(into, at),
  print: formatIpv4,
  fromText: readIpv4,
  prefix: true,
});
export const ipv6 = address({
  bytes: 16,
  expected: 'an IPv6 address',
  read: (scan, into, at) => scan.ipv6(into, at),
  print: formatIpv6,
  fromText: readIpv6,
  prefix: true,
});
export const eth = address({
  bytes: 6,
  expected: 'an Ethernet address',
  read: (scan, into, at) => scan.eth(into, at),
  print: formatEth,
  fromText: readEth,
  prefix: false,
});

/** `bytes[at, at + length)`, a big-endian number, without leading zeros and prefix; '' for zero. */
function bareHex(bytes: Uint8Array, at: number, length: number): string {
  let skip = 0;
  const digits = hexOf(bytes, at, length);
  while (digits[skip] === '0') skip++;
  return digits.slice(skip);
}

/** `0x..` without leading zeros; `0` for zero. What OVS prints for wide numbers. */
export const wideHex = (bytes: Uint8Array, at: number, length: number): string => {
  const digits = bareHex(bytes, at, length);
  return digits === '' ? '0' : `0x${digits}`;
};

/** `0x..` without leading zeros; `0x0` for zero. */
const fullHex = (bytes: Uint8Array, at: number, length: number): string =>
  `0x${bareHex(bytes, at, length) || '0'}`;

/** Reads `0x` and hexadecimal digits as a big-endian number of `length` bytes. */
export function readHex(text: unknown, into: Uint8Array, at: number, length: number): boolean {
  if (typeof text !== 'string' || !text.startsWith('0x') || text.length === 2 || text.length > 2 + 2 * length)
    return false;
  const out = new Uint8Array(length);
  for (let i = text.length - 1, nibble = 0; i >= 2; i--, nibble++) {
    const digit = hexDigit(text.charCodeAt(i));
    if (digit < 0) return false;
    const byte = length - 1 - (nibble >> 1);
    out[byte] = out[byte]! | (digit << ((nibble & 1) * 4));
  }
  into.set(out, at);
  return true;
}

/**
 * Tunnel keys. `0x0` as a value, `0` as a mask, and nothing without a mask in text that is not verbose: what OVS prints.
 */
export const be64 = uniform<string>({
  bytes: 8,
  expected: 'a 64-bit number',
  scan(scan, key, at, mask, maskAt) {
    if (!scan.integer()) return false;
    putBe32(key, at, scan.hi);
    putBe32(key, at + 4, scan.lo);
    if (mask !== undefined) {
      const given = scanMask(scan);
      putBe32(mask, maskAt, given ? scan.hi : 0xffffffff);
      putBe32(mask, maskAt + 4, given ? scan.lo : 0xffffffff);
    }
    return true;
  },
  print: (bytes, at) => fullHex(bytes, at, 8),
  printMask: (mask, at) => wideHex(mask, at, 8),
  isFull: (mask, at) => allBytes(mask, at, 8, 0xff),
  needsMask: true,
  toJson: (bytes, at) => fullHex(bytes, at, 8),
  fromJson: (value, into, at) => readHex(value, into, at, 8),
  json: "'0x..', 64 bits",
});

const reversed = (bytes: Uint8Array, at: number): Uint8Array => bytes.slice(at, at + 16).reverse();
const label = (bytes: Uint8Array, at: number): string => wideHex(reversed(bytes, at), 0, 16);

/** Connection labels: 128 bits in host (little-endian) order. */
export const u128 = uniform<string>({
  bytes: 16,
  expected: 'a 128-bit number',
  scan(scan, key, at, mask, maskAt) {
    const value = scan.wide(16);
    if (value === undefined) return false;
    key.set(value.reverse(), at);
    if (mask === undefined) return true;
    if (!scan.accept('/')) {
      mask.fill(0xff, maskAt, maskAt + 16);
      return true;
    }
    const given = scan.wide(16);
    if (given === undefined) return false;
    mask.set(given.reverse(), maskAt);
    return true;
  },
  print: label,
  printMask: label,
  isFull: (mask, at) => allBytes(mask, at, 16, 0xff),
  toJson: (bytes, at) => fullHex(reversed(bytes, at), 0, 16),
  fromJson(value, into, at) {
    const big = new Uint8Array(16);
    if (!readHex(value, big, 0, 16)) return false;
    into.set(big.reverse(), at);
    return true;
  },
  json: "'0x..', 128 bits",
});
