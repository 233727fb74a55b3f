/** Whole flows as `dpctl/dump-flows` prints them, one to a line, both ways. */
import { formatActions, parseActions } from '../actions/index.js';
import { OdpError } from '../errors.js';
import { formatFlowKey } from '../key/format.js';
import { parseFlowKey } from '../key/parse.js';
import type { ParseOptions, TextOptions } from './options.js';
import { Scanner } from './scanner.js';

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
const FLAG_LETTERS: readonly (readonly [bit: number, letters: string])[] = [
  [0x002, 'S'],
  [0x001, 'F'],
  [0x008, 'P'],
  [0x004, 'R'],
  [0x020, 'U'],
  [0x010, '.'],
  [0x040, 'E'],
  [0x080, 'C'],
  [0x100, 'N'],
  [0x200, '[200]'],
  [0x400, '[400]'],
  [0x800, '[800]'],
];

/** `packets:1, bytes:60, used:0.010s, flags:S`. */
export function formatFlowStats({ packets, bytes, used, tcpFlags = 0 }: Flow): string {
  const ago = used === undefined ? 'never' : `${(used / 1000).toFixed(3)}s`;
  const letters = FLAG_LETTERS.map(([bit, text]) => ((tcpFlags & bit) === 0 ? '' : text)).join('');
  return `packets:${packets}, bytes:${bytes}, used:${ago}${letters === '' ? '' : `, flags:${letters}`}`;
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

const STATISTICS = ', packets:';
const ACTIONS = ', actions:';
const EXTRA = ', dp-extra-info:';
const UFID = /^ufid:([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})/;

/**
 * Reads a line of dump-flows. Throws an {@link OdpError}; its column counts from the start of the line. White space
 * around the line is ignored.
 */
export function parseFlowLine(line: string, options: ParseOptions = {}): Flow {
  const scan = new Scanner(line.trimEnd());
  const { text } = scan;
  const statistics = text.indexOf(STATISTICS);
  if (statistics < 0) scan.fail(`a flow with '${STATISTICS}' after its key`, 'EINVAL', text.length);
  const indent = text.length - text.trimStart().length;
  const ufid = UFID.exec(text.slice(indent))?.[1];
  // The key's parser skips the UFID, but strictly not with the comma that is printed after it.
  const keyAt = ufid === undefined ? indent : indent + 'ufid:'.length + ufid.length;
  const { key, mask } = shifted(scan, keyAt, statistics, (part) => parseFlowKey(part, options));
  scan.position = statistics;
  const statisticsRead = parseStatistics(scan);
  scan.expect(ACTIONS);
  const extraAt = text.indexOf(EXTRA, scan.position);
  const actions = shifted(scan, scan.position, extraAt < 0 ? text.length : extraAt, (part) =>
    parseActions(part, options),
  );
  return {
    ...(ufid === undefined ? {} : { ufid }),
    key,
    mask,
    actions,
    ...statisticsRead,
    ...(extraAt < 0 ? {} : { extraInfo: text.slice(extraAt + EXTRA.length) }),
  };
}

/** Parses a part of the line; an error's column is moved to where the part stands in it. */
function shifted<T>(scan: Scanner, start: number, end: number, parse: (part: string) => T): T {
  try {
    return parse(scan.text.slice(start, end));
  } catch (error) {
    if (!(error instanceof OdpError) || error.column === undefined || error.expected === undefined)
      throw error;
    return scan.fail(error.expected, error.code, start + error.column - 1);
  }
}

type Statistics = Pick<Flow, 'packets' | 'bytes' | 'used' | 'tcpFlags' | 'offloaded' | 'layer'>;

/** From `, packets:` up to, not including, `, actions:`. */
function parseStatistics(scan: Scanner): Statistics {
  scan.expect(STATISTICS);
  const packets = count(scan);
  scan.expect(', bytes:');
  const bytes = count(scan);
  scan.expect(', used:');
  const used = scan.accept('never') ? undefined : milliseconds(scan);
  const tcpFlags = scan.accept(', flags:') ? letters(scan) : 0;
  const offloaded = scan.accept(', offloaded:') ? offload(scan) : undefined;
  const layer = scan.accept(', dp:') ? word(scan) : undefined;
  return {
    packets,
    bytes,
    ...(used === undefined ? {} : { used }),
    tcpFlags,
    ...(offloaded === undefined ? {} : { offloaded }),
    ...(layer === undefined ? {} : { layer }),
  };
}

const DIGITS = '0123456789';
const count = (scan: Scanner): number => Number(scan.need(scan.run(DIGITS), 'a number'));

function milliseconds(scan: Scanner): number {
  const start = scan.position;
  const seconds = Number(scan.run(`${DIGITS}.`) ?? Number.NaN);
  if (Number.isNaN(seconds) || !scan.accept('s'))
    scan.fail("'never' or seconds such as 1.500s", 'EINVAL', start);
  return Math.round(seconds * 1000);
}

function letters(scan: Scanner): number {
  let flags = 0;
  while (!scan.done && !scan.at(',')) {
    const found = FLAG_LETTERS.find(([, text]) => scan.accept(text));
    flags |= scan.need(found, 'TCP flags as in SFPRU.ECN')[0];
  }
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
