/**
 * Checks actions.jsonl and actions-bad.jsonl: what Open vSwitch reads and prints as actions. Text is read strictly, that
 * is, as Open vSwitch reads it: by default the codec also accepts what Open vSwitch only prints.
 */

import { formatActions, OdpError, parseActions } from '@etherloom/odp-codec';
import { compare } from './diff.js';
import { bytesOf, isRecord, numberOf, stringOf, toHex, VectorError, type VectorRecord } from './record.js';

/** Errno by the code of an `OdpError`. */
const ERRNO = { EINVAL: 22, E2BIG: 7 } as const;

/** What reading a text came to. */
type Outcome = { readonly bytes: Uint8Array } | { readonly errno: number };

function read(text: string, strict: boolean): Outcome {
  try {
    return { bytes: parseActions(text, { strict }) };
  } catch (error) {
    if (error instanceof OdpError) return { errno: ERRNO[error.code] };
    throw error;
  }
}

const show = (outcome: Outcome): string =>
  'bytes' in outcome ? toHex(outcome.bytes) : `errno ${outcome.errno}`;

/** The differences between a record of actions.jsonl and what the codec does; none when it passes. */
export function checkActionRecord(record: VectorRecord): string[] {
  const differences: string[] = [];
  const bytes = bytesOf(record, 'actions_hex');
  const defined = definedBytes(record);
  const want = toHex(defined(bytes));
  if (record.text !== null) {
    for (const strict of [true, false]) {
      const found = read(stringOf(record, 'text'), strict);
      const have = 'bytes' in found ? toHex(defined(found.bytes)) : show(found);
      compare(differences, strict ? 'actions_hex' : 'actions_hex, read leniently', want, have);
    }
  }
  if (record.format !== null) {
    compare(differences, 'format', record.format, formatActions(bytes));
    checkRoundTrip(differences, record, stringOf(record, 'format'), toHex(bytes));
  }
  return differences;
}

/** `rt` and `rt_errno`: what reading `format` again comes to. */
function checkRoundTrip(differences: string[], record: VectorRecord, format: string, want: string): void {
  if (record.rt === null) return;
  const found = read(format, true);
  compare(differences, 'rt', record.rt, show(found) === want);
  compare(differences, 'rt_errno', record.rt_errno, 'errno' in found ? found.errno : undefined);
}

/** Sets the bytes that Open vSwitch leaves uninitialised to zero, in a copy. */
function definedBytes(record: VectorRecord): (bytes: Uint8Array) => Uint8Array {
  const ranges = record.undefined_bytes ?? [];
  if (!Array.isArray(ranges)) throw new VectorError('field undefined_bytes is not an array');
  return (bytes) => {
    const copy = bytes.slice();
    for (const range of ranges) {
      if (!Array.isArray(range))
        throw new VectorError('field undefined_bytes holds something else than pairs');
      const [offset, length] = range.map(Number);
      copy.fill(0, offset, offset! + length!);
    }
    return copy;
  };
}

/** The differences between a record of actions-bad.jsonl and what the codec does; none when it passes. */
export function checkActionBadRecord(record: VectorRecord): string[] {
  const { result } = record;
  if (!isRecord(result)) throw new VectorError('field result is not an object');
  if (record.kind === 'blob') return checkBlob(record, result);
  if (record.kind === 'recipe') return checkRecipe(record, result);
  return checkRefusal(stringOf(record, 'text'), result);
}

/** Text that has to be refused, with the same errno. A negative one is an accident of Open vSwitch: "refused". */
function checkRefusal(text: string, result: VectorRecord): string[] {
  const differences: string[] = [];
  const errno = numberOf(result, 'errno');
  const found = read(text, true);
  if ('bytes' in found) differences.push(`accepted as ${show(found)}, want errno ${errno}`);
  else if (errno > 0) compare(differences, 'errno', errno, found.errno);
  return differences;
}

/** Bytes at which Open vSwitch aborts: any clean refusal will do. */
function checkBlob(record: VectorRecord, result: VectorRecord): string[] {
  if (result.abort === undefined) throw new VectorError('field result of a blob has no abort');
  try {
    return [`printed as ${formatActions(bytesOf(record, 'actions_hex'))}, want a refusal`];
  } catch (error) {
    if (error instanceof OdpError) return [];
    throw error;
  }
}

/** Text that is too long to store: `count` times `repeat`, joined by `sep`. */
function checkRecipe(record: VectorRecord, result: VectorRecord): string[] {
  const { recipe } = record;
  if (!isRecord(recipe)) throw new VectorError('field recipe is not an object');
  const part = (field: string): string => (recipe[field] === undefined ? '' : stringOf(recipe, field));
  const repeated = new Array<string>(numberOf(recipe, 'count')).fill(part('repeat')).join(part('sep'));
  const text = part('prefix') + repeated + part('suffix');
  if (result.ok !== true) return checkRefusal(text, result);
  const found = read(text, true);
  if ('errno' in found) return [`refused with errno ${found.errno}, want it accepted`];
  const differences: string[] = [];
  const { actions_hex_len: length, format_equals_text: same } = result;
  if (length !== undefined) compare(differences, 'actions_hex_len', length, found.bytes.length * 2);
  if (same !== undefined)
    compare(differences, 'format_equals_text', same, formatActions(found.bytes) === text);
  return differences;
}
