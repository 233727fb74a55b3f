/** The shared ring against a queue: whatever is produced and consumed in whatever pieces, records come out as they went in. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { longestRecord, ringBytes, SharedRing } from '../../src/pmd/ring.hot.js';

const WORDS = 64;
const LONGEST = longestRecord(WORDS);

describe('SharedRing', () => {
  it('keeps records whole and in order, refuses only what has no room, and gives each back once', () => {
    const step = fc.oneof(
      fc.record({
        what: fc.constant('reserve' as const),
        length: fc.integer({ min: 0, max: LONGEST }),
      }),
      fc.record({ what: fc.constantFrom('publish', 'consume', 'release', 'reclaim', 'attach') }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const memory = new SharedArrayBuffer(ringBytes(WORDS));
        let producer = new SharedRing(memory);
        let consumer = new SharedRing(memory);
        let next = 1;
        let written: number[][] = [];
        let visible: number[][] = [];
        let consumed: number[][] = [];
        let released: number[][] = [];
        const read = (ring: SharedRing, at: number): number[] => [
          ...ring.words.subarray(at, at + ring.length(at)),
        ];
        for (const one of steps) {
          switch (one.what) {
            case 'reserve': {
              producer.refresh();
              // Whoever reclaims does so before writing.
              for (let at = producer.reclaim(); at >= 0; at = producer.reclaim()) {
                expect(read(producer, at)).toEqual(released.shift());
              }
              const certain = producer.fits(one.length);
              const at = producer.reserve(one.length);
              if (certain) expect(at).toBeGreaterThan(0);
              if (at < 0) break;
              const record = Array.from({ length: one.length }, () => next++);
              producer.words.set(record, at);
              written.push(record);
              break;
            }
            case 'publish':
              expect(producer.publish()).toBe(written.length > 0);
              visible.push(...written);
              written = [];
              break;
            case 'consume': {
              const at = consumer.peek();
              expect(at >= 0).toBe(visible.length > 0);
              if (at < 0) break;
              const record = visible.shift()!;
              expect(read(consumer, at)).toEqual(record);
              consumer.skip();
              consumed.push(record);
              break;
            }
            case 'release':
              consumer.release();
              released.push(...consumed);
              consumed = [];
              break;
            case 'reclaim':
              producer.refresh();
              for (let at = producer.reclaim(); at >= 0; at = producer.reclaim()) {
                expect(read(producer, at)).toEqual(released.shift());
              }
              expect(released).toEqual([]);
              break;
            case 'attach':
              // Another thread takes the place of one that died: what was not published or released is as if it never was.
              producer = new SharedRing(memory);
              consumer = new SharedRing(memory);
              written = [];
              visible = [...consumed, ...visible];
              consumed = [];
              released = [];
              break;
          }
        }
        producer.publish();
        for (const record of [...visible, ...written]) {
          expect(read(consumer, consumer.peek())).toEqual(record);
          consumer.skip();
        }
        expect(consumer.peek()).toBe(-1);
      }),
      { numRuns: 2000 },
    );
  });

  it('an empty ring takes the longest record wherever it starts', () => {
    const memory = new SharedArrayBuffer(ringBytes(WORDS));
    const ring = new SharedRing(memory);
    for (let start = 0; start < 3 * WORDS; start++) {
      expect(ring.fits(LONGEST)).toBe(true);
      for (const length of [LONGEST, start % 7]) {
        expect(ring.reserve(length)).toBeGreaterThan(0);
        ring.publish();
        ring.peek();
        ring.skip();
        ring.release();
        ring.refresh();
      }
    }
  });
});
