/** `nat(..)` inside a `ct` action. */
import { getLe16 } from '../key/bytes.js';
import { NlReader, type NlWriter } from '../netlink.js';
import { formatIpv4, formatIpv6 } from '../text/address.js';
import type { Scanner } from '../text/scanner.js';
import { CT_ATTR, NAT_ATTR } from './attrs.js';
import { compareBytes } from './bytes.js';
import type { Nat } from './model.js';
import { exactly, type PolicyEntry, readPolicy } from './policy.js';
import { encodeProperties, flagEncoder, ip, type PropertyEncoders, uint } from './values.js';

const FLAG: PolicyEntry = { min: 0 };
const ADDRESS: PolicyEntry = { min: 4, max: 16 };

const POLICY = {
  [NAT_ATTR.SRC]: FLAG,
  [NAT_ATTR.DST]: FLAG,
  [NAT_ATTR.IP_MIN]: ADDRESS,
  [NAT_ATTR.IP_MAX]: ADDRESS,
  [NAT_ATTR.PROTO_MIN]: exactly(2),
  [NAT_ATTR.PROTO_MAX]: exactly(2),
  [NAT_ATTR.PERSISTENT]: FLAG,
  [NAT_ATTR.PROTO_HASH]: FLAG,
  [NAT_ATTR.PROTO_RANDOM]: FLAG,
};

const OPTIONS = [
  NAT_ATTR.IP_MIN,
  NAT_ATTR.IP_MAX,
  NAT_ATTR.PROTO_MIN,
  NAT_ATTR.PROTO_MAX,
  NAT_ATTR.PERSISTENT,
  NAT_ATTR.PROTO_HASH,
  NAT_ATTR.PROTO_RANDOM,
];

/** Flags that may follow a range, in the order of the text form. */
const FLAGS = [
  ['persistent', NAT_ATTR.PERSISTENT],
  ['hash', NAT_ATTR.PROTO_HASH],
  ['random', NAT_ATTR.PROTO_RANDOM],
] as const;

/** `nat` and what is in the payload of CT_ATTR.NAT; a complaint in brackets when that contradicts itself. */
export function formatNat(payload: Uint8Array): string {
  const found = readPolicy(payload, POLICY);
  if (found === undefined) return 'nat(error: nl_parse_nested() failed.)';
  const problem = contradiction(found);
  if (problem !== undefined) return `nat(${problem})`;
  const direction = found.has(NAT_ATTR.SRC) ? 'src' : found.has(NAT_ATTR.DST) ? 'dst' : undefined;
  if (direction === undefined) return 'nat';
  let out = `nat(${direction}${formatRange(found)}`;
  for (const [name, attr] of FLAGS) if (found.has(attr)) out += `,${name}`;
  return `${out})`;
}

function contradiction(found: ReadonlyMap<number, Uint8Array>): string | undefined {
  const src = found.has(NAT_ATTR.SRC);
  const dst = found.has(NAT_ATTR.DST);
  const min = found.get(NAT_ATTR.IP_MIN);
  const max = found.get(NAT_ATTR.IP_MAX);
  const protoMin = protoOf(found, NAT_ATTR.PROTO_MIN);
  const protoMax = protoOf(found, NAT_ATTR.PROTO_MAX);
  if (!src && !dst && OPTIONS.some((attr) => found.has(attr))) {
    return 'error: options allowed only with "src" or "dst"';
  }
  if (src && dst) return 'error: Only one of "src" or "dst" may be present.';
  if (min === undefined && protoMin !== undefined) return 'error: proto but no IP.';
  if ((min === undefined && max !== undefined) || (protoMin === undefined && protoMax !== undefined)) {
    return 'error: range max without min.';
  }
  if (min !== undefined) {
    if ((min.length !== 4 && min.length !== 16) || (max !== undefined && max.length !== min.length)) {
      return 'error: IP address sizes do not match';
    }
    if (isSet(max) && compareBytes(min, max, min.length) > 0) return 'range error';
  }
  return protoMax !== undefined && protoMax !== 0 && (protoMin ?? 0) > protoMax ? 'range error' : undefined;
}

