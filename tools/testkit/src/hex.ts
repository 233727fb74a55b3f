/** Bytes to hexadecimal text and back. */

/** Two lower-case digits per byte, nothing between. */
export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

/** Bytes of hexadecimal text; white space and colons between bytes are ignored. Throws on anything else. */
export function unhex(text: string): Uint8Array {
  const digits = text.replace(/[\s:]/g, '');
  if (digits.length % 2 !== 0 || /[^0-9a-f]/i.test(digits)) {
    throw new TypeError(`"${text}" is not hexadecimal: give pairs of digits`);
  }
  return Uint8Array.from(Buffer.from(digits, 'hex'));
}
