/**
 * Checks keys.jsonl and keys-bad.jsonl: what Open vSwitch reads, prints, judges and re-encodes as a flow key. Text is read
 * strictly, that is, as Open vSwitch reads it: by default the codec also accepts what Open vSwitch only prints. The
 * wording of errors is free, so fields that end in `_msg` and `_error` only count by being there.
 */
import {
  flowToKey,
  flowToMask,
  formatFlowKey,
  KEY_WORDS,
  keyToFlow,
  maskToFlow,
  OdpError,
  parseFlowKey,
  parseFlowKeyExact,
} from '@etherloom/odp-codec';
import { compare } from './diff.js';
import { bytesOf, isRecord, numberOf, stringOf, toHex, VectorError, type VectorRecord } from './record.js';

const STRICT = { strict: true };
const ERRNO = { EINVAL: 22, E2BIG: 7 } as const;

/** What `read` returns, or the error with which it refuses. */
function attempt<T>(read: () => T): T | OdpError {
  try {
    return read();
  } catch (error) {
    if (error instanceof OdpError) return error;
    throw error;
  }
}

/** The differences between a record of keys.jsonl and what the codec does; none when it passes. */
export function checkKeyRecord(record: VectorRecord): string[] {
  const differences: string[] = [];
  const key = bytesOf(record, 'key_hex');
  const mask = bytesOf(record, 'mask_hex');
  if (record.text !== null) checkText(differences, stringOf(record, 'text'), record);
  checkBytes(differences, key, mask, record);
  for (const [flag, format] of [
    ['rt_format', record.format],
    ['rt_verbose', record.format_verbose],
  ] as const) {
    if (record[flag] === undefined) continue;
    const again = typeof format === 'string' ? attempt(() => parseFlowKey(format, STRICT)) : undefined;
    const same =
      again !== undefined &&
      !(again instanceof OdpError) &&
      toHex(again.key) === record.key_hex &&
      toHex(again.mask) === record.mask_hex;
    compare(differences, flag, record[flag], same);
  }
  return differences;
}

function checkText(differences: string[], text: string, record: VectorRecord): void {
  const found = attempt(() => parseFlowKey(text, STRICT));
  if (found instanceof OdpError) {
    differences.push(`text: refused: ${found.message}`);
  } else {
    compare(differences, 'key_hex', record.key_hex, toHex(found.key));
    compare(differences, 'mask_hex', record.mask_hex, toHex(found.mask));
  }
  const exact = attempt(() => parseFlowKeyExact(text, STRICT));
  const refused = exact instanceof OdpError;
  compare(differences, 'nomask_error', record.nomask_error !== undefined, refused);
  if (!refused)
    compare(differences, 'nomask_same_key', record.nomask_same_key, toHex(exact) === record.key_hex);
}

/** Verdicts, texts and re-encodings: whatever of them `want` has. */
function checkBytes(
  differences: string[],
  key: Uint8Array,
  mask: Uint8Array | undefined,
  want: VectorRecord,
): void {
  const flow = new Int32Array(KEY_WORDS);
  const wild = new Int32Array(KEY_WORDS);
  compare(differences, 'format_key_only', want.format_key_only, formatFlowKey(key));
  compare(differences, 'fitness', want.fitness, keyToFlow(key, flow).fitness);
  if (want.key_renc_hex !== undefined) {
    const again = flowToKey(flow);
    compare(differences, 'key_renc_hex', want.key_renc_hex, toHex(again));
    compare(differences, 'key_renc_text', want.key_renc_text, formatFlowKey(again));
  }
  if (mask === undefined) return;
  if (want.format !== undefined) compare(differences, 'format', want.format, formatFlowKey(key, mask));
  if (want.format_verbose !== undefined) {
    compare(differences, 'format_verbose', want.format_verbose, formatFlowKey(key, mask, { verbose: true }));
  }
  if (want.mask_fitness === undefined) return;
  compare(differences, 'mask_fitness', want.mask_fitness, maskToFlow(mask, flow, wild).fitness);
  if (want.mask_renc_hex !== undefined) {
    compare(differences, 'mask_renc_hex', want.mask_renc_hex, toHex(flowToMask(flow, wild)));
  }
}

/** The differences between a record of keys-bad.jsonl and what the codec does; none when it passes. */
export function checkKeyBadRecord(record: VectorRecord): string[] {
  const { result } = record;
  if (!isRecord(result)) throw new VectorError('field result is not an object');
  const differences: string[] = [];
  if (record.kind === 'blob') {
    const mask = record.mask_hex === undefined ? undefined : bytesOf(record, 'mask_hex');
    checkBytes(differences, bytesOf(record, 'key_hex'), mask, result);
    return differences;
  }
  const found = attempt(() =>
    parseFlowKey(record.kind === 'recipe' ? recipe(record) : stringOf(record, 'text'), STRICT),
  );
  if (result.errno !== undefined) {
    const have = found instanceof OdpError ? ERRNO[found.code] : `accepted as ${formatFlowKey(found.key)}`;
    compare(differences, 'errno', result.errno, have);
  } else if (found instanceof OdpError) {
    differences.push(`refused: ${found.message}`);
  } else {
    compare(differences, 'fitness', result.fitness, keyToFlow(found.key, new Int32Array(KEY_WORDS)).fitness);
  }
  return differences;
}

/** Text that is too long to store: `count` times `repeat`, joined by `sep`. */
function recipe(record: VectorRecord): string {
  const { recipe: parts } = record;
  if (!isRecord(parts)) throw new VectorError('field recipe is not an object');
  const count = numberOf(parts, 'count');
  return new Array<string>(count).fill(stringOf(parts, 'repeat')).join(stringOf(parts, 'sep'));
}
