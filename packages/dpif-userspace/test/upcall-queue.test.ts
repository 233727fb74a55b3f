/** The upcall queue against a plain array with the same bounds. */

import type { Upcall } from '@etherloom/core';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { UpcallQueue } from '../src/upcall-queue.js';

const OVERHEAD = 200;

const upcall = (length: number): Upcall => ({
  type: 'miss',
  packet: new Uint8Array(length),
  key: new Uint8Array(100),
  pid: 1,
});

it('is first in first out, within its bounds of upcalls and bytes', () => {
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.integer({ min: 14, max: 5000 }) },
    { weight: 4, arbitrary: fc.constant('take' as const) },
    { weight: 1, arbitrary: fc.constantFrom('purge' as const) },
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const limits = { upcalls: 40, upcallBytes: 50_000, upcallTotalBytes: 1 << 20 };
      const queue = new UpcallQueue(1, limits);
      let model: Upcall[] = [];
      for (const action of steps) {
        if (action === 'take') {
          if (model.length > 0) expect(queue.shift()).toBe(model.shift());
        } else if (action === 'purge') {
          expect(queue.purge()).toBe(model.length);
          model = [];
        } else {
          const bytes = model.reduce(
            (sum, { packet, key }) => sum + packet.length + key.length + OVERHEAD,
            0,
          );
          const room = bytes + action + OVERHEAD <= limits.upcallBytes && model.length < limits.upcalls;
          expect(queue.hasRoom(1, action)).toBe(room || model.length === 0);
          if (!queue.hasRoom(1, action)) continue;
          const item = upcall(action);
          queue.push(item);
          model.push(item);
        }
        expect(queue.length).toBe(model.length);
      }
    }),
  );
});

it('takes one upcall that is larger than its bound', () => {
  const queue = new UpcallQueue(1, { upcalls: 10, upcallBytes: 1000, upcallTotalBytes: 1 << 20 });
  expect(queue.hasRoom(1, 65_535)).toBe(true);
  queue.push(upcall(65_535));
  expect(queue.hasRoom(1, 14)).toBe(false);
  queue.shift();
  expect(queue.hasRoom(1, 14)).toBe(true);
});
