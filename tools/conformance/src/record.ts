/**
 * One line of a vector file: a JSON object whose fields are read with their types checked, so that a checker never works
 * on something else than what it thinks.
 */

export type VectorRecord = Readonly<Record<string, unknown>>;

/** A vector file that is not what it should be; the command ends with its sentence and exit status 2. */
export class VectorError extends Error {
  override readonly name = 'VectorError';
}

/** Parses one line. Throws a {@link VectorError} unless it is a JSON object. */
export function parseRecord(line: string): VectorRecord {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    throw new VectorError(error instanceof Error ? error.message : String(error));
  }
  if (!isRecord(value)) throw new VectorError('the line holds no JSON object');
  return value;
}

export function isRecord(value: unknown): value is VectorRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The string in `field`; throws a {@link VectorError} when it is absent or something else. */
export function stringOf(record: VectorRecord, field: string): string {
  const value = record[field];
  if (typeof value !== 'string') throw new VectorError(`field ${field} is not a string`);
  return value;
}

/** The number in `field`, or `absent` when the record has no such field. */
export function numberOf(record: VectorRecord, field: string, absent?: number): number {
  const value = record[field] ?? absent;
  if (typeof value !== 'number') throw new VectorError(`field ${field} is not a number`);
  return value;
}

/** The bytes that `field` gives in hexadecimal. */
export function bytesOf(record: VectorRecord, field: string): Uint8Array {
  const hex = stringOf(record, field);
  if (!/^(?:[0-9a-f]{2})*$/i.test(hex)) throw new VectorError(`field ${field} is not hexadecimal`);
  return Uint8Array.from(Buffer.from(hex, 'hex'));
}

/** Lower-case hexadecimal without separators, as in the vectors. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}
