/** The kinds of field that are numbers of up to 32 bits, and the fragment type. */
import { decimal8, hex2 } from '../text/address.js';
import { Keywords } from '../text/keywords.js';
import {
  getBe16,
  getBe24,
  getBe32,
  getLe16,
  getLe32,
  getU8,
  putBe16,
  putBe24,
  putBe32,
  putLe16,
  putLe32,
  putU8,
} from './bytes.js';
import { alternateHex, type FieldKind, isUint, scanMask, uniform } from './kind.js';

/** How many bytes a number has, and in which order they are. */
interface Layout {
  readonly bytes: 1 | 2 | 3 | 4;
  get(bytes: Uint8Array, at: number): number;
  put(bytes: Uint8Array, at: number, value: number): void;
}

const U8: Layout = { bytes: 1, get: getU8, put: putU8 };
const LE16: Layout = { bytes: 2, get: getLe16, put: putLe16 };
const LE32: Layout = { bytes: 4, get: getLe32, put: putLe32 };
const BE16: Layout = { bytes: 2, get: getBe16, put: putBe16 };
const BE24: Layout = { bytes: 3, get: getBe24, put: putBe24 };
const BE32: Layout = { bytes: 4, get: getBe32, put: putBe32 };

/** A number of `layout`, printed by `show`, its mask by `showMask`. Text is cut to the width, as OVS does. */
function number(
  { bytes: length, get, put }: Layout,
  show: (value: number) => string,
  showMask: (value: number) => string,
): FieldKind<number> {
  const max = 2 ** (8 * length) - 1;
  return uniform({
    bytes: length,
    expected: `a ${8 * length}-bit number`,
    scan(scan, key, at, mask, maskAt) {
      if (!scan.integer()) return false;
      put(key, at, scan.lo);
      if (mask !== undefined) put(mask, maskAt, scanMask(scan) ? scan.lo : max);
      return true;
    },
    print: (bytes, at) => show(get(bytes, at)),
    printMask: (bytes, at) => showMask(get(bytes, at)),
    isFull: (mask, at) => get(mask, at) === max,
    toJson: get,
    fromJson(value, into, at) {
      if (!isUint(value, max)) return false;
      put(into, at, value);
      return true;
    },
    json: `number 0..${length === 4 ? '2^32-1' : max}`,
  });
}

const decimal = (value: number): string => (value < 256 ? decimal8(value) : value.toString());
const hex4 = (value: number): string => `0x${hex2(value >>> 8)}${hex2(value)}`;

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
export const ndReserved = uniform({
  ...number(BE32, plainHex, plainHex),
  printMasked: (label, bytes, at) => label + plainHex(getBe32(bytes, at)),
});

const LABEL_MAX = 0xfffff;

/** The 20 bits of an IPv6 flow label. A wider value is an error, a wider mask is not a mask. */
export const ipv6Label = uniform({
  ...number(BE32, alternateHex, alternateHex),
  expected: 'a 20-bit number',
  scan(scan, key, at, mask, maskAt) {
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
      putBe32(mask, maskAt, good ? scan.lo : LABEL_MAX);
    }
    return true;
  },
  isFull: (mask, at) => (getBe32(mask, at) & LABEL_MAX) === LABEL_MAX,
});

const FRAGMENTS = ['no', 'first', 'later'];
const FRAGMENT_NAMES = new Keywords(FRAGMENTS.map((name, code) => [name, code] as const));
const isLowerCase = (code: number): boolean => code >= 0x61 && code <= 0x7a;

/** An enumeration: a mask of anything but all zeros or all ones has no meaning, and OVS says so in the text. */
export const frag: FieldKind<number | string> = uniform<number | string>({
  bytes: 1,
  expected: 'no, first or later',
  scan(scan, key, at, mask, maskAt) {
    const start = scan.position;
    const value = FRAGMENT_NAMES.take(scan);
    if (value === undefined || isLowerCase(scan.code())) {
      scan.position = start;
      return false;
    }
    key[at] = value;
    if (mask !== undefined) mask[maskAt] = 0xff;
    return true;
  },
  print: (bytes, at) => FRAGMENTS[bytes[at]!] ?? '<error>',
  printMask: (mask, at) => alternateHex(mask[at]!),
  isFull: (mask, at) => mask[at] === 0xff,
  printMasked(label, bytes, at, mask, maskAt) {
    if (mask[maskAt] === 0) return '';
    return mask[maskAt] === 0xff
      ? label + frag.print(bytes, at)
      : `${label.startsWith(',') ? ',' : ''}error: partial mask not supported for frag (${alternateHex(mask[maskAt]!)})`;
  },
  toJson: (bytes, at) => FRAGMENTS[bytes[at]!] ?? bytes[at]!,
  fromJson(value, into, at) {
    const code = typeof value === 'string' ? FRAGMENTS.indexOf(value) : value;
    if (!isUint(code, 0xff)) return false;
    into[at] = code;
    return true;
  },
  json: "'no', 'first', 'later' or a number 0..255",
});
