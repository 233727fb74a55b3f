/**
 * The kinds of a field inside an attribute: for each, how it is read from text, printed, and written as JSON. A row of
 * the attribute table names a kind per field; nothing else knows how, say, an IPv6 flow label looks.
 */
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
import { allBytes, getBe16, getBe32, getLe16, getLe32, putBe16, putBe32, putLe16, putLe32 } from './bytes.js';

/** `J` is the field's type in the JSON model. */
export interface FieldKind<J extends number | string = number | string> {
  /** Length in the attribute's payload. */
  readonly bytes: number;
  /** What the text parser says it wanted. */
  readonly expected: string;
  /** Reads a value into `key[at..]` and, if `mask` is given, `/mask` or all ones into `mask[at..]`. */
  scan(scan: Scanner, key: Uint8Array, at: number, mask: Uint8Array | undefined, strict: boolean): boolean;
  print(bytes: Uint8Array, at: number): string;
  printMask(mask: Uint8Array, at: number): string;
  isFull(mask: Uint8Array, at: number): boolean;
  /** Replaces the rule of {@link printField} for kinds that have their own. */
  readonly printMasked?: (
    name: string,
    bytes: Uint8Array,
    at: number,
    mask: Uint8Array,
    maskAt: number,
  ) => string;
  /** Print nothing for a field without a mask unless the text is verbose. */
  readonly needsMask?: boolean;
  toJson(bytes: Uint8Array, at: number): J;
  /** False when `value` is not what `json` says. */
  fromJson(value: unknown, into: Uint8Array, at: number): boolean;
  /** What the JSON model holds, for error messages and the documentation. */
  readonly json: string;
}

/** C's `%#x`: no prefix on zero. */
export const alternateHex = (value: number): string => (value === 0 ? '0' : `0x${value.toString(16)}`);

/** An integer in 0..max. */
export const isUint = (value: unknown, max: number): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max;

/** `name=value` and, as the mask asks, `/mask`; '' for a wildcarded field unless verbose. No mask means exact. */
export function printField(
  kind: FieldKind,
  name: string,
  bytes: Uint8Array,
  at: number,
  mask: Uint8Array | undefined,
  maskAt: number,
  verbose: boolean,
): string {
  if (mask === undefined) return kind.needsMask && !verbose ? '' : `${name}=${kind.print(bytes, at)}`;
  if (kind.printMasked !== undefined) return kind.printMasked(name, bytes, at, mask, maskAt);
  if (kind.isFull(mask, maskAt)) return `${name}=${kind.print(bytes, at)}`;
  if (!verbose && allBytes(mask, maskAt, kind.bytes, 0)) return '';
  return `${name}=${kind.print(bytes, at)}/${kind.printMask(mask, maskAt)}`;
}

interface Layout {
  readonly bytes: number;
  get(bytes: Uint8Array, at: number): number;
  put(bytes: Uint8Array, at: number, value: number): void;
}

const U8: Layout = {
  bytes: 1,
  get: (bytes, at) => bytes[at]!,
  put: (bytes, at, value) => {
    bytes[at] = value;
  },
};
const LE16: Layout = { bytes: 2, get: getLe16, put: putLe16 };
const LE32: Layout = { bytes: 4, get: getLe32, put: putLe32 };
const BE16: Layout = { bytes: 2, get: getBe16, put: putBe16 };
const BE24: Layout = {
  bytes: 3,
  get: (bytes, at) => (bytes[at]! << 16) | getBe16(bytes, at + 1),
  put: (bytes, at, value) => {
    bytes[at] = value >>> 16;
    putBe16(bytes, at + 1, value);
  },
};
const BE32: Layout = { bytes: 4, get: getBe32, put: putBe32 };

