/** The `ct` action: passes the packet through the connection tracker. */
import { allBytes, getLe16, getLe32, putLe32 } from '../key/bytes.js';
import { alternateHex } from '../key/kind.js';
import { isObject } from '../key/shape.js';
import { wideHex } from '../key/wide-kinds.js';
import { NlReader, type NlWriter } from '../netlink.js';
import type { Scanner } from '../text/scanner.js';
import { ACTION_ATTR, CT_ATTR } from './attrs.js';
import type { ActionOf } from './model.js';
import { decodeNat, encodeNat, formatNat, type NatText, putNat, readNat } from './nat.js';
import { exactly, readPolicy } from './policy.js';
import { type ActionRow, VARIABLE } from './row.js';
import {
  encodeProperties,
  flagEncoder,
  fromWide,
  type PropertyEncoders,
  reject,
  text,
  uint,
  wide,
} from './values.js';

const LABEL = 16;

const POLICY = {
  [CT_ATTR.COMMIT]: { min: 0 },
  [CT_ATTR.FORCE_COMMIT]: { min: 0 },
  [CT_ATTR.ZONE]: exactly(2),
  [CT_ATTR.MARK]: { min: 8 },
  [CT_ATTR.LABELS]: { min: 2 * LABEL },
  [CT_ATTR.HELPER]: { min: 1, max: 16, string: true },
  [CT_ATTR.TIMEOUT]: { min: 1, max: 32, string: true },
  [CT_ATTR.NAT]: { min: 0 },
} as const;

/** Longest names, without the NUL that ends them. */
const HELPER_MAX = 15;
const TIMEOUT_MAX = 31;

/** Connection labels are 128-bit numbers in host order. */
const reversed = (bytes: Uint8Array): Uint8Array => bytes.slice().reverse();

/** The characters of a NUL-terminated name; one byte is one character, so that every name can be put back. */
const nameOf = (payload: Uint8Array): string =>
  String.fromCharCode(...payload.subarray(0, payload.length - 1));

export const ct: ActionRow<'ct'> = {
  type: 'ct',
  attr: ACTION_ATTR.CT,
  length: VARIABLE,
  text: 'ct[([force_]commit,zone=N,mark=V/M,label=V/M,helper=NAME,timeout=NAME,nat[(..)])]',
  about: 'passes the packet through the connection tracker',
  keyword: 'ct',
  format(payload) {
    const found = readPolicy(payload, POLICY);
    if (found === undefined) return 'ct(error)';
    const zone = found.get(CT_ATTR.ZONE);
    const mark = found.get(CT_ATTR.MARK);
    const labels = found.get(CT_ATTR.LABELS);
    const helper = found.get(CT_ATTR.HELPER);
    const timeout = found.get(CT_ATTR.TIMEOUT);
    const nat = found.get(CT_ATTR.NAT);
    const parts: string[] = [];
    if (found.has(CT_ATTR.COMMIT)) parts.push('commit');
    if (found.has(CT_ATTR.FORCE_COMMIT)) parts.push('force_commit');
    if (zone !== undefined && getLe16(zone, 0) !== 0) parts.push(`zone=${getLe16(zone, 0)}`);
    if (mark !== undefined) {
      parts.push(`mark=${alternateHex(getLe32(mark, 0))}/${alternateHex(getLe32(mark, 4))}`);
    }
    if (labels !== undefined) parts.push(`label=${formatLabels(labels)}`);
    if (helper !== undefined) parts.push(`helper=${nameOf(helper)}`);
    if (timeout !== undefined) parts.push(`timeout=${nameOf(timeout)}`);
    if (nat !== undefined) parts.push(formatNat(nat));
    return parts.length === 0 ? 'ct' : `ct(${parts.join(',')})`;
  },
  parse({ scan, out }) {
    const start = scan.position;
    scan.expect('ct');
    const found = readText(scan);
    if (found.commit && found.force) scan.fail('either commit or force_commit', 'EINVAL', start);
    putText(out, found);
  },
  decode(payload) {
    if (readPolicy(payload, POLICY) === undefined) return undefined;
    const action: ActionOf<'ct'> = { type: 'ct' };
    const attributes = new NlReader(payload);
    while (attributes.next()) {
      if (!decodeAttribute(action, attributes.type, attributes.payload())) return undefined;
    }
    return action;
  },
  encode(out, action) {
    const mark = out.begin(ACTION_ATTR.CT);
    encodeProperties(out, action, 'ct', PROPERTIES);
    out.end(mark);
  },
};

