/**
 * The `set` actions. Both hold one key attribute: SET with a value that replaces a whole header, SET_MASKED with a value
 * and, behind it in the same payload, a mask of the same length. In a masked NSH attribute, which is nested, the two
 * halves are in each of its parts instead.
 */
import { OdpError } from '../errors.js';
import { KEY_ATTR } from '../key/attributes.js';
import { allBytes } from '../key/bytes.js';
import { formatKeyAttr } from '../key/format.js';
import { decodeKey, encodeKey } from '../key/model.js';
import { nshLength } from '../key/nsh.js';
import { parseKeyAttrAt } from '../key/parse.js';
import type { KeyModel } from '../key/schema.js';
import { NLA_HEADER, NLA_MAX_PAYLOAD, NlReader, NlWriter, nlAlign } from '../netlink.js';
import { borrowWriter, returnWriter } from '../spare.js';
import { ACTION_ATTR, TEXT_NESTING_MAX } from './attrs.js';
import type { ActionReader } from './reader.js';
import { type ActionRow, VARIABLE } from './row.js';
import { reject } from './values.js';

/** Payloads with halves up to this (an IPv6 key) print as value and mask; longer ones as if there were no mask. */
const MASKED_MAX = 40;

/** What fits the two attributes around it, ... */
const SET_PAYLOAD_MAX = NLA_MAX_PAYLOAD - NLA_HEADER;
/** ... and half of that. */
const MASKED_PAYLOAD_MAX = SET_PAYLOAD_MAX >> 1;

/** Bytes in place: the payload of the attribute that a reader is at. */
type Payload = Pick<NlReader, 'bytes' | 'offset' | 'length'>;

/** Type and payload of an attribute. */
interface Attribute {
  type: number;
  payload: Uint8Array;
}

/** The first attribute of `bytes`. */
function firstOf(bytes: Uint8Array): Attribute | undefined {
  const reader = new NlReader(bytes);
  return reader.next() ? { type: reader.type, payload: reader.payload() } : undefined;
}

function keyIn(payload: Uint8Array): Attribute {
  const key = firstOf(payload);
  if (key === undefined) throw new OdpError('EINVAL', 'a set action must hold a key attribute');
  return key;
}

export const set: ActionRow<'set'> = {
  type: 'set',
  attr: ACTION_ATTR.SET,
  length: VARIABLE,
  text: 'set(KEY)',
  about: 'replaces a header, or metadata, by a whole key attribute',
  keyword: 'set(',
  format(payload) {
    const { type, payload: value } = keyIn(payload);
    return `set(${formatKeyAttr(type, value, undefined, { verbose: true })})`;
  },
  parse: readSet,
  decode(payload) {
    const key = modelOf(payload);
    return key && { type: 'set', key };
  },
  encode(out, { key }) {
    putSet(out, attributeOf(key, 'key'));
  },
};

export const setMasked: ActionRow<'set_masked'> = {
  type: 'set_masked',
  attr: ACTION_ATTR.SET_MASKED,
  length: VARIABLE,
  text: 'set(KEY/MASK)',
  about: 'replaces the bits of a header, or of metadata, that the mask has; reads and prints as set(..)',
  format(payload) {
    const key = keyIn(payload);
    const halves = halvesOf(key);
    if (halves === undefined) return '';
    const { value, mask } = halves;
    if (key.type !== KEY_ATTR.NSH && value.length > MASKED_MAX) {
      return `set(${formatKeyAttr(key.type, key.payload)})`;
    }
    return `set(${formatKeyAttr(key.type, value, mask)})`;
  },
  decode(payload) {
    const attribute = firstOf(payload);
    const halves = attribute && halvesOf(attribute);
    if (attribute === undefined || halves === undefined) return undefined;
    const key = modelOf(wrap(attribute.type, halves.value));
    const mask = modelOf(wrap(attribute.type, halves.mask));
    return key && mask && { type: 'set_masked', key, mask };
  },
  encode(out, action) {
    const key = attributeOf(action.key, 'key');
    const mask = attributeOf(action.mask, 'mask');
    if (key.type !== mask.type) reject('mask', 'of the same attribute as key', JSON.stringify(action.mask));
    putMasked(out, key, mask);
  },
};

/** Value and mask of a masked key attribute; undefined when its parts have lengths that cannot be halved. */
function halvesOf({ type, payload }: Attribute): { value: Uint8Array; mask: Uint8Array } | undefined {
  if (type !== KEY_ATTR.NSH) {
    const half = payload.length >> 1;
    return { value: payload.subarray(0, half), mask: payload.subarray(half, 2 * half) };
  }
  const value = new NlWriter(64);
  const mask = new NlWriter(64);
  const parts = new NlReader(payload);
  while (parts.next()) {
    const part = parts.payload();
    const half = nshLength(parts.type);
    if (half >= 0 && part.length !== 2 * half) return undefined;
    if (half <= 0) continue;
    value.put(parts.type, part.subarray(0, half));
    mask.put(parts.type, part.subarray(half));
  }
  return { value: value.finish(), mask: mask.finish() };
}

