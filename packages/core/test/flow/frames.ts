/** The frames of the project's extraction vectors, as seeds for tests. */

import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

const VECTORS = new URL('../../../../vectors/extract.jsonl.gz', import.meta.url);

/** The records of extract.jsonl, unchecked. */
export function extractRecords(): unknown[] {
  return gunzipSync(readFileSync(VECTORS))
    .toString('utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line): unknown => JSON.parse(line));
}

/** Every frame of the vectors, from empty to jumbo, sound and broken. */
export function vectorFrames(): Uint8Array[] {
  return extractRecords().flatMap((record) => {
    if (typeof record !== 'object' || record === null || !('packet_hex' in record)) return [];
    return typeof record.packet_hex === 'string'
      ? [Uint8Array.from(Buffer.from(record.packet_hex, 'hex'))]
      : [];
  });
}
