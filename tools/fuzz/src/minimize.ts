/** Makes a failing input as small as it gets while it still fails in the same way. */

import { tryInput } from './fuzzer.js';
import { shrinkNetlink } from './mutate/netlink.js';
import { type Input, type Target, Violation } from './target.js';

/** Most runs, so that slow inputs do not take all day. */
const MAX_RUNS = 4000;
const MAX_SECONDS = 30;

/** What two failures of the same bug have in common: the property, or the place in our code that threw. */
function signature(error: Error): string {
  if (error instanceof Violation) return error.property;
  const frame = error.stack?.split('\n').find((line) => /\/packages\/.*:\d+:\d+\)?$/.test(line));
  return `${error.name} ${frame?.trim() ?? ''}`;
}

/** A smaller input that fails as `input` does, maybe `input` itself. */
export function minimize(target: Target, input: Input, error: Error): Input {
  const wanted = signature(error);
  const end = Date.now() + MAX_SECONDS * 1000;
  let runs = 0;
  let best = input;

  /** Keeps `bytes` as part `place` if the failure stays. */
  const accept = (place: number, bytes: Uint8Array): boolean => {
    if (++runs > MAX_RUNS || Date.now() > end) return false;
    const candidate = best.with(place, bytes);
    const found = tryInput(target, candidate);
    if (found === undefined || signature(found) !== wanted) return false;
    best = candidate;
    return true;
  };

  const shrink = (place: number): boolean => {
    const { kind } = target.parts[place]!;
    const before = best[place]!;
    if (kind === 'netlink') while (shrinkNetlink(best[place]!).some((bytes) => accept(place, bytes)));
    if (kind !== 'knobs')
      removeStretches(
        () => best[place]!,
        (bytes) => accept(place, bytes),
      );
    if (kind !== 'text')
      zeroBytes(
        () => best[place]!,
        (bytes) => accept(place, bytes),
      );
    return best[place] !== before;
  };

  let smaller = true;
  while (smaller) smaller = target.parts.map((_part, place) => shrink(place)).includes(true);
  return best;
}

/** Halves first, single bytes last. */
function removeStretches(current: () => Uint8Array, accept: (bytes: Uint8Array) => boolean): void {
  for (let length = current().length >> 1; length >= 1; length >>= 1) {
    let at = 0;
    while (at < current().length) {
      const bytes = current();
      const without = new Uint8Array(bytes.length - Math.min(length, bytes.length - at));
      without.set(bytes.subarray(0, at));
      without.set(bytes.subarray(at + length), at);
      if (!accept(without)) at += length;
    }
  }
}

function zeroBytes(current: () => Uint8Array, accept: (bytes: Uint8Array) => boolean): void {
  for (let at = 0; at < current().length; at++) {
    if (current()[at] !== 0) accept(current().with(at, 0));
  }
}
