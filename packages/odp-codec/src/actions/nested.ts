/** Actions that run lists of other actions: sample, clone, check_pkt_len, dec_ttl. */
import { getLe16, getLe32 } from '../key/bytes.js';
import { NlReader } from '../netlink.js';
import type { Scanner } from '../text/scanner.js';
import { ACTION_ATTR, CHECK_PKT_LEN_ATTR, DEC_TTL_ATTR, SAMPLE_ATTR } from './attrs.js';
import { needed, type PolicyEntry, readPolicy } from './policy.js';
import type { ActionReader } from './reader.js';
import { type ActionRow, VARIABLE } from './row.js';
import { uint } from './values.js';

const LIST: PolicyEntry = { min: 0, required: true };
const ALWAYS = 0xffff_ffff;

const SAMPLE_POLICY = { [SAMPLE_ATTR.PROBABILITY]: needed(4), [SAMPLE_ATTR.ACTIONS]: LIST };

export const sample: ActionRow<'sample'> = {
  type: 'sample',
  attr: ACTION_ATTR.SAMPLE,
  length: VARIABLE,
  text: 'sample(sample=PERCENT%,actions(ACTIONS))',
  about: 'runs actions for a random share of the packets',
  keyword: 'sample(sample=',
  format(payload, printer) {
    const found = readPolicy(payload, SAMPLE_POLICY);
    if (found === undefined) return 'sample(error)';
    const percent = (100 * getLe32(found.get(SAMPLE_ATTR.PROBABILITY)!, 0)) / ALWAYS;
    return `sample(sample=${percent.toFixed(1)}%,actions(${printer.list(found.get(SAMPLE_ATTR.ACTIONS)!)}))`;
  },
  parse(reader) {
    const { scan, out } = reader;
    scan.expect('sample(sample=');
    const at = scan.position;
    const percent = readFloat(scan);
    if (percent === undefined || !(percent >= 0 && percent <= 100)) {
      return scan.fail('a percentage from 0 to 100', 'EINVAL', at);
    }
    scan.expect('%,actions(');
    const mark = out.begin(ACTION_ATTR.SAMPLE);
    out.u32(SAMPLE_ATTR.PROBABILITY, Math.floor(ALWAYS * (percent / 100) + 0.5));
    reader.nestedList(SAMPLE_ATTR.ACTIONS);
    reader.end(mark);
    scan.expect('))');
  },
  decode(payload, lists) {
    const found = readPolicy(payload, SAMPLE_POLICY);
    const actions = found && lists.list(found.get(SAMPLE_ATTR.ACTIONS)!);
    if (actions === undefined) return undefined;
    return { type: 'sample', probability: getLe32(found!.get(SAMPLE_ATTR.PROBABILITY)!, 0), actions };
  },
  encode(out, { probability, actions }, lists) {
    const mark = out.begin(ACTION_ATTR.SAMPLE);
    out.u32(SAMPLE_ATTR.PROBABILITY, uint(probability, 32, 'probability'));
    lists.list(out, SAMPLE_ATTR.ACTIONS, actions, 'actions');
    out.end(mark);
  },
};

/** A number as strtod(3) reads it, hexadecimal ones included; undefined (position kept) when there is none. */
function readFloat(scan: Scanner): number | undefined {
  const rest = scan.ahead(400);
  const hexadecimal = /^\s*([+-]?)0[xX]([0-9a-fA-F]*)(?:\.([0-9a-fA-F]*))?(?:[pP]([+-]?\d+))?/.exec(rest);
  const [all, sign, whole = '', fraction = '', exponent = '0'] = hexadecimal ?? [];
  if (all !== undefined && whole + fraction !== '') {
    scan.position += all.length;
    const value = Number.parseInt(whole + fraction, 16) * 2 ** (Number(exponent) - 4 * fraction.length);
    return sign === '-' ? -value : value;
  }
  const decimal = /^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?/.exec(rest)?.[0];
  if (decimal === undefined) return undefined;
  scan.position += decimal.length;
  return Number(decimal);
}

export const clone: ActionRow<'clone'> = {
  type: 'clone',
  attr: ACTION_ATTR.CLONE,
  length: VARIABLE,
  text: 'clone(ACTIONS)',
  about: 'runs actions on a copy of the packet',
  keyword: 'clone(',
  format: (payload, printer) => `clone(${printer.list(payload)})`,
  parse(reader) {
    reader.scan.expect('clone(');
    reader.nestedList(ACTION_ATTR.CLONE);
    reader.scan.expect(')');
  },
  decode(payload, lists) {
    const actions = lists.list(payload);
    return actions && { type: 'clone', actions };
  },
  encode: (out, { actions }, lists) => lists.list(out, ACTION_ATTR.CLONE, actions, 'actions'),
};

const CHECK_PKT_LEN_POLICY = {
  [CHECK_PKT_LEN_ATTR.PKT_LEN]: needed(2),
  [CHECK_PKT_LEN_ATTR.ACTIONS_IF_GREATER]: LIST,
  [CHECK_PKT_LEN_ATTR.ACTIONS_IF_LESS_EQUAL]: LIST,
};

