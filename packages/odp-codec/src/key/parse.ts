/** Keys from dpctl text, as Open vSwitch 4.0.90 reads it and, unless `strict`, every form it prints as well. */
import { OdpError } from '../errors.js';
import { NlWriter } from '../netlink.js';
import type { ParseOptions } from '../text/options.js';
import { Scanner } from '../text/scanner.js';
import { ROW_BY_NAME } from './schema.js';
import { checkSize, type ParseContext } from './shape.js';

const NAME = 'abcdefghijklmnopqrstuvwxyz0123456789_';

function parseAttribute(
  scan: Scanner,
  key: NlWriter,
  mask: NlWriter | undefined,
  context: ParseContext,
): void {
  const start = scan.position;
  const row = ROW_BY_NAME.get(scan.run(NAME) ?? '');
  if (row !== undefined && scan.accept('(')) row.shape.parse(row.type, scan, key, mask, context);
  else scan.fail('a key attribute such as in_port(', 'EINVAL', start);
}

const UFID = /^ufid:[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}/;

/** Skips a `ufid:` in front of an attribute. OVS allows only one space after it, although dump-flows prints a comma. */
function skipUfid(scan: Scanner, strict: boolean): void {
  if (!scan.at('ufid:')) return;
  const found = UFID.exec(scan.text.slice(scan.position, scan.position + 'ufid:'.length + 36));
  if (found === null) scan.fail('ufid: and a UUID');
  else scan.position += found[0].length;
  if (strict) scan.accept(' ');
  else scan.skipDelimiters();
}

function parseKey(text: string, options: ParseOptions, mask: NlWriter | undefined): NlWriter {
  const key = new NlWriter();
  const scan = new Scanner(text);
  const context: ParseContext = { options, depth: 0, attribute: parseAttribute };
  for (;;) {
    scan.skipDelimiters();
    if (scan.done) return key;
    skipUfid(scan, options.strict ?? false);
    parseAttribute(scan, key, mask, context);
    checkSize(key.length, scan);
  }
}

/**
 * Reads a key with its mask. A field without `/mask` is exact, a field that is not named is wildcarded, an attribute
 * that is not named is in neither. Throws an {@link OdpError} with the column at which the text went wrong.
 */
export function parseFlowKey(
  text: string,
  options: ParseOptions = {},
): { key: Uint8Array; mask: Uint8Array } {
  const mask = new NlWriter();
  return { key: parseKey(text, options, mask).finish(), mask: mask.finish() };
}

/**
 * Reads a key without a mask: `field/mask` is an error in attributes with named fields. Values that stand alone, such
 * as `skb_mark(1/0xff)`, and tunnel options may carry one, which is dropped, as in OVS.
 */
export const parseFlowKeyExact = (text: string, options: ParseOptions = {}): Uint8Array =>
  parseKey(text, options, undefined).finish();

/** Reads one attribute at the scanner's position and appends it to `key` and, if there is one, to `mask`. */
export function parseKeyAttrAt(
  scan: Scanner,
  key: NlWriter,
  mask: NlWriter | undefined,
  options: ParseOptions = {},
): void {
  parseAttribute(scan, key, mask, { options, depth: 0, attribute: parseAttribute });
}
