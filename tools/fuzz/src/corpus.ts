/** Chooses the inputs that are worth keeping between runs. */

import type { Coverage } from './coverage.js';
import { tryInput } from './fuzzer.js';
import type { Input, Target } from './target.js';

/** Longer inputs are left out: they are mostly deep nesting, which mutation makes again in no time. */
const MAX_BYTES = 1500;

const sizeOf = (input: Input): number => input.reduce((sum, { length }) => sum + length, 0);

/** Those of `found` that reach code that neither `known` nor a smaller one of them reaches. */
export function selectCorpus(
  target: Target,
  coverage: Coverage,
  known: readonly Input[],
  found: readonly Input[],
): Input[] {
  coverage.reset();
  for (const input of known) tryInput(target, input);
  coverage.commit(coverage.observe());
  const bySize = found.filter((input) => sizeOf(input) <= MAX_BYTES).sort((a, b) => sizeOf(a) - sizeOf(b));
  return bySize.filter((input) => {
    tryInput(target, input);
    const reached = coverage.observe();
    const isNew = coverage.isNew(reached);
    coverage.commit(reached);
    return isNew;
  });
}
