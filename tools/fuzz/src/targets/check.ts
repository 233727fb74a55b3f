/** What the targets have in common: which errors are allowed, and how a broken property is told. */

import { decodeKey, OdpError } from '@etherloom/odp-codec';
import { bytesOfText, fromHex, toHex, type VectorRecord, Violation } from '../target.js';

/** What `call` returns; undefined when it refuses its input in the declared way. */
export function unlessRefused<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    if (error instanceof OdpError) return undefined;
    throw error;
  }
}

/** As {@link unlessRefused}, of text: a refusal says where. */
export function unlessTextRefused<T>(text: string, call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    if (!(error instanceof OdpError)) throw error;
    const { code, column, expected, message } = error;
    const inside = column !== undefined && column >= 1 && column <= text.length + 1;
    if (code !== 'E2BIG' && (!inside || expected === undefined || expected === '')) {
      throw new Violation(
        'an error in text says where it is',
        `${message}, column ${column}, expected ${expected}`,
      );
    }
    return undefined;
  }
}

/** Texts that are not meant to be read back, although Open vSwitch takes what they were printed of. */
const UNREADABLE: readonly RegExp[] = [
  // What the printer says of bytes that are not as they should be.
  /error|bad length|leftover|remaining|nknown|truncated|less than|greater than|empty>|invalid/,
  // Flags and attributes that have no name.
  /\|0x|(ct_state|flags)\(0x|\bkey\d+\(/,
  // Values that no packet has.
  /erspan\(ver=(?![12],)|label=0x[0-9a-f]{6}[^,]*,proto|mpls\((label=[^)]*){4}/,
  // A Geneve option whose length is wildcarded.
  /\{(?![^}]*len=)/,
  // Key and mask, one behind the other: so Open vSwitch prints long ones.
  /set\(encap/,
  /set\(tunnel\((?:(?!set\().)*\b((?:ipv6_)?(?:src|dst)|ttl|tos)=(?:(?!set\().)*\b\1=/,
];

export const isReadable = (text: string): boolean => !UNREADABLE.some((pattern) => pattern.test(text));

/**
 * What we print reads back, and from the second time on nothing more changes. The first time it may: texts of Open
 * vSwitch leave out what they wildcard, leading zeros of cookies, tunnel fields that are set to 0.
 */
export function checkStable<T>(value: T, print: (value: T) => string, read: (text: string) => T): void {
  const first = mustAccept('what was read prints', '', () => print(value));
  if (!isReadable(first)) return;
  const second = print(mustAccept('what is printed reads back', first, () => read(first)));
  if (!isReadable(second)) return;
  const third = print(mustAccept('what is printed again reads back', second, () => read(second)));
  mustEqual('text that is read and printed stays the same', third, second);
}

/** Whether a key is well formed and names no attribute twice. */
export const hasModel = (key: Uint8Array): boolean => unlessRefused(() => decodeKey(key)) !== undefined;

/** What `call` returns, which must not refuse: the input comes out of our own code. */
export function mustAccept<T>(property: string, shown: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (error instanceof OdpError) throw new Violation(property, `${shown}\nrefused: ${error.message}`);
    throw error;
  }
}

export function mustHold(property: string, holds: boolean, details: () => string): void {
  if (!holds) throw new Violation(property, details());
}

export function mustEqual(property: string, have: string, want: string): void {
  if (have !== want) throw new Violation(property, `have ${have}\nwant ${want}`);
}

export const sameBytes = (property: string, have: Uint8Array, want: Uint8Array): void => {
  if (Buffer.compare(have, want) !== 0)
    throw new Violation(property, `have ${toHex(have)}\nwant ${toHex(want)}`);
};

export function sameRows(property: string, have: Int32Array, want: Int32Array): void {
  const words = [...want.keys()].filter((word) => have[word] !== want[word]);
  if (words.length === 0) return;
  const hex = (value: number | undefined): string => ((value ?? 0) >>> 0).toString(16);
  throw new Violation(
    property,
    words.map((word) => `word ${word}: have ${hex(have[word])}, want ${hex(want[word])}`).join('\n'),
  );
}

/** The bytes that a field of a record gives in hexadecimal, in a list; none when it has no such field. */
export function hexField(record: VectorRecord, field: string): Uint8Array[] {
  const value = record[field];
  return typeof value === 'string' ? [fromHex(value)] : [];
}

/** The texts in these fields of a record. */
export function textFields(record: VectorRecord, ...fields: readonly string[]): Uint8Array[] {
  return fields.flatMap((field) => {
    const value = record[field];
    return typeof value === 'string' ? [bytesOfText(value)] : [];
  });
}
