/** Attributes inside attributes: finding one by type, and the texts for those of unknown type or wrong length. */
import { NlReader } from '../netlink.js';
import { hex2 } from '../text/address.js';
import { KEY_ATTR } from './attributes.js';
import { allBytes } from './bytes.js';
import type { Span } from './shape.js';

/** The first attribute of `type` in a run of attributes; what follows a malformed header is not looked at. */
export function findAttribute(run: Span, type: number): Span | undefined {
  const reader = new NlReader(run.bytes, run.at, run.at + run.length);
  while (reader.next()) {
    if (reader.type === type) return { bytes: run.bytes, at: reader.offset, length: reader.length };
  }
  return undefined;
}

/**
 * Finds the attributes of a mask for those of a key, one after the other. A mask mostly has them in the same order, with
 * some more between them (a datapath's masks say that there is no tunnel), so the search goes on where the last one ended,
 * and begins anew only for what was passed over: masked text takes half the time.
 */
export class MaskFinder {
  readonly #run: Span;
  readonly #reader: NlReader;
  /** Types below 32 that were asked for: only the first of a type counts; and those that were passed over. */
  #asked = 0;
  #passed = 0;

  constructor(run: Span) {
    this.#run = run;
    this.#reader = new NlReader(run.bytes, run.at, run.at + run.length);
  }

  find(type: number): Span | undefined {
    const bit = 1 << type;
    if (type >= 32 || ((this.#asked | this.#passed) & bit) !== 0) return findAttribute(this.#run, type);
    this.#asked |= bit;
    const reader = this.#reader;
    while (reader.next()) {
      if (reader.type === type) return { bytes: this.#run.bytes, at: reader.offset, length: reader.length };
      if (reader.type < 32) this.#passed |= 1 << reader.type;
    }
    return undefined;
  }
}

/** The mask of an attribute that the mask does not mention: zeros. */
export const wildcard = (length: number): Span => ({ bytes: new Uint8Array(length), at: 0, length });

/** Bytes in hexadecimal with spaces between them. */
export function spacedHex({ bytes, at, length }: Span): string {
  let out = '';
  for (let i = at; i < at + length; i++) out += i === at ? hex2(bytes[i]!) : ` ${hex2(bytes[i]!)}`;
  return out;
}

/**
 * The text in place of an attribute whose payload, or whose mask, is not `expected` bytes long; undefined when the
 * lengths are right, or `expected` is no number of bytes. `name` precedes it. OVS prints it without a comma before or after.
 */
export function badLength(
  name: string,
  value: Span,
  mask: Span | undefined,
  expected: number,
): string | undefined {
  if (expected < 0) return undefined;
  const badMask = mask !== undefined && mask.length !== expected;
  if (value.length === expected && !badMask) return undefined;
  let out = name;
  if (value.length !== expected) out += `(bad key length ${value.length}, expected ${expected})(`;
  out += spacedHex(value);
  if (mask !== undefined) {
    out += '/';
    if (badMask) out += `(bad mask length ${mask.length}, expected ${expected})(`;
    out += spacedHex(mask);
  }
  return `${out})`;
}

/**
 * The text of a nested attribute of unknown type. Whether its mask is exact, and is left out, OVS decides by the rule of
 * the flow key attribute that happens to have the same number.
 */
export function printUnknown(type: number, value: Span, mask: Span | undefined): string {
  const ruled = type > KEY_ATTR.ENCAP && type < KEY_ATTR.TUNNEL_INFO;
  const exact = mask === undefined || (ruled && allBytes(mask.bytes, mask.at, mask.length, 0xff));
  return `key${type}(${spacedHex(value)}${exact ? '' : `/${spacedHex(mask)}`})`;
}
