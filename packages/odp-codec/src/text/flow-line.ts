/** Whole flows as `dpctl/dump-flows` prints them, one to a line, both ways. */
import { formatActions } from '../actions/index.js';
import { readActions } from '../actions/parse.js';
import { formatFlowKey } from '../key/format.js';
import { KEY_ATTRIBUTE, readAttributes } from '../key/parse.js';
import { borrowScanner, borrowWriter, finishWriter, returnScanner } from '../spare.js';
import { Keywords } from './keywords.js';
import type { ParseOptions, TextOptions } from './options.js';
import type { Scanner } from './scanner.js';

/** A flow of a datapath with its statistics. */
export interface Flow {
  /** Its UUID, without `ufid:`. */
  readonly ufid?: string;
  /** Netlink attributes. */
  readonly key: Uint8Array;
  /** Netlink attributes; empty for a flow that matches its key exactly. */
  readonly mask: Uint8Array;
  /** Netlink attributes; empty to drop. */
  readonly actions: Uint8Array;
  readonly packets: number;
  readonly bytes: number;
  /** Milliseconds since the last packet; absent if there was none. */
  readonly used?: number;
  /** All TCP flags seen, 12 bits. Default 0. */
  readonly tcpFlags?: number;
  readonly offloaded?: 'yes' | 'partial';
  /** Which datapath has the flow, such as `ovs`. */
  readonly layer?: string;
  /** Free text of the datapath. */
  readonly extraInfo?: string;
}

/** The bits of `tcpFlags` in the order in which they are printed. */
const FLAG_LETTERS: readonly (readonly [letters: string, bit: number])[] = [
  ['S', 0x002],
  ['F', 0x001],
  ['P', 0x008],
  ['R', 0x004],
  ['U', 0x020],
  ['.', 0x010],
  ['E', 0x040],
  ['C', 0x080],
  ['N', 0x100],
  ['[200]', 0x200],
  ['[400]', 0x400],
  ['[800]', 0x800],
];
const FLAG_NAMES = new Keywords(FLAG_LETTERS);

/** `packets:1, bytes:60, used:0.010s, flags:S`. */
export function formatFlowStats({ packets, bytes, used, tcpFlags = 0 }: Flow): string {
  let out = `packets:${packets}, bytes:${bytes}, used:${used === undefined ? 'never' : seconds(used)}`;
  if ((tcpFlags & 0xfff) === 0) return out;
  out += ', flags:';
  for (const [letters, bit] of FLAG_LETTERS) if ((tcpFlags & bit) !== 0) out += letters;
  return out;
}

/** `1.500s`. `toFixed` is for what is no whole number of milliseconds: with it the statistics take twice the time. */
function seconds(milliseconds: number): string {
  if (!Number.isSafeInteger(milliseconds) || milliseconds < 0) return `${(milliseconds / 1000).toFixed(3)}s`;
  const rest = milliseconds % 1000;
  return `${(milliseconds - rest) / 1000}.${rest < 10 ? '00' : rest < 100 ? '0' : ''}${rest}s`;
}

/** One line, without its end. UFID, offload state, layer and extra information are printed only if `verbose`. */
export function formatFlow(flow: Flow, options: TextOptions = {}): string {
  const verbose = options.verbose ?? false;
  let out = verbose && flow.ufid !== undefined ? `ufid:${flow.ufid}, ` : '';
  out += `${formatFlowKey(flow.key, flow.mask, options)}, ${formatFlowStats(flow)}`;
  if (verbose && flow.offloaded !== undefined) out += `, offloaded:${flow.offloaded}`;
  if (verbose && flow.layer !== undefined) out += `, dp:${flow.layer}`;
  out += `, actions:${formatActions(flow.actions, options)}`;
  if (verbose && flow.extraInfo !== undefined) out += `, dp-extra-info:${flow.extraInfo}`;
  return out;
}

const STATISTICS = 'packets:';
const ACTIONS = ', actions:';
const EXTRA = ', dp-extra-info:';
const UFID = /^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}/;
const UUID_LENGTH = 36;

/**
 * Reads a line of dump-flows. Throws an {@link OdpError}; its column counts from the start of the line. White space
 * around the line is ignored.
 */
