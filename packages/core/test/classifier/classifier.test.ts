/** The classifier against a linear scan, and its bounds. */

import { KEY_WORDS } from '@etherloom/odp-codec';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Classifier } from '../../src/classifier/classifier.js';
import { FlowCounters } from '../../src/classifier/counters.hot.js';
import { KnownMask } from '../../src/classifier/known-mask.js';

/** Words that the random keys use: both ends of the row, neighbours, and both sides of a bitmap word. */
const WORDS = [0, 1, 31, 32, 33, 127, 128, KEY_WORDS - 1];
const MASKS = [0, -1, 0xff, 0xffff0000 | 0, 1];

const sparse = (values: readonly number[]): Int32Array => {
  const row = new Int32Array(KEY_WORDS);
  WORDS.forEach((word, i) => {
    row[word] = values[i]!;
  });
  return row;
};
/** Few values per word, so that keys meet. */
const keyRow = fc
  .array(fc.constantFrom(0, 1, 0x10001, -1), { minLength: WORDS.length, maxLength: WORDS.length })
  .map(sparse);
const maskRow = fc
  .array(fc.constantFrom(...MASKS), { minLength: WORDS.length, maxLength: WORDS.length })
  .map(sparse);

type Step =
  | { readonly kind: 'insert'; readonly key: Int32Array; readonly mask: Int32Array }
  | { readonly kind: 'remove'; readonly pick: number }
  | { readonly kind: 'lookup'; readonly key: Int32Array }
  | { readonly kind: 'rank' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ kind: fc.constant('insert' as const), key: keyRow, mask: maskRow }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('remove' as const), pick: fc.nat() }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('lookup' as const), key: keyRow }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'rank' as const }) },
);

interface ModelFlow {
  readonly id: number;
  readonly key: Int32Array;
  readonly mask: Int32Array;
}

const matches = (flow: ModelFlow, key: Int32Array): boolean =>
  key.every((word, i) => ((word ^ flow.key[i]!) & flow.mask[i]!) === 0);
const equal = (a: Int32Array, b: Int32Array): boolean => a.every((word, i) => word === b[i]);

