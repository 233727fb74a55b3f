/** The vector files that we know, each with the function that checks one of its records. */

import { checkActionBadRecord, checkActionRecord } from './actions.js';
import { whyNoAppctl } from './appctl.js';
import { checkDpctlRecord } from './dpctl.js';
import { checkExecuteRecord } from './execute.js';
import { checkExtractRecord } from './extract.js';
import { checkKeyBadRecord, checkKeyRecord } from './keys.js';
import type { VectorRecord } from './record.js';

export interface VectorFile {
  /** Its name, to which `.gz` may be appended. */
  readonly name: string;
  /** The differences of one record, none when every field that it gives is met. */
  check(record: VectorRecord): string[] | Promise<string[]>;
  /** Why records cannot be checked on this machine; undefined when they can. */
  unavailable?(): string | undefined;
}

export const VECTOR_FILES: readonly VectorFile[] = [
  { name: 'keys.jsonl', check: checkKeyRecord },
  { name: 'keys-bad.jsonl', check: checkKeyBadRecord },
  { name: 'actions.jsonl', check: checkActionRecord },
  { name: 'actions-bad.jsonl', check: checkActionBadRecord },
  { name: 'extract.jsonl', check: checkExtractRecord },
  { name: 'execute.jsonl', check: checkExecuteRecord },
  // Transcripts of a whole daemon, a second each.
  { name: 'dpctl.jsonl', check: checkDpctlRecord, unavailable: whyNoAppctl },
];
