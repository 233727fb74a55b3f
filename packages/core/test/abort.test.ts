/** onAbort: one listener for all that wait with a signal. */

import { getEventListeners } from 'node:events';
import { expect, it } from 'vitest';
import { onAbort, pause } from '../src/index.js';

it('calls everyone who still waits, with one listener on the signal', () => {
  const abort = new AbortController();
  const called: number[] = [];
  const forget = Array.from({ length: 50 }, (_, i) => onAbort(abort.signal, () => called.push(i)));
  expect(getEventListeners(abort.signal, 'abort').length).toBe(1);
  for (const i of [3, 7]) forget[i]?.();
  // Whoever is called may take out others that were not called yet.
  forget[0]?.();
  onAbort(abort.signal, () => forgetLast());
  const forgetLast = onAbort(abort.signal, () => called.push(99));
  abort.abort();
  expect(called).toEqual(Array.from({ length: 50 }, (_, i) => i).filter((i) => ![0, 3, 7].includes(i)));
  expect(getEventListeners(abort.signal, 'abort').length).toBe(0);
});

it('ends a pause at once, and one that has not begun', async () => {
  const abort = new AbortController();
  const began = performance.now();
  const pauses = [pause(60_000, abort.signal), pause(1, abort.signal)];
  await pauses[1];
  abort.abort();
  await Promise.all([...pauses, pause(60_000, abort.signal)]);
  expect(performance.now() - began).toBeLessThan(30_000);
});
