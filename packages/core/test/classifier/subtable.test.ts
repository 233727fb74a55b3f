/** A subtable against a map, through growth and shrinking a few rows at a time. */

import { KEY_WORDS, W_IN_PORT } from '@etherloom/odp-codec';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findMasked, flowOfRow, hashMasked } from '../../src/classifier/subtable.hot.js';
import { hashFactors, MutableSubtable } from '../../src/classifier/subtable.js';

const WORD = 20;
const key = new Int32Array(KEY_WORDS);
const keyOf = (flow: number): Int32Array => {
  key[W_IN_PORT] = flow % 5;
  key[WORD] = flow;
  return key;
};

describe('MutableSubtable', () => {
  it('finds each flow at its row, and no other, at every step', () => {
    // Runs of additions and removals, so that tables grow, shrink, and turn around while they do.
    const run = fc.record({ add: fc.boolean(), count: fc.integer({ min: 1, max: 150 }), pick: fc.nat() });
    fc.assert(
      fc.property(fc.array(run, { maxLength: 12 }), fc.integer(), (runs, seed) => {
        const mask = new Int32Array(KEY_WORDS);
        mask[W_IN_PORT] = -1;
        mask[WORD] = -1;
        const table = new MutableSubtable(0, mask, hashFactors(seed), 1 << 20);
        const rows: number[] = [];
        const rowOf = new Map<number, number>();
        let next = 1;
        for (const { add, count, pick } of runs) {
          for (let i = 0; i < count; i++) {
            if (add) {
              const flow = next++;
              const row = table.add(keyOf(flow), 0, hashMasked(table, keyOf(flow), 0), flow);
              expect(row).toBe(rows.length);
              rows.push(flow);
              rowOf.set(flow, row);
            } else if (rows.length > 0) {
              const row = (pick + i * 7) % rows.length;
              const flow = rows[row]!;
              const last = rows.pop()!;
              rowOf.delete(flow);
              const moved = table.delete(row);
              expect(moved).toBe(last === flow ? -1 : last);
              if (moved >= 0) {
                rows[row] = last;
                rowOf.set(last, row);
              }
              expect(findMasked(table, keyOf(flow), 0)).toBe(-1);
            }
          }
          for (const [flow, row] of rowOf) {
            expect(findMasked(table, keyOf(flow), 0)).toBe(row);
            expect([flowOfRow(table, row), table.portOf(row)]).toEqual([flow, flow % 5]);
          }
        }
        expect(table.count).toBe(rows.length);
        // Two slots for each row that there may be: growing and shrinking follow the number of rows.
        expect(table.index.mask + 1).toBeLessThanOrEqual(Math.max(rows.length, 4) * 16);
      }),
      { numRuns: 200 },
    );
  });
});