export const checkPktLen: ActionRow<'check_pkt_len'> = {
  type: 'check_pkt_len',
  attr: ACTION_ATTR.CHECK_PKT_LEN,
  length: VARIABLE,
  text: 'check_pkt_len(size=BYTES,gt(ACTIONS),le(ACTIONS))',
  about: 'runs one of two lists of actions, by the length of the packet',
  keyword: 'check_pkt_len(',
  format(payload, printer) {
    const found = readPolicy(payload, CHECK_PKT_LEN_POLICY);
    if (found === undefined) return 'check_pkt_len(error)';
    const size = getLe16(found.get(CHECK_PKT_LEN_ATTR.PKT_LEN)!, 0);
    const greater = printer.list(found.get(CHECK_PKT_LEN_ATTR.ACTIONS_IF_GREATER)!);
    const lessEqual = printer.list(found.get(CHECK_PKT_LEN_ATTR.ACTIONS_IF_LESS_EQUAL)!);
    return `check_pkt_len(size=${size},gt(${greater}),le(${lessEqual}))`;
  },
  parse(reader) {
    const { scan, out } = reader;
    const size = reader.number('check_pkt_len(size=%i,gt(');
    const mark = out.begin(ACTION_ATTR.CHECK_PKT_LEN);
    out.u16(CHECK_PKT_LEN_ATTR.PKT_LEN, size & 0xffff);
    readBranch(reader, CHECK_PKT_LEN_ATTR.ACTIONS_IF_GREATER);
    scan.expect('),le(');
    const dropped = readBranch(reader, CHECK_PKT_LEN_ATTR.ACTIONS_IF_LESS_EQUAL);
    // Open vSwitch does not look at the character behind that `drop`.
    if (dropped && !scan.done) scan.position++;
    else scan.expect(')');
    scan.expect(')');
    reader.end(mark);
  },
  decode(payload, lists) {
    const found = readPolicy(payload, CHECK_PKT_LEN_POLICY);
    if (found === undefined) return undefined;
    const greater = lists.list(found.get(CHECK_PKT_LEN_ATTR.ACTIONS_IF_GREATER)!);
    const lessEqual = lists.list(found.get(CHECK_PKT_LEN_ATTR.ACTIONS_IF_LESS_EQUAL)!);
    if (greater === undefined || lessEqual === undefined) return undefined;
    const size = getLe16(found.get(CHECK_PKT_LEN_ATTR.PKT_LEN)!, 0);
    return { type: 'check_pkt_len', size, greater, lessEqual };
  },
  encode(out, { size, greater, lessEqual }, lists) {
    const mark = out.begin(ACTION_ATTR.CHECK_PKT_LEN);
    out.u16(CHECK_PKT_LEN_ATTR.PKT_LEN, uint(size, 16, 'size'));
    lists.list(out, CHECK_PKT_LEN_ATTR.ACTIONS_IF_GREATER, greater, 'greater');
    lists.list(out, CHECK_PKT_LEN_ATTR.ACTIONS_IF_LESS_EQUAL, lessEqual, 'lessEqual');
    out.end(mark);
  },
};

/** Reads a list, or `drop` in any case for an empty one; returns whether it was that `drop`. */
function readBranch(reader: ActionReader, attr: number): boolean {
  const { scan, out, strict } = reader;
  const mark = out.begin(attr);
  // Unless strict, `drop` may also be the first of several actions.
  const rest = scan.ahead(16);
  const dropped = /^drop/i.test(rest) && (strict || !/^drop[, \t\r\n]+[^), \t\r\n]/.test(rest));
  if (dropped) scan.position += 4;
  else reader.list();
  reader.end(mark);
  return dropped;
}

export const decTtl: ActionRow<'dec_ttl'> = {
  type: 'dec_ttl',
  attr: ACTION_ATTR.DEC_TTL,
  length: VARIABLE,
  text: 'dec_ttl(le_1(ACTIONS))',
  about: 'decrements the TTL; runs actions instead for packets whose TTL is 1 or 0',
  keyword: 'dec_ttl(',
  printOnly: true,
  format(payload, printer) {
    const attributes = new NlReader(payload);
    while (attributes.next()) {
      if (attributes.type === DEC_TTL_ATTR.ACTION) {
        return `dec_ttl(le_1(${printer.list(attributes.payload())}))`;
      }
    }
    return 'dec_ttl(le_1())';
  },
  parse(reader) {
    const { scan, out } = reader;
    scan.expect('dec_ttl(le_1(');
    const mark = out.begin(ACTION_ATTR.DEC_TTL);
    reader.nestedList(DEC_TTL_ATTR.ACTION);
    scan.expect('))');
    reader.end(mark);
  },
  decode(payload, lists) {
    const attributes = new NlReader(payload);
    const actions = attributes.next() ? lists.list(attributes.payload()) : undefined;
    return actions && { type: 'dec_ttl', actions };
  },
  encode(out, { actions }, lists) {
    const mark = out.begin(ACTION_ATTR.DEC_TTL);
    lists.list(out, DEC_TTL_ATTR.ACTION, actions, 'actions');
    out.end(mark);
  },
};
