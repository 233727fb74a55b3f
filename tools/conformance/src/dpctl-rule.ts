/** What a rule about sessions is: about one difference, or about everything from one step on. */

import type { Deviation } from './deviations.js';
import type { VectorRecord } from './record.js';
import { type DpctlStep, stepsOf } from './transcript.js';

const FILE = 'dpctl.jsonl';

/** A difference taken apart: where it is and, for lines and packets, what was wanted there and what is. */
export interface Parts {
  readonly step: number;
  readonly want: string;
  readonly have: string;
}

function partsOf(difference: string): Parts | undefined {
  const [, step] = /^steps\[(\d+)\]/.exec(difference) ?? [];
  if (step === undefined) return undefined;
  const [, want = '', have = ''] = /\n {2}want (.*)\n {2}have (.*)$/.exec(difference) ?? [];
  return { step: Number(step), want: textOf(want), have: textOf(have) };
}

function textOf(json: string): string {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === 'string' ? value : '';
  } catch {
    return '';
  }
}

/** A rule about one difference, whatever else the session holds. */
export function about(
  id: string,
  why: string,
  explains: (parts: Parts, step: DpctlStep, record: VectorRecord) => boolean,
) {
  return rule(id, why, (parts, record) => {
    const step = stepsOf(record)[parts.step];
    return step !== undefined && explains(parts, step, record);
  });
}

/**
 * A rule about a step after which the two flow tables, or their statistics, are not the same any more; `only` about some of what
 * differs then.
 */
export function since(
  id: string,
  why: string,
  parts: (step: DpctlStep, before: readonly DpctlStep[]) => boolean,
  only: (difference: Parts) => boolean = () => true,
): Deviation {
  return rule(id, why, (difference, record) => {
    const steps = stepsOf(record);
    const first = steps.findIndex((one, index) => parts(one, steps.slice(0, index)));
    return first >= 0 && difference.step >= first && only(difference);
  });
}

function rule(id: string, why: string, explains: (parts: Parts, record: VectorRecord) => boolean): Deviation {
  return {
    id,
    why,
    explains(file, record, difference) {
      const parts = file === FILE ? partsOf(difference) : undefined;
      return parts !== undefined && explains(parts, record);
    },
  };
}