const protoOf = (found: ReadonlyMap<number, Uint8Array>, attr: number): number | undefined => {
  const payload = found.get(attr);
  return payload && getLe16(payload, 0);
};

/** Whether there is an address and it is not all zero, which stands for "none". */
const isSet = (address: Uint8Array | undefined): address is Uint8Array =>
  address?.some((byte) => byte !== 0) === true;

/** `=MIN[-MAX][:PORT[-PORT]]`, or nothing without an address. IPv6 stands in brackets when a port follows. */
function formatRange(found: ReadonlyMap<number, Uint8Array>): string {
  const min = found.get(NAT_ATTR.IP_MIN);
  const max = found.get(NAT_ATTR.IP_MAX);
  if (min === undefined) return '';
  const protoMin = protoOf(found, NAT_ATTR.PROTO_MIN) ?? 0;
  const protoMax = protoOf(found, NAT_ATTR.PROTO_MAX) ?? 0;
  const show = (address: Uint8Array) => {
    if (address.length === 4) return formatIpv4(address);
    return protoMin === 0 ? formatIpv6(address) : `[${formatIpv6(address)}]`;
  };
  let out = `=${show(min)}`;
  if (isSet(max) && compareBytes(min, max, min.length) !== 0) out += `-${show(max)}`;
  if (protoMin !== 0) {
    out += `:${protoMin}`;
    if (protoMax !== 0 && protoMax !== protoMin) out += `-${protoMax}`;
  }
  return out;
}

/** What the text said. An address that was not given is all zero; `length` is 0, 4 or 16. */
export interface NatText {
  src: boolean;
  dst: boolean;
  length: number;
  min: Uint8Array;
  max: Uint8Array;
  protoMin: number;
  protoMax: number;
  flags: Set<number>;
}

/** Reads what follows `nat`: nothing, or a list in brackets. */
export function readNat(scan: Scanner): NatText {
  const nat: NatText = {
    src: false,
    dst: false,
    length: 0,
    min: new Uint8Array(16),
    max: new Uint8Array(16),
    protoMin: 0,
    protoMax: 0,
    flags: new Set(),
  };
  const start = scan.position;
  if (!scan.accept('(')) return nat;
  while (!scan.accept(')')) {
    scan.skipDelimiters();
    if (scan.accept('src')) {
      readRange(scan, nat);
      nat.src = true;
    } else if (scan.accept('dst')) {
      readRange(scan, nat);
      nat.dst = true;
    } else {
      const option = FLAGS.find(([name]) => scan.accept(name));
      if (option === undefined) return scan.fail('src, dst, persistent, hash or random');
      nat.flags.add(option[1]);
    }
  }
  const refuse = (wanted: string): never => scan.fail(wanted, 'EINVAL', start);
  if (nat.src && nat.dst) refuse('either src or dst');
  const { min, max, length, protoMin, protoMax } = nat;
  const backwards = isSet(max.subarray(0, length)) && compareBytes(max, min, length) < 0;
  if (backwards || (protoMax !== 0 && protoMax < protoMin))
    refuse('ranges that do not end before they begin');
  if (nat.flags.has(NAT_ATTR.PROTO_HASH) && nat.flags.has(NAT_ATTR.PROTO_RANDOM)) {
    refuse('either hash or random');
  }
  return nat;
}

function readRange(scan: Scanner, nat: NatText): void {
  if (!scan.accept('=')) return;
  const v4 = scan.ipv4();
  const min = v4 ?? readIpv6(scan);
  nat.length = min.length;
  nat.min.set(min);
  if (scan.accept('-')) {
    nat.max.set(v4 === undefined ? readIpv6(scan) : scan.need(scan.ipv4(), 'an IPv4 address'));
  }
  if (!scan.accept(':')) return;
  if (!scan.integer(10)) scan.fail('a port');
  nat.protoMin = scan.lo & 0xffff;
  if (scan.accept('-')) {
    if (!scan.integer(10)) scan.fail('a port');
    nat.protoMax = scan.lo & 0xffff;
  }
}

