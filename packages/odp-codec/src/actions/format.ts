/** Actions as dpctl text, as Open vSwitch 4.0.90 prints them. */
import { OdpError } from '../errors.js';
import { spacedHex } from '../key/payload.js';
import { NlReader } from '../netlink.js';
import { hexOf } from '../text/address.js';
import type { TextOptions } from '../text/options.js';
import { BYTES_NESTING_MAX } from './attrs.js';
import { type Printer, UNKNOWN, VARIABLE } from './row.js';
import { ACTION_BY_ATTR } from './table.js';

/**
 * Prints a list of actions: `drop` for an empty one. Attributes of unknown type or wrong length print as such, and so
 * do bytes that are no attribute. Ports print by name where `options.portName` knows one.
 *
 * Throws an {@link OdpError} where Open vSwitch would abort: a `set` without a key attribute, a psample group that is
 * too short; and for more than 64 levels of nesting.
 */
export const formatActions = (bytes: Uint8Array, options: TextOptions = {}): string =>
  formatList(bytes, options, 1);

function formatList(bytes: Uint8Array, options: TextOptions, depth: number): string {
  if (bytes.length === 0) return 'drop';
  if (depth > BYTES_NESTING_MAX) {
    throw new OdpError('EINVAL', `actions may be nested at most ${BYTES_NESTING_MAX} levels deep`);
  }
  const printer: Printer = {
    port: (no) => options.portName?.(no) ?? String(no),
    list: (actions) => formatList(actions, options, depth + 1),
  };
  const reader = new NlReader(bytes);
  let out = '';
  while (reader.next()) {
    if (reader.offset > 4) out += ',';
    out += formatAction(reader, printer);
  }
  const left = reader.leftover;
  if (left === 0) return out;
  if (left === bytes.length) out += '<empty>';
  return `${out},***${left} leftover bytes*** (${hexOf(bytes, bytes.length - left)})`;
}

function formatAction(reader: NlReader, printer: Printer): string {
  const { type, length } = reader;
  const row = ACTION_BY_ATTR.get(type);
  const expected = row?.length ?? UNKNOWN;
  if (row !== undefined && (expected === VARIABLE || expected === length)) {
    return row.format(reader.payload(), printer);
  }
  const data = length === 0 ? '' : `(${spacedHex({ bytes: reader.bytes, at: reader.offset, length })})`;
  return `bad length ${length}, expected ${expected} for: action${type}${data}`;
}
