/** The runner: what counts as passed, failed and deviating, what it refuses, and how differences read. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Deviation } from '../src/deviations.js';
import { difference } from '../src/diff.js';
import { numberOf, VectorError } from '../src/record.js';
import { findVectorFile, runVectorFile } from '../src/run.js';

/** Records `{ id, value }` pass when the value is even. */
const evenNumbers = {
  name: 'even.jsonl',
  check: (record: Readonly<Record<string, unknown>>): string[] => {
    const value = numberOf(record, 'value');
    if (value < 0) throw new RangeError(`negative: ${value}`);
    return value % 2 === 0 ? [] : [`value: ${value} is odd`];
  },
};

const thirteen: Deviation = {
  id: 'thirteen',
  why: 'Thirteen is as good as even.',
  explains: (file, record, difference) =>
    file === 'even.jsonl' && record.value === 13 && difference.startsWith('value: '),
};

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'conformance-'));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

function write(name: string, content: string | Uint8Array): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}

describe('runVectorFile', () => {
  it('sorts records into passed, failed and deviations, and takes an exception for a failure', async () => {
    const values = [2, 3, 13, 4, -1];
    const lines = values.map((value, id) => JSON.stringify({ id, group: `g${id}`, value }));
    const result = await runVectorFile(evenNumbers, write('even.jsonl', `${lines.join('\n')}\n`), [thirteen]);
    expect(result).toMatchObject({
      file: 'even.jsonl',
      passed: 2,
      deviations: { thirteen: 1 },
      failures: [
        { id: '1', group: 'g1', differences: ['value: 3 is odd'] },
        { id: '4', group: 'g4', differences: [expect.stringContaining('negative: -1')] },
      ],
    });
  });

  it('reads compressed files, and prefers plain ones', async () => {
    const compressed = write('even.jsonl.gz', gzipSync('{"value":2}\n{"value":4}\n'));
    expect(findVectorFile(directory, 'even.jsonl')).toBe(compressed);
    expect((await runVectorFile(evenNumbers, compressed)).passed).toBe(2);
    const plain = write('even.jsonl', '{"value":2}\n');
    expect(findVectorFile(directory, 'even.jsonl')).toBe(plain);
    expect(findVectorFile(directory, 'odd.jsonl')).toBeUndefined();
  });

  it.each([
    ['broken JSON', '{"value":2}\n{"value":'],
    ['a line that is no object', '{"value":2}\n[2]'],
    ['a field of the wrong type', '{"value":2}\n{"value":"2"}'],
  ])('refuses %s, naming the line', async (_, content) => {
    const path = write('even.jsonl', content);
    await expect(runVectorFile(evenNumbers, path)).rejects.toThrow(VectorError);
    await expect(runVectorFile(evenNumbers, path)).rejects.toThrow(/even\.jsonl, line 2: /);
  });

  it('counts a record under all rules that it needs, and as failed when they do not explain everything', async () => {
    const file = {
      name: 'letters.jsonl',
      check: async (record: Readonly<Record<string, unknown>>): Promise<string[]> =>
        String(record.letters).split(''),
    };
    const rule = (id: string): Deviation => ({
      id,
      why: `${id} is a good letter.`,
      explains: (_file, _record, difference) => difference === id,
    });
    const path = write(
      'letters.jsonl',
      ['a', 'ba', 'ab', 'abc'].map((letters) => `{"letters":"${letters}"}\n`).join(''),
    );
    expect(await runVectorFile(file, path, [rule('a'), rule('b')])).toMatchObject({
      deviations: { a: 1, 'a + b': 2 },
      failures: [{ id: 'line 4', differences: ['c'] }],
    });
    expect(await runVectorFile({ ...file, unavailable: () => 'no pencil' }, path)).toMatchObject({
      passed: 0,
      failures: [],
      skipped: { records: 4, why: 'no pencil' },
    });
  });

  it('refuses a file that is not compressed though its name says so', async () => {
    await expect(runVectorFile(evenNumbers, write('even.jsonl.gz', '{}'))).rejects.toThrow(
      /cannot read .*even/,
    );
  });
});

describe('difference', () => {
  it('marks the first byte or character that differs', () => {
    expect(difference('key_hex', '00112233', '00112a33')).toBe(
      'key_hex: differs at byte 2\n  want 00112233\n  have 00112a33\n           ^^',
    );
    expect(difference('text', 'eth(dst)', 'eth(dts)')).toBe(
      'text: differs at character 6\n  want eth(dst)\n  have eth(dts)\n            ^',
    );
    expect(difference('l3_ofs', 14, -1)).toBe('l3_ofs: want 14, have -1');
    expect(difference('l3_ofs', 14, 14)).toBeUndefined();
  });

  it('shows long values around the difference only', () => {
    const shared = 'a-'.repeat(100);
    const text = difference('text', `${shared}x`, `${shared}y${'z'.repeat(100)}`) ?? '';
    const [, want = '', , mark = ''] = text.split('\n');
    expect(want.length).toBeLessThan(100);
    expect(want[mark.indexOf('^')]).toBe('x');
  });
});