/** A number of `layout`, printed by `show`, its mask by `showMask`. Text is cut to the width, as OVS does. */
function number(
  layout: Layout,
  show: (value: number) => string,
  showMask: (value: number) => string,
): FieldKind<number> {
  const max = 2 ** (8 * layout.bytes) - 1;
  return {
    bytes: layout.bytes,
    expected: `a ${8 * layout.bytes}-bit number`,
    scan(scan, key, at, mask) {
      if (!scan.integer()) return false;
      layout.put(key, at, scan.lo);
      if (mask !== undefined) layout.put(mask, at, scanMask(scan) ? scan.lo : max);
      return true;
    },
    print: (bytes, at) => show(layout.get(bytes, at)),
    printMask: (bytes, at) => showMask(layout.get(bytes, at)),
    isFull: (mask, at) => layout.get(mask, at) === max,
    toJson: layout.get,
    fromJson(value, into, at) {
      if (!isUint(value, max)) return false;
      layout.put(into, at, value);
      return true;
    },
    json: `number 0..${layout.bytes === 4 ? '2^32-1' : max}`,
  };
}

/** Takes `/` and a number, or nothing. */
function scanMask(scan: Scanner): boolean {
  const start = scan.position;
  if (scan.accept('/') && scan.integer()) return true;
  scan.position = start;
  return false;
}

const decimal = (value: number): string => value.toString();
const hex4 = (value: number): string => `0x${value.toString(16).padStart(4, '0')}`;

/** Printed in decimal, mask in hexadecimal; likewise `be16`. */
export const u8 = number(U8, decimal, alternateHex);
export const u8x = number(U8, alternateHex, alternateHex);
export const be16 = number(BE16, decimal, alternateHex);
export const be16x = number(BE16, alternateHex, alternateHex);
/** Ethertypes: four digits always. */
export const etherType = number(BE16, hex4, hex4);
/** Host order. */
export const u16x = number(LE16, alternateHex, alternateHex);
/** Host order. */
export const u32x = number(LE32, alternateHex, alternateHex);
/** Host order; datapath port numbers. */
export const u32 = number(LE32, decimal, alternateHex);
export const be24 = number(BE24, alternateHex, alternateHex);
export const be32 = number(BE32, alternateHex, alternateHex);

const plainHex = (value: number): string => `0x${value.toString(16)}`;

/** The reserved word of an ND message: OVS prints it always and never its mask. */
export const ndReserved: FieldKind<number> = {
  ...number(BE32, plainHex, plainHex),
  printMasked: (name, bytes, at) => `${name}=${plainHex(getBe32(bytes, at))}`,
};

const LABEL_MAX = 0xfffff;

/** The 20 bits of an IPv6 flow label. A wider value is an error, a wider mask is not a mask. */
export const ipv6Label: FieldKind<number> = {
  ...number(BE32, alternateHex, alternateHex),
  expected: 'a 20-bit number',
  scan(scan, key, at, mask) {
    const start = scan.position;
    if (!scan.integer() || scan.lo > LABEL_MAX) {
      scan.position = start;
      return false;
    }
    putBe32(key, at, scan.lo);
    if (mask !== undefined) {
      const end = scan.position;
      const good = scanMask(scan) && scan.lo <= LABEL_MAX;
      if (!good) scan.position = end;
      putBe32(mask, at, good ? scan.lo : LABEL_MAX);
    }
    return true;
  },
  isFull: (mask, at) => (getBe32(mask, at) & LABEL_MAX) === LABEL_MAX,
};

const FRAGMENTS = ['no', 'first', 'later'];

/** An enumeration: a mask of anything but all zeros or all ones has no meaning, and OVS says so in the text. */
export const frag: FieldKind<number | string> = {
  bytes: 1,
  expected: 'no, first or later',
  scan(scan, key, at, mask) {
    const start = scan.position;
    const value = FRAGMENTS.indexOf(scan.run('abcdefghijklmnopqrstuvwxyz', 7) ?? '');
    if (value < 0) {
      scan.position = start;
      return false;
    }
    key[at] = value;
    if (mask !== undefined) mask[at] = 0xff;
    return true;
  },
  print: (bytes, at) => FRAGMENTS[bytes[at]!] ?? '<error>',
  printMask: (mask, at) => alternateHex(mask[at]!),
  isFull: (mask, at) => mask[at] === 0xff,
  printMasked(name, bytes, at, mask, maskAt) {
    if (mask[maskAt] === 0) return '';
    return mask[maskAt] === 0xff
      ? `${name}=${frag.print(bytes, at)}`
      : `error: partial mask not supported for frag (${alternateHex(mask[maskAt]!)})`;
  },
  toJson: (bytes, at) => FRAGMENTS[bytes[at]!] ?? bytes[at]!,
  fromJson(value, into, at) {
    const code = typeof value === 'string' ? FRAGMENTS.indexOf(value) : value;
    if (!isUint(code, 0xff)) return false;
    into[at] = code;
    return true;
  },
  json: "'no', 'first', 'later' or a number 0..255",
};