function formatLabels(labels: Uint8Array): string {
  const value = wideHex(reversed(labels.subarray(0, LABEL)), 0, LABEL);
  if (allBytes(labels, LABEL, LABEL, 0xff)) return value;
  return `${value}/${wideHex(reversed(labels.subarray(LABEL, 2 * LABEL)), 0, LABEL)}`;
}

/** What the text said. */
interface CtText {
  commit: boolean;
  force: boolean;
  zone: number;
  mark: number;
  markMask: number;
  /** Big-endian. */
  label: Uint8Array;
  labelMask: Uint8Array;
  helper?: string;
  timeout?: string;
  nat?: NatText;
}

/** Reads the list in brackets, if there is one. */
function readText(scan: Scanner): CtText {
  const found: CtText = {
    commit: false,
    force: false,
    zone: 0,
    mark: 0,
    markMask: 0,
    label: new Uint8Array(LABEL),
    labelMask: new Uint8Array(LABEL),
  };
  if (!scan.accept('(')) return found;
  while (!scan.accept(')')) {
    scan.skipDelimiters();
    readOption(scan, found);
  }
  return found;
}

function readOption(scan: Scanner, found: CtText): void {
  if (scan.accept('commit')) found.commit = true;
  else if (scan.accept('force_commit')) found.force = true;
  else if (scan.accept('zone=')) {
    if (!scan.integer(10)) scan.fail('a zone');
    found.zone = scan.lo & 0xffff;
  } else if (scan.accept('mark=')) {
    if (!scan.integer(16)) scan.fail('a mark');
    found.mark = scan.lo;
    found.markMask = 0xffff_ffff;
    if (scan.accept('/')) {
      if (!scan.integer(16)) scan.fail('a mask');
      found.markMask = scan.lo;
    }
  } else if (scan.accept('label=')) {
    found.label = scan.need(scan.wide(LABEL), 'a label');
    found.labelMask = scan.accept('/')
      ? scan.need(scan.wide(LABEL), 'a label mask')
      : new Uint8Array(LABEL).fill(0xff);
  } else if (scan.accept('helper=')) found.helper = readName(scan, HELPER_MAX);
  else if (scan.accept('timeout=')) found.timeout = readName(scan, TIMEOUT_MAX);
  else if (scan.accept('nat')) found.nat = readNat(scan);
  else scan.fail('commit, force_commit, zone, mark, label, helper, timeout or nat');
}

function readName(scan: Scanner, most: number): string {
  const name = scan.until(', \t\r\n)');
  if (name === '' || !isName(name, most)) scan.fail(`a name of 1 to ${most} one-byte characters`);
  scan.position += name.length;
  return name;
}

/** A mask of zero leaves mark and label out; a zone of zero too. */
function putText(out: NlWriter, found: CtText): void {
  const mark = out.begin(ACTION_ATTR.CT);
  if (found.commit) out.flag(CT_ATTR.COMMIT);
  else if (found.force) out.flag(CT_ATTR.FORCE_COMMIT);
  if (found.zone !== 0) out.u16(CT_ATTR.ZONE, found.zone);
  if (found.markMask !== 0) putMark(out, found.mark, found.markMask);
  if (!allBytes(found.labelMask, 0, LABEL, 0)) putLabels(out, found.label, found.labelMask);
  if (found.helper !== undefined) putName(out, CT_ATTR.HELPER, found.helper);
  if (found.timeout !== undefined) putName(out, CT_ATTR.TIMEOUT, found.timeout);
  if (found.nat !== undefined) putNat(out, found.nat);
  out.end(mark);
}

