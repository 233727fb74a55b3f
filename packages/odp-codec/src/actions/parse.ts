/** Actions from dpctl text, as Open vSwitch 4.0.90 reads it and, unless `strict`, every form it prints as well. */

import { borrowScanner, borrowWriter, finishWriter, returnScanner } from '../spare.js';
import type { ParseOptions } from '../text/options.js';
import { DELIMITERS, type Scanner } from '../text/scanner.js';
import { ACTION_ATTR } from './attrs.js';
import { ActionReader } from './reader.js';
import { ACTION_KEYWORDS } from './table.js';

/**
 * Reads actions separated by commas or white space. Empty text is an empty list, which drops; the text `drop`, in any
 * case, is one action that does so explicitly. A number, or a name that `options.portNumber` knows, is an output.
 *
 * Throws an {@link OdpError} with the column at which the text went wrong; its code is `E2BIG` for actions that are well
 * formed but do not fit 65535 bytes.
 */
export function parseActions(text: string, options: ParseOptions = {}): Uint8Array {
  const scan = borrowScanner(text);
  const actions = readActions(scan, options);
  returnScanner(scan);
  return actions;
}

/** {@link parseActions} from the scanner's position to its end. */
export function readActions(scan: Scanner, options: ParseOptions): Uint8Array {
  const out = borrowWriter();
  if (scan.end - scan.position === 'drop'.length && scan.ahead('drop'.length).toLowerCase() === 'drop') {
    out.u32(ACTION_ATTR.DROP, 0);
    return finishWriter(out);
  }
  const reader = new ActionReader(scan, out, options, readAction);
  for (;;) {
    scan.skipDelimiters();
    if (scan.done) return finishWriter(out);
    reader.action();
    if (!scan.done && !scan.atDelimiter()) scan.fail("',' or the end of the text");
  }
}

function readAction(reader: ActionReader): void {
  const { scan, out, strict } = reader;
  const port = scan.u32() ?? takePortName(reader);
  if (port !== undefined) {
    out.u32(ACTION_ATTR.OUTPUT, port);
    return;
  }
  const row = ACTION_KEYWORDS.find(scan);
  if (row?.parse === undefined || (strict && row.printOnly))
    scan.fail('an action such as 2, drop or push_vlan(');
  else row.parse(reader);
}

/**
 * Takes a port name. Open vSwitch looks up everything to the next delimiter, so it knows no name that a parenthesis
 * follows: `clone(eth0)` fails there.
 */
function takePortName({ scan, options, strict }: ActionReader): number | undefined {
  const { portNumber } = options;
  if (portNumber === undefined) return undefined;
  for (const end of strict ? [DELIMITERS] : [DELIMITERS, `${DELIMITERS})`]) {
    const name = scan.until(end);
    const port = name === '' ? undefined : portNumber(name);
    if (port === undefined) continue;
    scan.position += name.length;
    return port >>> 0;
  }
  return undefined;
}
