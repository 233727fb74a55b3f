/** Every record of keys.jsonl and keys-bad.jsonl: what the real Open vSwitch 4.0.90 does, byte for byte. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { checkKeyBadRecord, checkKeyRecord } from '../../../tools/conformance/src/keys.js';
import { parseRecord, toHex, type VectorRecord } from '../../../tools/conformance/src/record.js';
import { parseFlowKey } from '../src/index.js';

const load = (name: string): VectorRecord[] =>
  gunzipSync(readFileSync(new URL(`../../../vectors/${name}.jsonl.gz`, import.meta.url)))
    .toString()
    .trimEnd()
    .split('\n')
    .map(parseRecord);

test.each([
  ['keys', checkKeyRecord, 900],
  ['keys-bad', checkKeyBadRecord, 800],
] as const)('%s.jsonl has no differences', (name, check, atLeast) => {
  const records = load(name);
  expect(records.length).toBeGreaterThan(atLeast);
  const wrong = records.flatMap((record) => check(record).map((difference) => `${record.id}: ${difference}`));
  expect(wrong).toEqual([]);
});

test('what Open vSwitch reads is read alike where the text need not be strict', () => {
  for (const { id, text, key_hex, mask_hex } of load('keys')) {
    if (typeof text !== 'string') continue;
    const { key, mask } = parseFlowKey(text);
    expect([toHex(key), toHex(mask)], `record ${id}`).toEqual([key_hex, mask_hex]);
  }
});