export function parseFlowLine(line: string, options: ParseOptions = {}): Flow {
  const text = line.trimEnd();
  const scan = borrowScanner(text);
  scan.skipDelimiters();
  // The key's parser skips a UFID, but strictly not with the comma that is printed after it.
  const ufid = scan.accept('ufid:')
    ? scan.need(UFID.exec(scan.ahead(UUID_LENGTH))?.[0], 'a UUID')
    : undefined;
  if (ufid !== undefined) scan.position += UUID_LENGTH;
  const key = borrowWriter();
  const mask = borrowWriter();
  readAttributes(scan, key, mask, options);
  const flow: FlowRead = {
    key: finishWriter(key),
    mask: finishWriter(mask),
    actions: NONE,
    packets: 0,
    bytes: 0,
    tcpFlags: 0,
  };
  if (ufid !== undefined) flow.ufid = ufid;
  parseStatistics(scan, flow);
  scan.expect(ACTIONS);
  const extraAt = text.indexOf(EXTRA, scan.position);
  if (extraAt >= 0) {
    flow.extraInfo = text.slice(extraAt + EXTRA.length);
    scan.end = extraAt;
  }
  flow.actions = readActions(scan, options);
  returnScanner(scan);
  return flow;
}

/** A flow of which a part is read. */
type FlowRead = { -readonly [P in keyof Flow]: Flow[P] };
const NONE = new Uint8Array(0);

/** From `packets:` up to, not including, `, actions:`. */
function parseStatistics(scan: Scanner, flow: FlowRead): void {
  if (!scan.accept(STATISTICS)) scan.fail(`${KEY_ATTRIBUTE} or '${STATISTICS}'`);
  flow.packets = count(scan);
  scan.expect(', bytes:');
  flow.bytes = count(scan);
  scan.expect(', used:');
  if (!scan.accept('never')) flow.used = milliseconds(scan);
  if (scan.accept(', flags:')) flow.tcpFlags = letters(scan);
  if (scan.accept(', offloaded:')) flow.offloaded = offload(scan);
  if (scan.accept(', dp:')) flow.layer = word(scan);
}

/** As many digits always are a safe integer. */
const SAFE_DIGITS = 15;

/** Takes a decimal digit and returns its value, or -1. */
function digit(scan: Scanner): number {
  const value = scan.code() - 0x30;
  if (value < 0 || value > 9) return -1;
  scan.position++;
  return value;
}

/** Takes decimal digits, if there are any. */
function digits(scan: Scanner): number {
  const start = scan.position;
  let value = 0;
  for (let next = digit(scan); next >= 0; next = digit(scan)) value = value * 10 + next;
  return scan.position - start <= SAFE_DIGITS ? value : Number(scan.text.slice(start, scan.position));
}

/** Counters are 64 bits wide. */
const COUNT_END = 2 ** 64;

function count(scan: Scanner): number {
  const start = scan.position;
  const value = digits(scan);
  if (scan.position === start || value >= COUNT_END) scan.fail('a number below 2^64', 'EINVAL', start);
  return value;
}

function milliseconds(scan: Scanner): number {
  const start = scan.position;
  let value = digits(scan) * 1000;
  let found = scan.position - start;
  if (scan.accept('.')) {
    const point = scan.position;
    for (let unit = 100, next = digit(scan); next >= 0; unit /= 10, next = digit(scan)) value += next * unit;
    found += scan.position - point;
  }
  if (found === 0 || value >= COUNT_END || !scan.accept('s'))
    scan.fail("'never' or seconds such as 1.500s", 'EINVAL', start);
  return Math.round(value);
}

function letters(scan: Scanner): number {
  let flags = 0;
  while (!scan.done && !scan.at(',')) flags |= scan.need(FLAG_NAMES.take(scan), 'TCP flags as in SFPRU.ECN');
  return flags;
}

function offload(scan: Scanner): 'yes' | 'partial' {
  if (scan.accept('yes')) return 'yes';
  scan.expect('partial');
  return 'partial';
}

function word(scan: Scanner): string {
  const found = scan.until(',');
  scan.position += found.length;
  return found;
}
