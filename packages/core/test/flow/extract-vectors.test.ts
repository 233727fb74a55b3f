/** Extraction against what the real Open vSwitch extracts. */

import { describe, expect, it } from 'vitest';
import { checkExtractRecord } from '../../../../tools/conformance/src/extract.js';
import { isRecord } from '../../../../tools/conformance/src/record.js';
import { extractRecords } from './frames.js';

describe('extract.jsonl', () => {
  it('passes in every field of every record', () => {
    const records = extractRecords().filter(isRecord);
    expect(records.length).toBeGreaterThan(500);
    const failures = records.flatMap((record) => {
      const differences = checkExtractRecord(record);
      return differences.length === 0 ? [] : [{ id: record.id, group: record.group, differences }];
    });
    expect(failures).toEqual([]);
  });
});
