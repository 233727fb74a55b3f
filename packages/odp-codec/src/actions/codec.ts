/** Actions as JSON: Netlink bytes -> {@link Action}s -> Netlink bytes. */
import { OdpError } from '../errors.js';
import { getLe16 } from '../key/bytes.js';
import { isObject } from '../key/shape.js';
import { NLA_HEADER, NlReader, NlWriter, nlAlign } from '../netlink.js';
import { ACTIONS_MAX, BYTES_NESTING_MAX } from './attrs.js';
import { sameBytes } from './bytes.js';
import type { Action } from './model.js';
import type { ListDecoder, ListEncoder } from './row.js';
import { ACTION_BY_ATTR, ACTION_BY_TYPE } from './table.js';
import { blob, fromBlob, reject, uint } from './values.js';

/**
 * Decodes a list of actions. Every well-formed attribute has a model, `raw` if no other says it exactly, so that
 * {@link encodeActions} gives the same bytes again (padding is not kept; encoders write zeros there).
 *
 * Throws an {@link OdpError} for bytes that are no list of attributes.
 */
export function decodeActions(bytes: Uint8Array): Action[] {
  const actions = decodeList(bytes, 1);
  if (actions === undefined) throw new OdpError('EINVAL', 'the actions end in the middle of an attribute');
  return actions;
}

function decodeList(bytes: Uint8Array, depth: number): Action[] | undefined {
  const actions: Action[] = [];
  const lists: ListDecoder = {
    list: (nested) => (depth < BYTES_NESTING_MAX ? decodeList(nested, depth + 1) : undefined),
  };
  const reader = new NlReader(bytes);
  while (reader.next()) actions.push(decodeAction(reader, lists, depth));
  return reader.leftover === 0 ? actions : undefined;
}

/** The proof of a model is that it encodes to the attribute it came from. */
function decodeAction(reader: NlReader, lists: ListDecoder, depth: number): Action {
  const { bytes, type, offset, length } = reader;
  const row = ACTION_BY_ATTR.get(type);
  const payload = reader.payload();
  const action = row && (row.length < 0 || row.length === length) ? row.decode(payload, lists) : undefined;
  const header = offset - NLA_HEADER;
  if (action !== undefined && encodesTo(action, bytes.subarray(header, offset + length), depth))
    return action;
  return { type: 'raw', attr: getLe16(bytes, header + 2), data: fromBlob(payload) };
}

/** Whether the action encodes to `attribute`, padding aside. */
function encodesTo(action: Action, attribute: Uint8Array, depth: number): boolean {
  const out = new NlWriter(attribute.length + 64);
  try {
    encodeAction(out, action, depth, 'action');
  } catch (error) {
    if (error instanceof OdpError) return false;
    throw error;
  }
  return (
    out.length === nlAlign(attribute.length) && sameBytes(out.memory.subarray(0, attribute.length), attribute)
  );
}

/**
 * Encodes a list of actions. Throws an {@link OdpError} that names the property that is wrong, with the code `E2BIG`
 * when the result would exceed 65535 bytes.
 */
export function encodeActions(actions: readonly Action[]): Uint8Array {
  const out = new NlWriter();
  encodeList(out, actions, 1, 'actions');
  if (out.length > ACTIONS_MAX) throw tooBig('actions');
  return out.finish();
}

function encodeList(out: NlWriter, actions: unknown, depth: number, what: string): void {
  if (!Array.isArray(actions)) reject(what, 'an array of actions', actions);
  if (depth > BYTES_NESTING_MAX) {
    throw new OdpError('EINVAL', `actions may be nested at most ${BYTES_NESTING_MAX} levels deep`);
  }
  for (const [index, action] of actions.entries()) encodeAction(out, action, depth, `${what}[${index}]`);
}

function encodeAction(out: NlWriter, action: unknown, depth: number, what: string): void {
  if (!isObject(action)) reject(what, 'an action', action);
  const lists: ListEncoder = {
    list(into, attr, nested, name) {
      const mark = into.begin(attr);
      encodeList(into, nested, depth + 1, `${what}.${name}`);
      into.end(mark);
    },
  };
  try {
    if (action.type === 'raw') {
      out.put(uint(action.attr, 16, 'attr'), blob(action.data, 'data'));
    } else {
      const row = typeof action.type === 'string' ? ACTION_BY_TYPE.get(action.type) : undefined;
      if (row === undefined) reject(`${what}.type`, 'the type of an action', action.type);
      row.encode(out, action, lists);
    }
  } catch (error) {
    // The writer refuses attributes that are longer than their length field can say.
    if (error instanceof RangeError) throw tooBig(what);
    throw error;
  }
}

const tooBig = (what: string): OdpError =>
  new OdpError('E2BIG', `${what} must fit an attribute of ${ACTIONS_MAX} bytes`);
