/** Packed keys for tests, written and read by field name. */

import { FIELDS, field, KEY_WORDS } from '@etherloom/odp-codec';

/** A number for fields up to 4 bytes, hexadecimal for longer ones. */
export type FieldValues = Readonly<Record<string, number | string>>;

/** A row with these fields, all others zero. */
export function makeRow(values: FieldValues): Int32Array {
  const bytes = new DataView(new ArrayBuffer(KEY_WORDS * 4));
  for (const [name, value] of Object.entries(values)) {
    const { offset, bytes: size } = field(name);
    const hex = typeof value === 'string' ? value : value.toString(16).padStart(size * 2, '0');
    if (hex.length !== size * 2) throw new RangeError(`${name} takes ${size} bytes, not ${hex}`);
    Buffer.from(hex, 'hex').forEach((byte, i) => {
      bytes.setUint8(offset + i, byte);
    });
  }
  return Int32Array.from({ length: KEY_WORDS }, (_, word) => bytes.getInt32(word * 4));
}

/** The fields of a row that are not zero, each as hexadecimal. */
export function readRow(words: Int32Array): Record<string, string> {
  const bytes = new DataView(new ArrayBuffer(KEY_WORDS * 4));
  words.forEach((word, i) => {
    bytes.setInt32(i * 4, word);
  });
  const entries = FIELDS.map(({ name, offset, bytes: size }) => [
    name,
    Buffer.from(bytes.buffer, offset, size).toString('hex'),
  ]);
  return Object.fromEntries(entries.filter(([, hex]) => !/^0*$/.test(hex ?? '')));
}
