/** Queues to threads: even where they may move, and never where they may not. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { splitAffinity } from '../../src/pmd/affinity.js';
import { type AssignedQueue, leastLoaded, nextMove } from '../../src/pmd/assignment.js';

describe('assignment', () => {
  it('queues that come one by one are spread evenly', () => {
    const queues: AssignedQueue[] = [];
    for (let i = 0; i < 10; i++)
      queues.push({ thread: leastLoaded(3, queues), pinned: false, movable: true });
    expect(queues.map(({ thread }) => thread)).toEqual([0, 1, 2, 0, 1, 2, 0, 1, 2, 0]);
  });

  it('moving ends, evens out what can move, and leaves the rest', () => {
    const queue = fc.record({ thread: fc.nat({ max: 3 }), pinned: fc.boolean(), movable: fc.boolean() });
    fc.assert(
      fc.property(fc.array(queue, { maxLength: 40 }), (queues) => {
        const before = queues.map(({ thread }) => thread);
        let moves = 0;
        for (let move = nextMove(4, queues); move !== undefined; move = nextMove(4, queues)) {
          move.queue.thread = move.to;
          expect(++moves).toBeLessThanOrEqual(queues.length);
        }
        queues.forEach((q, i) => {
          if (q.pinned || !q.movable) expect(q.thread).toBe(before[i]);
        });
        const load = (thread: number): number => queues.filter((q) => q.thread === thread).length;
        const least = Math.min(...[0, 1, 2, 3].map(load));
        for (const thread of [0, 1, 2, 3]) {
          const free = queues.some((q) => q.thread === thread && !q.pinned && q.movable);
          if (free) expect(load(thread) - least).toBeLessThan(2);
        }
      }),
    );
  });
});

describe('pmd-rxq-affinity', () => {
  it('is taken out of the options', () => {
    expect(splitAffinity({ mtu: '9000', 'pmd-rxq-affinity': '0:1, 3:0' })).toEqual({
      affinity: new Map([
        [0, 1],
        [3, 0],
      ]),
      config: { mtu: '9000' },
    });
    expect(splitAffinity({ mtu: '9000' })).toEqual({ affinity: new Map(), config: { mtu: '9000' } });
  });

  it.each(['', '1', '0:', ':1', '0:1,', '0:1,0:2', '-1:0', '0:1:2', 'a:b', '0:999999'])(
    '"%s" is EINVAL',
    (text) => {
      expect(() => splitAffinity({ 'pmd-rxq-affinity': text })).toThrow(
        expect.objectContaining({ code: 'EINVAL' }),
      );
    },
  );
});
