/**
 * Keys as dpctl text, as Open vSwitch 4.0.90 prints them. Bad bytes print as text that says what is bad; nothing throws.
 */
import { NlReader } from '../netlink.js';
import { hexOf } from '../text/address.js';
import type { TextOptions } from '../text/options.js';
import { KEY_ATTR, LENGTH_NESTED } from './attributes.js';
import { getBe16 } from './bytes.js';
import { badLength, findAttribute, MaskFinder, spacedHex } from './payload.js';
import { keyLength, keyName, ROW_BY_TYPE } from './schema.js';
import type { PrintContext, Span } from './shape.js';

const EMPTY = new Uint8Array(0);
const span = (bytes: Uint8Array): Span => ({ bytes, at: 0, length: bytes.length });

/** `name(...)`, with a comma in front if it is not the `first`, for an attribute whose lengths are right. */
function printAttribute(
  type: number,
  value: Span,
  mask: Span | undefined,
  first: boolean,
  context: PrintContext,
): string {
  const row = ROW_BY_TYPE[type];
  if (row === undefined) {
    const name = first ? keyName(type) : `,${keyName(type)}`;
    return `${name}(${spacedHex(value)}${mask === undefined ? '' : `/${spacedHex(mask)}`})`;
  }
  const exact = mask === undefined || row.isConstant(mask, 0xff);
  return `${first ? row.opening : row.nextOpening}${row.shape.print(value, mask, exact, context)})`;
}

/** The mask of an attribute that the mask does not have: zeros; of a nested attribute, nothing. */
function wildcard(type: number, value: Span): Span {
  const length = keyLength(type) === LENGTH_NESTED ? 0 : value.length;
  return length === 0 ? span(EMPTY) : span(new Uint8Array(length));
}

/** Deeper encap() than this is cut short: no packet has it, and it would exhaust the stack. */
const MAX_PRINTED_NESTING = 512;

function printRun(key: Span, mask: Span | undefined, context: PrintContext): string {
  let out = '';
  let first = true;
  let etherType = false;
  let packetType = false;
  const finder = mask && new MaskFinder(mask);
  const reader = new NlReader(key.bytes, key.at, key.at + key.length);
  while (reader.next()) {
    const { type } = reader;
    const value = { bytes: key.bytes, at: reader.offset, length: reader.length };
    const found = finder?.find(type);
    const length = keyLength(type);
    const broken = badLength('', value, found, length);
    if (broken !== undefined) {
      out += broken;
      continue;
    }
    if (type === KEY_ATTR.ETHERTYPE) etherType = true;
    const row = ROW_BY_TYPE[type];
    const wild = mask !== undefined && (found === undefined || (row?.isConstant(found, 0) ?? false));
    if (context.verbose || !wild || length === LENGTH_NESTED) {
      const shown = wild && found === undefined ? wildcard(type, value) : found;
      out += printAttribute(type, value, shown, first, context);
      first = false;
      if (type === KEY_ATTR.PACKET_TYPE) packetType = true;
    } else if (type === KEY_ATTR.ETHERNET && !packetType) {
      // A kernel datapath knows an Ethernet packet by the mere presence of eth(); packet_type(), if printed, says the same.
      // OVS does not count it as a field: no comma follows if it is the first.
      out += first ? 'eth()' : ',eth()';
    }
  }
  const left = reader.leftover;
  if (left > 0) {
    if (left === key.length) out += '<empty>';
    out += `,***${left} leftover bytes*** (${hexOf(key.bytes, key.at + key.length - left, left)})`;
  }
  const orphan = etherType || mask === undefined ? undefined : findAttribute(mask, KEY_ATTR.ETHERTYPE);
  if (orphan !== undefined && orphan.length >= 2) {
    out += `,eth_type(0/0x${getBe16(orphan.bytes, orphan.at).toString(16).padStart(4, '0')})`;
  }
  return out;
}

let depth = 0;

function printInner(key: Span, mask: Span | undefined, context: PrintContext): string {
  if (depth === MAX_PRINTED_NESTING) return '...';
  depth++;
  // OVS does not look for port names inside encap().
  const text = printRun(key, mask, context.verbose ? VERBOSE : TERSE);
  depth--;
  return text;
}

const VERBOSE: PrintContext = { verbose: true, attributes: printInner };
const TERSE: PrintContext = { verbose: false, attributes: printInner };

function contextOf(options: TextOptions | undefined, verbose: boolean): PrintContext {
  const portName = options?.portName;
  if (portName !== undefined) return { verbose, portName, attributes: printInner };
  return verbose ? VERBOSE : TERSE;
}

/**
 * Prints a key, with its mask if one is given: fields that the mask wildcards are left out unless `options.verbose`.
 * Without a mask, or with an empty one, every field is printed.
 */
export function formatFlowKey(key: Uint8Array, mask?: Uint8Array, options?: TextOptions): string {
  if (key.length === 0) return '<empty>';
  if (mask === undefined || mask.length === 0)
    return printRun(span(key), undefined, contextOf(options, true));
  return printRun(span(key), span(mask), contextOf(options, options?.verbose ?? false));
}

/**
 * Prints one attribute, `name(...)`, from its payload: what stands in `set(...)`. A payload or mask of the wrong length
 * prints as such.
 */
export function formatKeyAttr(
  type: number,
  value: Uint8Array,
  mask?: Uint8Array,
  options?: TextOptions,
): string {
  const context = contextOf(options, options?.verbose ?? false);
  const wild = mask && span(mask);
  return (
    badLength('', span(value), wild, keyLength(type)) ??
    printAttribute(type, span(value), wild, true, context)
  );
}