/** Appends SET with the attribute that the reader is at. */
function putSet(out: NlWriter, key: NlReader): void {
  const mark = out.begin(ACTION_ATTR.SET);
  const at = out.reserve(key.type, key.length);
  copy(key, out.memory, at);
  out.end(mark);
}

/** Appends SET_MASKED. Lengths must agree, part by part in an NSH attribute. Both readers are at the attribute. */
function putMasked(out: NlWriter, key: NlReader, mask: NlReader): void {
  const mark = out.begin(ACTION_ATTR.SET_MASKED);
  if (key.type === KEY_ATTR.NSH) {
    const nsh = out.begin(key.type);
    const values = key.nested();
    while (values.next()) putPair(out, values.type, values, maskOf(mask, values.type, values.length));
    out.end(nsh);
  } else {
    if (mask.length !== key.length) reject('mask', `${key.length} bytes long`, mask.length);
    putPair(out, key.type, key, mask);
  }
  out.end(mark);
}

function putPair(out: NlWriter, type: number, value: Payload, mask: Payload): void {
  const at = out.reserve(type, value.length + mask.length);
  copy(value, out.memory, at);
  copy(mask, out.memory, at + value.length);
}

/** For a few bytes a loop takes less time than a view of them. */
function copy({ bytes, offset, length }: Payload, to: Uint8Array, at: number): void {
  for (let i = 0; i < length; i++) to[at + i] = bytes[offset + i]!;
}

/** The mask of one part of an NSH attribute; a part that the mask does not have is exact. */
function maskOf(mask: NlReader, type: number, length: number): Payload {
  const parts = mask.nested();
  while (parts.next()) if (parts.type === type && parts.length === length) return parts;
  return { bytes: new Uint8Array(length).fill(0xff), offset: 0, length };
}

const isOnes = ({ bytes, offset, length }: Payload): boolean => allBytes(bytes, offset, length, 0xff);

/** Whether the mask of a key attribute leaves nothing out. Both readers are at the attribute. */
function isExact(key: NlReader, mask: NlReader): boolean {
  if (key.type !== KEY_ATTR.NSH) return isOnes(mask);
  const parts = key.nested();
  while (parts.next()) if (!isOnes(maskOf(mask, parts.type, parts.length))) return false;
  return true;
}

/** Reads either form: a mask of the length of the key that leaves something out makes it SET_MASKED. */
function readSet(reader: ActionReader): void {
  const { scan, out, options, depth } = reader;
  const start = scan.position;
  scan.expect('set(');
  if (depth === TEXT_NESTING_MAX) scan.fail(`at most ${TEXT_NESTING_MAX} levels, keys included`);
  const keys = borrowWriter();
  const masks = borrowWriter();
  parseKeyAttrAt(scan, keys, masks, options);
  scan.expect(')');
  const key = new NlReader(keys.memory, 0, keys.length);
  const mask = new NlReader(masks.memory, 0, masks.length);
  key.next();
  mask.next();
  const masked = (key.type === KEY_ATTR.NSH || mask.length === key.length) && !isExact(key, mask);
  if (key.length > (masked ? MASKED_PAYLOAD_MAX : SET_PAYLOAD_MAX)) {
    scan.fail(masked ? 'a key and mask that fit' : 'a key that fits', 'E2BIG', start);
  }
  if (masked) putMasked(out, key, mask);
  else putSet(out, key);
  returnWriter(keys);
  returnWriter(masks);
}

/** One attribute as a run of attributes. */
function wrap(type: number, payload: Uint8Array): Uint8Array {
  const out = new NlWriter(payload.length + 8);
  out.put(type, payload);
  return out.finish();
}

/** The model of exactly one key attribute. */
function modelOf(run: Uint8Array): KeyModel | undefined {
  try {
    const model = decodeKey(run);
    return Object.keys(model).length === 1 ? model : undefined;
  } catch (error) {
    // Nothing that the key model can say; the caller falls back to the bytes.
    if (error instanceof OdpError) return undefined;
    throw error;
  }
}

/** A reader at the only attribute of a model. */
function attributeOf(model: KeyModel, what: string): NlReader {
  const run = encodeKey(model);
  const reader = new NlReader(run);
  if (!reader.next()) return reject(what, 'one key attribute', 'none');
  if (reader.offset + nlAlign(reader.length) < run.length) reject(what, 'one key attribute', 'several');
  return reader;
}