function putMark(out: NlWriter, value: number, mask: number): void {
  const at = out.reserve(CT_ATTR.MARK, 8);
  putLe32(out.memory, at, value);
  putLe32(out.memory, at + 4, mask);
}

function putLabels(out: NlWriter, value: Uint8Array, mask: Uint8Array): void {
  const at = out.reserve(CT_ATTR.LABELS, 2 * LABEL);
  out.memory.set(reversed(value), at);
  out.memory.set(reversed(mask), at + LABEL);
}

/** The name and a NUL. */
function putName(out: NlWriter, attr: number, name: string): void {
  const at = out.reserve(attr, name.length + 1);
  for (let i = 0; i < name.length; i++) out.memory[at + i] = name.charCodeAt(i);
}

function decodeAttribute(action: ActionOf<'ct'>, type: number, payload: Uint8Array): boolean {
  switch (type) {
    case CT_ATTR.COMMIT:
      action.commit = true;
      return true;
    case CT_ATTR.FORCE_COMMIT:
      action.forceCommit = true;
      return true;
    case CT_ATTR.ZONE:
      action.zone = getLe16(payload, 0);
      return true;
    case CT_ATTR.MARK:
      action.mark = { value: getLe32(payload, 0), mask: getLe32(payload, 4) };
      return true;
    case CT_ATTR.LABELS: {
      const value = fromWide(reversed(payload.subarray(0, LABEL)));
      action.labels = { value, mask: fromWide(reversed(payload.subarray(LABEL, 2 * LABEL))) };
      return true;
    }
    case CT_ATTR.HELPER:
      action.helper = nameOf(payload);
      return true;
    case CT_ATTR.EVENTMASK:
      if (payload.length !== 4) return false;
      action.eventMask = getLe32(payload, 0);
      return true;
    case CT_ATTR.TIMEOUT:
      action.timeout = nameOf(payload);
      return true;
    case CT_ATTR.NAT:
      action.nat = decodeNat(payload);
      return action.nat !== undefined;
    default:
      return false;
  }
}

const PROPERTIES: PropertyEncoders = {
  commit: flagEncoder(CT_ATTR.COMMIT, 'commit'),
  forceCommit: flagEncoder(CT_ATTR.FORCE_COMMIT, 'forceCommit'),
  zone: (out, value) => out.u16(CT_ATTR.ZONE, uint(value, 16, 'zone')),
  mark(out, value) {
    if (!isObject(value)) return reject('mark', 'a value and a mask', value);
    putMark(out, uint(value.value, 32, 'mark'), uint(value.mask, 32, 'mask of mark'));
  },
  labels(out, value) {
    if (!isObject(value)) return reject('labels', 'a value and a mask', value);
    putLabels(out, wide(value.value, LABEL, 'labels'), wide(value.mask, LABEL, 'mask of labels'));
  },
  helper: (out, value) => putName(out, CT_ATTR.HELPER, checkedName(value, 'helper', HELPER_MAX)),
  eventMask: (out, value) => out.u32(CT_ATTR.EVENTMASK, uint(value, 32, 'eventMask')),
  timeout: (out, value) => putName(out, CT_ATTR.TIMEOUT, checkedName(value, 'timeout', TIMEOUT_MAX)),
  nat: encodeNat,
};

function checkedName(value: unknown, what: string, most: number): string {
  const name = text(value, what);
  return isName(name, most) ? name : reject(what, `at most ${most} one-byte characters`, name);
}

/** Whether every character fits one byte that is not NUL. */
function isName(name: string, most: number): boolean {
  for (let i = 0; i < name.length; i++) {
    const code = name.charCodeAt(i);
    if (code === 0 || code > 0xff) return false;
  }
  return name.length <= most;
}
