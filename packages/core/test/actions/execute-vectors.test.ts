/** Executes every packet of vectors/execute.jsonl.gz and compares all calls and the packet that is left. */

import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { DEVIATIONS } from '../../../../tools/conformance/src/deviations.js';
import { checkExecuteRecord } from '../../../../tools/conformance/src/execute.js';
import { parseRecord } from '../../../../tools/conformance/src/record.js';

const records = gunzipSync(readFileSync(new URL('../../../../vectors/execute.jsonl.gz', import.meta.url)))
  .toString('utf8')
  .trimEnd()
  .split('\n')
  .map(parseRecord);

describe('execution as Open vSwitch does it', () => {
  const results = records.map((record) => ({ record, differences: checkExecuteRecord(record) }));
  const deviates = ({ record, differences }: (typeof results)[number]): boolean =>
    differences.length > 0 && DEVIATIONS.some((rule) => rule.applies('execute.jsonl', record, differences));

  it('differs in nothing but documented deviations', () => {
    const failures = results.filter((result) => result.differences.length > 0 && !deviates(result));
    expect(failures.map(({ record, differences }) => ({ id: record.id, differences }))).toEqual([]);
  });

  it('deviates in less than 1 % of the records', () => {
    expect(results.filter(deviates).length).toBeLessThan(records.length / 100);
  });
});
