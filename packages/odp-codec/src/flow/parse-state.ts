/**
 * The state of a parse of a key or mask into a row, and the operations that its parts share. There is one state, not one
 * per parse: a parse is synchronous, does not nest, and allocates nothing.
 */
import { KEY_ATTR_MAX } from '../key/attributes.js';
import { keyLength, keyName } from '../key/schema.js';
import { NlReader } from '../netlink.js';
import { KEY_WORDS, W_TYPE_FRAG_PROTO } from './fields.js';
import { type FitnessResult, failed, PERFECT, TOO_LITTLE, TOO_MUCH } from './fitness.js';

export const bit = (type: number): number => 1 << type;

// State of the parse that runs; parses do not nest. `bytes` is the key, `at` and `size` say where in it the payload of
// each attribute in `present` is, `flow` is the row being filled and `source` the key's row: the same row for a key.
export let bytes: Uint8Array = new Uint8Array(0);
export const at = new Int32Array(KEY_ATTR_MAX + 1);
export const size = new Int32Array(KEY_ATTR_MAX + 1);
export let present = 0;
export let expected = 0;
export let flow: Int32Array = new Int32Array(0);
export let base = 0;
export let source: Int32Array = flow;
export let sourceBase = 0;
export let isMask = false;

const reader = new NlReader(bytes);

export const has = (type: number): boolean => (present & bit(type)) !== 0;

/** Starts a parse into a zeroed row. For a key, `from` and `fromBase` are that row itself. */
export function begin(
  key: Uint8Array,
  into: Int32Array,
  intoBase: number,
  from: Int32Array,
  fromBase: number,
  mask: boolean,
): void {
  bytes = key;
  flow = into;
  base = intoBase;
  source = from;
  sourceBase = fromBase;
  isMask = mask;
  flow.fill(0, base, base + KEY_WORDS);
}

/** Collects the attributes of `bytes[start, end)`; unknown types are passed over. Undefined means good. */
export function collect(start: number, end: number): FitnessResult | undefined {
  present = 0;
  expected = 0;
  reader.reset(bytes, start, end);
  while (reader.next()) {
    const { type, length } = reader;
    const right = keyLength(type);
    if (right >= 0 && right !== length) {
      return failed(`attribute ${keyName(type)} must be ${right} bytes long, not ${length}`);
    }
    if (type > KEY_ATTR_MAX) continue;
    if ((present & bit(type)) !== 0) return failed(`the key has two ${keyName(type)} attributes`);
    present |= bit(type);
    at[type] = reader.offset;
    size[type] = length;
  }
  return reader.leftover > 0
    ? failed(`the key ends with ${reader.leftover} bytes that are no attribute`)
    : undefined;
}

export function verdict(): FitnessResult {
  if ((expected & ~present) !== 0) return TOO_LITTLE;
  return (present & ~expected) === 0 ? PERFECT : TOO_MUCH;
}

/** Counts the attributes of these bits as expected. */
export function expect(bits: number): void {
  expected |= bits;
}

/** Takes an attribute if it is there: returns whether it is, and counts it as expected. */
export function take(type: number): boolean {
  if (!has(type)) return false;
  expected |= bit(type);
  return true;
}

export const dlType = (): number => flow[base + W_TYPE_FRAG_PROTO]! >>> 16;
export const sourceDlType = (): number => source[sourceBase + W_TYPE_FRAG_PROTO]! >>> 16;

export function setDlType(type: number): void {
  flow[base + W_TYPE_FRAG_PROTO] = (flow[base + W_TYPE_FRAG_PROTO]! & 0xffff) | (type << 16);
}

export function setFragProto(frag: number, proto: number): void {
  flow[base + W_TYPE_FRAG_PROTO] = (flow[base + W_TYPE_FRAG_PROTO]! & ~0xffff) | (frag << 8) | proto;
}