describe('Classifier', () => {
  it('finds what a linear scan finds, through inserts, removals and re-ranking', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), fc.integer(), (steps, seed) => {
        const classifier = new Classifier({ seed });
        const model: ModelFlow[] = [];
        const read = new Int32Array(KEY_WORDS + 3);
        for (const action of steps) {
          if (action.kind === 'insert') {
            const { key, mask } = action;
            if (model.some((flow) => matches(flow, key) || equal(flow.key, key))) {
              expect(() => classifier.insert(key, 0, mask)).toThrow(
                expect.objectContaining({ code: 'EEXIST' }),
              );
            } else {
              const id = classifier.insert(key, 0, mask);
              expect(model.every((flow) => flow.id !== id)).toBe(true);
              model.push({ id, key, mask });
            }
          } else if (action.kind === 'remove' && model.length > 0) {
            const [gone] = model.splice(action.pick % model.length, 1);
            classifier.remove(gone!.id);
            expect(classifier.isFlow(gone!.id)).toBe(false);
          } else if (action.kind === 'lookup') {
            const expected = model.filter((flow) => matches(flow, action.key)).map((flow) => flow.id);
            const found = classifier.search.lookup(action.key, 0);
            // Flows may overlap as masks, only not at a stored key: any of those that match is right.
            if (expected.length === 0) {
              expect(found).toBe(-1);
              expect(classifier.search.probes).toBe(classifier.maskCount);
            } else expect(expected).toContain(found);
            expect(classifier.find(action.key)).toBe(
              model.find((flow) => equal(flow.key, action.key))?.id ?? -1,
            );
          } else if (action.kind === 'rank') classifier.rank();
        }
        expect(classifier.flowCount).toBe(model.length);
        expect(classifier.maskCount).toBe(new Set(model.map((flow) => flow.mask.join())).size);
        for (const flow of model) {
          classifier.readKey(flow.id, read, 3);
          expect(equal(read.subarray(3), flow.key)).toBe(true);
          expect(equal(classifier.maskOf(flow.id), flow.mask)).toBe(true);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('keeps every flow reachable while a large table grows, churns and shrinks, and gives the memory back', () => {
    const classifier = new Classifier({ maxMasks: 3 });
    const masks = [
      [-1, 0, 0xff],
      [-1, -1, 0],
      [-1, -1, -1],
    ].map((values) => sparse(values));
    const key = new Int32Array(KEY_WORDS);
    const keyOf = (n: number): Int32Array => {
      key[0] = n;
      key[1] = n % 7;
      key[31] = n;
      key[40] = n;
      return key;
    };
    const ids = new Map<number, number>();
    for (let n = 1; n <= 50_000; n++) ids.set(n, classifier.insert(keyOf(n), 0, masks[n % 3]!));
    for (let n = 1; n <= 50_000; n += 2) {
      classifier.remove(ids.get(n)!);
      ids.delete(n);
    }
    for (let n = 60_001; n <= 70_000; n++) ids.set(n, classifier.insert(keyOf(n), 0, masks[n % 3]!));
    expect(classifier.capacity).toBe(65_536);
    const lost: number[] = [];
    for (let n = 1; n <= 70_000; n++) {
      const expected = ids.get(n) ?? -1;
      if (classifier.search.lookup(keyOf(n), 0) !== expected) lost.push(n);
      if (classifier.find(keyOf(n)) !== expected) lost.push(n);
    }
    expect(lost).toEqual([]);
    for (const id of ids.values()) classifier.remove(id);
    expect(classifier.flowCount).toBe(0);
    expect(classifier.maskCount).toBe(0);
    expect(classifier.capacity).toBe(64);
    expect(classifier.search.order).toEqual([]);
  });

  it('a replica that is told what a classifier did finds the same flows under the same ids', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        const classifier = new Classifier();
        const statistics = new SharedArrayBuffer(FlowCounters.bytes(classifier.maxFlows));
        const replica = new Classifier({ replica: statistics });
        const model: ModelFlow[] = [];
        for (const action of steps) {
          if (action.kind === 'insert') {
            const { key, mask } = action;
            if (classifier.find(key) >= 0 || classifier.match(key) >= 0) continue;
            const id = classifier.insert(key, 0, mask);
            replica.insertReplica(id, key, 0, new KnownMask(mask));
            expect(replica.counters.packets(id)).toBe(0);
            replica.counters.count(id, 1, 60, 1, 0);
            model.push({ id, key, mask });
          } else if (action.kind === 'remove' && model.length > 0) {
            const [gone] = model.splice(action.pick % model.length, 1);
            classifier.remove(gone!.id);
            replica.remove(gone!.id);
            expect(replica.isFlow(gone!.id)).toBe(false);
          } else if (action.kind === 'lookup') {
            const expected = model.filter((flow) => matches(flow, action.key)).map((flow) => flow.id);
            const found = replica.search.lookup(action.key, 0);
            if (expected.length === 0) expect(found).toBe(-1);
            else expect(expected).toContain(found);
          } else if (action.kind === 'rank') replica.rank();
        }
        expect(replica.flowCount).toBe(model.length);
        expect(replica.maskCount).toBe(classifier.maskCount);
        // The statistics stay where another thread reads them, however the table grew or was emptied.
        const packets = new FlowCounters(0);
        packets.values = new Float64Array(statistics);
        for (const { id } of model) expect(packets.packets(id)).toBe(1);
      }),
      { numRuns: 300 },
    );
  });

  it('a replica takes ids in any order and grows to them', () => {
    const statistics = new SharedArrayBuffer(FlowCounters.bytes(1 << 20));
    const replica = new Classifier({ replica: statistics });
    const ids = [3, 70_000, 0, 64, 1_000_000];
    for (const id of ids) replica.insertReplica(id, sparse([id]), 0, new KnownMask(sparse([-1])));
    for (const id of ids) expect(replica.search.lookup(sparse([id]), 0)).toBe(id);
    for (const id of ids) replica.remove(id);
    for (const id of ids) expect(replica.search.lookup(sparse([id]), 0)).toBe(-1);
    expect(replica.capacity).toBe(64);
  });

  it('refuses flows and masks over its bounds with a sentence, unchanged', () => {
    const classifier = new Classifier({ maxFlows: 3, maxMasks: 2 });
    const first = classifier.insert(sparse([1]), 0, sparse([-1]));
    classifier.insert(sparse([2, 1]), 0, sparse([-1, -1]));
    expect(() => classifier.insert(sparse([3]), 0, sparse([1, 0, -1]))).toThrow(
      expect.objectContaining({ code: 'ENOSPC', message: expect.stringContaining('2 different masks') }),
    );
    expect(classifier.flowCount).toBe(2);
    classifier.insert(sparse([3]), 0, sparse([-1]));
    expect(() => classifier.insert(sparse([4]), 0, sparse([-1]))).toThrow(
      expect.objectContaining({ code: 'EFBIG', message: expect.stringContaining('3 flows') }),
    );
    expect(classifier.match(sparse([4]))).toBe(-1);
    classifier.remove(first);
    expect(classifier.insert(sparse([4]), 0, sparse([-1]))).toBe(first);
  });

  it('probes the mask that is hit most first', () => {
    const classifier = new Classifier();
    classifier.insert(sparse([1]), 0, sparse([-1]));
    classifier.insert(sparse([2, 5]), 0, sparse([-1, -1]));
    const popular = classifier.insert(sparse([3, 5, 7]), 0, sparse([-1, -1, -1]));
    const key = sparse([3, 5, 7]);
    expect(classifier.search.lookup(key, 0)).toBe(popular);
    expect(classifier.search.probes).toBe(3);
    classifier.rank();
    expect(classifier.search.lookup(key, 0)).toBe(popular);
    expect(classifier.search.probes).toBe(1);
  });

  it('knows which flows are younger than a serial number', () => {
    const classifier = new Classifier();
    const old = classifier.insert(sparse([1]), 0, sparse([-1]));
    const { serial } = classifier;
    const young = classifier.insert(sparse([2]), 0, sparse([-1]));
    classifier.remove(old);
    const reused = classifier.insert(sparse([3]), 0, sparse([-1]));
    expect(reused).toBe(old);
    expect([classifier.isFlow(young, serial), classifier.isFlow(reused, serial)]).toEqual([false, false]);
    expect([classifier.isFlow(young), classifier.isFlow(reused), classifier.isFlow(9999)]).toEqual([
      true,
      true,
      false,
    ]);
  });
});
