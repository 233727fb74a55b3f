/** Keys as JSON: Netlink bytes -> {@link KeyModel} -> Netlink bytes. */
import { OdpError } from '../errors.js';
import { NlReader, type NlWriter } from '../netlink.js';
import { borrowWriter, finishWriter } from '../spare.js';
import { hexOf } from '../text/address.js';
import { KEY_ATTR_MAX, MAX_NESTING } from './attributes.js';
import {
  type AttributeRow,
  KEY_ATTRIBUTES,
  type KeyModel,
  keyName,
  ROW_BY_NAME,
  ROW_BY_TYPE,
} from './schema.js';
import { bad, type EncodeRun, isObject, type Span, show } from './shape.js';
import { readHex } from './wide-kinds.js';

function decodeRun(run: Span, depth: number): KeyModel {
  if (depth === MAX_NESTING) throw bad(`a key may nest at most ${MAX_NESTING - 1} levels of encap`);
  const nested = (inner: Span): KeyModel => decodeRun(inner, depth + 1);
  const model: Record<string, unknown> = {};
  let seen = 0;
  const reader = new NlReader(run.bytes, run.at, run.at + run.length);
  while (reader.next()) {
    const { type, length } = reader;
    const row = ROW_BY_TYPE[type];
    if (row === undefined) {
      decodeUnknown(type, reader, model);
      continue;
    }
    if ((seen & (1 << type)) !== 0) throw bad(`the key has two ${row.name} attributes`);
    seen |= 1 << type;
    if (row.length >= 0 && length !== row.length) {
      throw bad(`attribute ${row.name} must be ${row.length} bytes long, not ${length}`);
    }
    model[row.name] = row.shape.decode({ bytes: run.bytes, at: reader.offset, length }, nested);
  }
  if (reader.leftover > 0) throw bad(`the key ends with ${reader.leftover} bytes that are no attribute`);
  // Every property was set by the row of its name, and KeyModel is that same table as a type.
  return model as KeyModel;
}

/** An attribute that the table does not know, but could grow to. */
function decodeUnknown(type: number, reader: NlReader, model: Record<string, unknown>): void {
  const name = keyName(type);
  if (type <= KEY_ATTR_MAX) throw bad(`attribute ${type} (${name}) has no place in a flow key`);
  if (name in model) throw bad(`the key has two ${name} attributes`);
  model[name] = `0x${hexOf(reader.bytes, reader.offset, reader.length)}`;
}

/** The rows of the last key, in its order. Most keys are alike, and to look here first saves them a tenth of the time. */
const lastRows: (AttributeRow | undefined)[] = KEY_ATTRIBUTES.slice();

function rowOf(name: string, place: number): AttributeRow | undefined {
  const guess = lastRows[place];
  if (guess?.name === name) return guess;
  const row = ROW_BY_NAME.get(name);
  if (place < lastRows.length) lastRows[place] = row;
  return row;
}

function encodeRun(model: unknown, out: NlWriter, what: string, depth: number): void {
  if (!isObject(model)) throw bad(`${what} must be an object, not ${show(model)}`);
  if (depth === MAX_NESTING) throw bad(`a key may nest at most ${MAX_NESTING - 1} levels of encap`);
  const nested: EncodeRun = (inner, into, name) => encodeRun(inner, into, name, depth + 1);
  let place = 0;
  for (const name in model) {
    const given = model[name];
    if (given === undefined) continue;
    const row = rowOf(name, place++);
    if (row === undefined) encodeUnknown(name, given, out);
    else row.shape.encode(row.type, given, out, name, nested);
  }
}

/** `key99: '0x0102'`. */
function encodeUnknown(name: string, given: unknown, out: NlWriter): void {
  const type = /^key[1-9][0-9]{0,4}$/.test(name) ? Number(name.slice(3)) : 0;
  if (type <= KEY_ATTR_MAX || type > 0x3fff) throw bad(`a key has no attribute ${name}`);
  const length = typeof given === 'string' ? (given.length - 2) / 2 : -1;
  const payload = new Uint8Array(Number.isInteger(length) && length > 0 && length <= 0xfffb ? length : 0);
  if (given !== '0x' && !(payload.length > 0 && readHex(given, payload, 0, length))) {
    throw bad(`${name} must be '0x' and pairs of hexadecimal digits`);
  }
  out.put(type, payload);
}

/**
 * Decodes a key or a mask. Throws an {@link OdpError} for bytes that no model describes: wrong lengths, duplicates,
 * trailing bytes. Padding is not kept: what an encoder of OVS wrote comes back from {@link encodeKey} bit by bit.
 */
export const decodeKey = (key: Uint8Array): KeyModel =>
  decodeRun({ bytes: key, at: 0, length: key.length }, 0);

/** Encodes a model in the order of its properties. Throws an {@link OdpError} that names the property that is wrong. */
export function encodeKey(model: KeyModel): Uint8Array {
  const out = borrowWriter();
  try {
    encodeRun(model, out, 'key', 0);
  } catch (error) {
    if (error instanceof RangeError) throw new OdpError('E2BIG', `the key does not fit: ${error.message}`);
    throw error;
  }
  return finishWriter(out);
}