/** With or without brackets. */
function readIpv6(scan: Scanner): Uint8Array {
  const bracket = scan.accept('[');
  const address = scan.need(scan.ipv6(), 'an IP address');
  if (bracket) scan.expect(']');
  return address;
}

export function putNat(out: NlWriter, nat: NatText): void {
  const mark = out.begin(CT_ATTR.NAT);
  if (nat.src || nat.dst) {
    out.flag(nat.src ? NAT_ATTR.SRC : NAT_ATTR.DST);
    if (nat.length > 0) putRange(out, nat);
  }
  out.end(mark);
}

/** Open vSwitch leaves out a maximum that equals the minimum, and drops flags that were given without an address. */
function putRange(out: NlWriter, { length, min, max, protoMin, protoMax, flags }: NatText): void {
  out.put(NAT_ATTR.IP_MIN, min.subarray(0, length));
  if (compareBytes(max, min, length) > 0) out.put(NAT_ATTR.IP_MAX, max.subarray(0, length));
  if (protoMin !== 0) {
    out.u16(NAT_ATTR.PROTO_MIN, protoMin);
    if (protoMax > protoMin) out.u16(NAT_ATTR.PROTO_MAX, protoMax);
  }
  for (const [, attr] of FLAGS) if (flags.has(attr)) out.flag(attr);
}

/** The model of a payload, or undefined when its parts have the wrong lengths. */
export function decodeNat(payload: Uint8Array): Nat | undefined {
  if (readPolicy(payload, POLICY) === undefined) return undefined;
  const nat: Nat = {};
  const attributes = new NlReader(payload);
  while (attributes.next()) {
    const value = attributes.payload();
    const address =
      value.length === 4 ? formatIpv4(value) : value.length === 16 ? formatIpv6(value) : undefined;
    switch (attributes.type) {
      case NAT_ATTR.SRC:
        nat.src = true;
        break;
      case NAT_ATTR.DST:
        nat.dst = true;
        break;
      case NAT_ATTR.IP_MIN:
        if (address === undefined) return undefined;
        nat.ipMin = address;
        break;
      case NAT_ATTR.IP_MAX:
        if (address === undefined) return undefined;
        nat.ipMax = address;
        break;
      case NAT_ATTR.PROTO_MIN:
        nat.protoMin = getLe16(value, 0);
        break;
      case NAT_ATTR.PROTO_MAX:
        nat.protoMax = getLe16(value, 0);
        break;
      case NAT_ATTR.PERSISTENT:
        nat.persistent = true;
        break;
      case NAT_ATTR.PROTO_HASH:
        nat.hash = true;
        break;
      case NAT_ATTR.PROTO_RANDOM:
        nat.random = true;
        break;
      default:
        return undefined;
    }
  }
  return nat;
}

const PROPERTIES: PropertyEncoders = {
  src: flagEncoder(NAT_ATTR.SRC, 'src'),
  dst: flagEncoder(NAT_ATTR.DST, 'dst'),
  ipMin: (out, value) => out.put(NAT_ATTR.IP_MIN, ip(value, 'ipMin')),
  ipMax: (out, value) => out.put(NAT_ATTR.IP_MAX, ip(value, 'ipMax')),
  protoMin: (out, value) => out.u16(NAT_ATTR.PROTO_MIN, uint(value, 16, 'protoMin')),
  protoMax: (out, value) => out.u16(NAT_ATTR.PROTO_MAX, uint(value, 16, 'protoMax')),
  persistent: flagEncoder(NAT_ATTR.PERSISTENT, 'persistent'),
  hash: flagEncoder(NAT_ATTR.PROTO_HASH, 'hash'),
  random: flagEncoder(NAT_ATTR.PROTO_RANDOM, 'random'),
};

export function encodeNat(out: NlWriter, nat: unknown): void {
  const mark = out.begin(CT_ATTR.NAT);
  encodeProperties(out, nat, 'nat', PROPERTIES);
  out.end(mark);
}
