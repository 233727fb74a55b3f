/** Checks of what a model holds: models may come from JSON, so nothing about them is taken for granted. */
import { OdpError } from '../errors.js';
import { isUint } from '../key/kind.js';
import { isObject } from '../key/shape.js';
import { readHex } from '../key/wide-kinds.js';
import type { NlWriter } from '../netlink.js';
import { hexDigit, hexOf, readEth, readIpv4, readIpv6 } from '../text/address.js';

/** A value for an error message. Objects are not printed: a hostile one may have a toString of its own. */
function show(value: unknown): string {
  if (typeof value === 'string') return `'${value.slice(0, 40)}'`;
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' && value !== null ? 'an object' : String(value).slice(0, 40);
}

/** Throws the error for a property `what` that is not `wanted`. */
export function reject(what: string, wanted: string, value: unknown): never {
  throw new OdpError('EINVAL', `${what} must be ${wanted}, not ${show(value)}`);
}

/** `value` as an unsigned integer of at most `bits` bits (1..32). */
export function uint(value: unknown, bits: number, what: string): number {
  const max = 2 ** bits - 1;
  return isUint(value, max) ? value : reject(what, `an integer from 0 to ${max}`, value);
}

export function text(value: unknown, what: string): string {
  return typeof value === 'string' ? value : reject(what, 'a string', value);
}

/** The bytes of `0x` and an even number of digits. */
export function blob(value: unknown, what: string): Uint8Array {
  if (typeof value === 'string' && value.startsWith('0x') && value.length % 2 === 0) {
    const out = new Uint8Array(value.length / 2 - 1);
    let good = true;
    for (let i = 0; i < out.length; i++) {
      const high = hexDigit(value.charCodeAt(2 + 2 * i));
      const low = hexDigit(value.charCodeAt(3 + 2 * i));
      if (high < 0 || low < 0) good = false;
      out[i] = (high << 4) | low;
    }
    if (good) return out;
  }
  return reject(what, "'0x' and an even number of hexadecimal digits", value);
}

/** A number of `bytes` bytes as big-endian bytes, from `0x` and digits. */
export function wide(value: unknown, bytes: number, what: string): Uint8Array {
  const out = new Uint8Array(bytes);
  return readHex(value, out, 0, bytes)
    ? out
    : reject(what, `'0x' and 1 to ${bytes * 2} hexadecimal digits`, value);
}

export const fromBlob = (bytes: Uint8Array): string => `0x${hexOf(bytes)}`;

/** The shortest `0x` form of a big-endian number. */
export const fromWide = (bytes: Uint8Array): string => `0x${hexOf(bytes).replace(/^0+(?=.)/, '')}`;

export function eth(value: unknown, what: string): Uint8Array {
  const out = new Uint8Array(6);
  return typeof value === 'string' && readEth(value, out) ? out : reject(what, 'an Ethernet address', value);
}

/** 4 or 16 bytes. */
export function ip(value: unknown, what: string): Uint8Array {
  if (typeof value === 'string') {
    const v4 = new Uint8Array(4);
    if (readIpv4(value, v4)) return v4;
    const v6 = new Uint8Array(16);
    if (readIpv6(value, v6)) return v6;
  }
  return reject(what, 'an IPv4 or IPv6 address', value);
}

/** How each property of an object becomes an attribute. */
export type PropertyEncoders = Readonly<Record<string, (out: NlWriter, value: unknown) => void>>;

/** Appends the attributes of an object's properties, in their order; `type` and absent ones (undefined) have none. */
export function encodeProperties(
  out: NlWriter,
  model: unknown,
  what: string,
  encoders: PropertyEncoders,
): void {
  if (!isObject(model)) reject(what, 'an object', model);
  for (const [name, value] of Object.entries(model)) {
    if (name === 'type' || value === undefined) continue;
    const encode = Object.hasOwn(encoders, name) ? encoders[name] : undefined;
    if (encode === undefined) reject(`property of ${what}`, Object.keys(encoders).join(', '), name);
    encode(out, value);
  }
}

/** The encoder of a flag attribute: its property is `true` or absent. */
export const flagEncoder =
  (attr: number, what: string) =>
  (out: NlWriter, value: unknown): void => {
    if (value !== true) reject(what, 'true or absent', value);
    out.flag(attr);
  };
