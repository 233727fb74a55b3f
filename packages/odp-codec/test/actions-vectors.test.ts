/** The vectors that Open vSwitch 4.0.90 made, held against the action codec. */
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { checkActionBadRecord, checkActionRecord } from '../../../tools/conformance/src/actions.js';
import { parseRecord, type VectorRecord } from '../../../tools/conformance/src/record.js';
import { decodeActions, encodeActions } from '../src/actions/index.js';

const read = (name: string): VectorRecord[] =>
  gunzipSync(readFileSync(new URL(`../../../vectors/${name}.jsonl.gz`, import.meta.url)))
    .toString()
    .split('\n')
    .filter((line) => line !== '')
    .map(parseRecord);

const failures = (records: VectorRecord[], check: (record: VectorRecord) => string[]): string[] =>
  records.flatMap((record) => check(record).map((difference) => `${record.id}: ${difference}`));

test('actions that Open vSwitch accepts have its bytes, its text and its round trip', () => {
  const records = read('actions');
  expect(records.length).toBeGreaterThan(600);
  expect(failures(records, checkActionRecord)).toEqual([]);
});

test('actions that Open vSwitch refuses are refused', () => {
  const records = read('actions-bad');
  expect(records.length).toBeGreaterThan(200);
  expect(failures(records, checkActionBadRecord)).toEqual([]);
});

test('the bytes of every vector come back from the model', () => {
  for (const { id, actions_hex } of read('actions')) {
    const bytes = Uint8Array.from(Buffer.from(String(actions_hex), 'hex'));
    const model = JSON.parse(JSON.stringify(decodeActions(bytes)));
    expect(Buffer.from(encodeActions(model)).toString('hex'), `record ${id}`).toBe(actions_hex);
  }
});
