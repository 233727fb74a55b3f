/** Keys from dpctl text, as Open vSwitch 4.0.90 reads it and, unless `strict`, every form it prints as well. */
import { OdpError } from '../errors.js';
import type { NlWriter } from '../netlink.js';
import { borrowScanner, borrowWriter, finishWriter, returnScanner } from '../spare.js';
import { Keywords } from '../text/keywords.js';
import type { ParseOptions } from '../text/options.js';
import type { Scanner } from '../text/scanner.js';
import { type AttributeRow, KEY_ATTRIBUTES } from './schema.js';
import { checkSize, type ParseContext } from './shape.js';

const OPENINGS = new Keywords<AttributeRow>(KEY_ATTRIBUTES.map((row) => [row.opening, row]));

/** What an error says that it wanted. */
export const KEY_ATTRIBUTE = 'a key attribute such as in_port(';

const takeOpening = (scan: Scanner): AttributeRow => OPENINGS.take(scan) ?? scan.fail(KEY_ATTRIBUTE);

function parseAttribute(
  scan: Scanner,
  key: NlWriter,
  mask: NlWriter | undefined,
  context: ParseContext,
): void {
  const row = takeOpening(scan);
  row.shape.parse(row.type, scan, key, mask, context);
}

const UFID = /^ufid:[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}/;

/** Skips a `ufid:`, which may stand in front of any attribute. OVS allows only one space after it, although dump-flows prints a comma. */
function skipUfid(scan: Scanner, strict: boolean): boolean {
  if (!scan.at('ufid:')) return false;
  const found = UFID.exec(scan.ahead('ufid:'.length + 36));
  if (found === null) scan.fail('ufid: and a UUID');
  else scan.position += found[0].length;
  if (strict) scan.accept(' ');
  else scan.skipDelimiters();
  return true;
}

/**
 * Reads attributes from the scanner's position up to the first thing that is none, and appends them to `key` and, if there
 * is one, to `mask`.
 */
export function readAttributes(
  scan: Scanner,
  key: NlWriter,
  mask: NlWriter | undefined,
  options: ParseOptions,
): void {
  const context: ParseContext = { options, wholeKey: true, depth: 0, attribute: parseAttribute };
  for (;;) {
    scan.skipDelimiters();
    let row = OPENINGS.take(scan);
    if (row === undefined) {
      if (!skipUfid(scan, options.strict ?? false)) return;
      row = takeOpening(scan);
    }
    row.shape.parse(row.type, scan, key, mask, context);
    checkSize(key.length, scan);
  }
}

/** {@link readAttributes} of a text that is nothing but a key. */
function readKey(text: string, key: NlWriter, mask: NlWriter | undefined, options: ParseOptions): void {
  const scan = borrowScanner(text);
  readAttributes(scan, key, mask, options);
  if (!scan.done) scan.fail(KEY_ATTRIBUTE);
  returnScanner(scan);
}

/**
 * Reads a key with its mask. A field without `/mask` is exact, a field that is not named is wildcarded, an attribute
 * that is not named is in neither. Throws an {@link OdpError} with the column at which the text went wrong.
 */
export function parseFlowKey(
  text: string,
  options: ParseOptions = {},
): { key: Uint8Array; mask: Uint8Array } {
  const key = borrowWriter();
  const mask = borrowWriter();
  readKey(text, key, mask, options);
  return { key: finishWriter(key), mask: finishWriter(mask) };
}

/**
 * Reads a key without a mask: `field/mask` is an error in attributes with named fields. Values that stand alone, such
 * as `skb_mark(1/0xff)`, and tunnel options may carry one, which is dropped, as in OVS.
 */
export function parseFlowKeyExact(text: string, options: ParseOptions = {}): Uint8Array {
  const key = borrowWriter();
  readKey(text, key, undefined, options);
  return finishWriter(key);
}

/** Reads one attribute at the scanner's position and appends it to `key` and, if there is one, to `mask`. */
export function parseKeyAttrAt(
  scan: Scanner,
  key: NlWriter,
  mask: NlWriter | undefined,
  options: ParseOptions = {},
): void {
  parseAttribute(scan, key, mask, { options, wholeKey: false, depth: 0, attribute: parseAttribute });
}