interface AddressLayout {
  readonly bytes: number;
  readonly expected: string;
  read(scan: Scanner): Uint8Array | undefined;
  print(bytes: Uint8Array, at: number): string;
  fromText(text: string, into: Uint8Array, at: number): boolean;
  /** Whether `/8` may stand for a mask. */
  readonly prefix: boolean;
}

function address(layout: AddressLayout): FieldKind<string> {
  const { bytes: length, print } = layout;
  return {
    bytes: length,
    expected: layout.expected,
    scan(scan, key, at, mask, strict) {
      const value = layout.read(scan);
      if (value === undefined) return false;
      key.set(value, at);
      if (mask === undefined) return true;
      const end = scan.position;
      if (scan.accept('/')) {
        const given = layout.read(scan) ?? (layout.prefix && !strict ? scanPrefix(scan, length) : undefined);
        if (given !== undefined) {
          mask.set(given, at);
          return true;
        }
        scan.position = end;
      }
      mask.fill(0xff, at, at + length);
      return true;
    },
    print,
    printMask: print,
    isFull: (mask, at) => allBytes(mask, at, length, 0xff),
    toJson: print,
    fromJson: (value, into, at) => typeof value === 'string' && layout.fromText(value, into, at),
    json: layout.expected,
  };
}

/** A prefix length as a mask of `length` bytes. */
function scanPrefix(scan: Scanner, length: number): Uint8Array | undefined {
  const start = scan.position;
  const digits = scan.run('0123456789', 4);
  const bits = Number(digits);
  if (digits === undefined || bits > 8 * length || scan.at('.') || scan.at(':')) {
    scan.position = start;
    return undefined;
  }
  const mask = new Uint8Array(length);
  for (let i = 0; i < length; i++) mask[i] = 0xff00 >> Math.max(0, Math.min(8, bits - 8 * i));
  return mask;
}

export const ipv4 = address({
  bytes: 4,
  expected: 'an IPv4 address',
  read: (scan) => scan.ipv4(),
  print: formatIpv4,
  fromText: readIpv4,
  prefix: true,
});
export const ipv6 = address({
  bytes: 16,
  expected: 'an IPv6 address',
  read: (scan) => scan.ipv6(),
  print: formatIpv6,
  fromText: readIpv6,
  prefix: true,
});
export const eth = address({
  bytes: 6,
  expected: 'an Ethernet address',
  read: (scan) => scan.eth(),
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
export const be64: FieldKind<string> = {
  bytes: 8,
  expected: 'a 64-bit number',
  scan(scan, key, at, mask) {
    if (!scan.integer()) return false;
    putBe32(key, at, scan.hi);
    putBe32(key, at + 4, scan.lo);
    if (mask !== undefined) {
      const given = scanMask(scan);
      putBe32(mask, at, given ? scan.hi : 0xffffffff);
      putBe32(mask, at + 4, given ? scan.lo : 0xffffffff);
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
};

const reversed = (bytes: Uint8Array, at: number): Uint8Array => bytes.slice(at, at + 16).reverse();
const label = (bytes: Uint8Array, at: number): string => wideHex(reversed(bytes, at), 0, 16);

/** Connection labels: 128 bits in host (little-endian) order. */
export const u128: FieldKind<string> = {
  bytes: 16,
  expected: 'a 128-bit number',
  scan(scan, key, at, mask) {
    const value = scan.wide(16);
    if (value === undefined) return false;
    key.set(value.reverse(), at);
    if (mask === undefined) return true;
    if (!scan.accept('/')) {
      mask.fill(0xff, at, at + 16);
      return true;
    }
    const given = scan.wide(16);
    if (given === undefined) return false;
    mask.set(given.reverse(), at);
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
};
