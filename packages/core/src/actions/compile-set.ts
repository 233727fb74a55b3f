/**
 * Compiles the set and masked set actions: one key attribute, with a mask of the same length behind the value in the
 * masked form. One row per attribute that can be set. Control path.
 */

import {
  KEY_ATTR,
  KEY_WORDS,
  NlReader,
  NSH_ATTR,
  tunnelToFlow,
  W_DP_HASH,
  W_RECIRC_ID,
  W_SKB_MARK,
  W_SKB_PRIORITY,
  W_TUN_ID,
} from '@etherloom/odp-codec/data';
import { host32, invalid, net16, net32, type Payload, type ProgramBuilder } from './builder.js';
import * as change from './change.hot.js';
import * as op from './execute.hot.js';

/** Compiles value and mask of one attribute, both of the row's length. */
type SetCompiler = (out: ProgramBuilder, value: Uint8Array, mask: Uint8Array) => void;

interface SetRow {
  readonly name: string;
  /** Bytes of the value. */
  readonly length: number;
  readonly compile: SetCompiler;
  /** There is no masked form. */
  readonly exactOnly?: true;
}

/** A pair of words: value and mask in network order. */
const pair = (value: Uint8Array, mask: Uint8Array, at: number): [number, number] => [
  net32(value, at),
  net32(mask, at),
];

/** Pairs of `count` words from `at` on. */
function pairs(value: Uint8Array, mask: Uint8Array, at: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => pair(value, mask, at + i * 4)).flat();
}

/** The 6 bytes at `at`, as 2 pairs with the last bytes in the upper half of the second. */
function addressPairs(value: Uint8Array, mask: Uint8Array, at: number): number[] {
  return [...pair(value, mask, at), net16(value, at + 4) << 16, net16(mask, at + 4) << 16];
}

const metadata =
  (word: number): SetCompiler =>
  (out, value, mask) =>
    out.metadata(op.OP_SET_METADATA, word, host32(value) | 0, host32(mask) | 0);

const ports =
  (opcode: number): SetCompiler =>
  (out, value, mask) =>
    out.change(opcode, ...pair(value, mask, 0));

const icmp: SetCompiler = (out, value) => out.change(change.OP_SET_ICMP, net16(value));

/** struct ovs_key_ethernet has the source first, a frame the destination. */
const eth: SetCompiler = (out, value, mask) => {
  const wire = (key: Uint8Array): Uint8Array => Uint8Array.of(...key.subarray(6), ...key.subarray(0, 6));
  out.change(change.OP_SET_ETH, ...pairs(wire(value), wire(mask), 0, 3));
};

/** struct ovs_key_ipv4: src, dst, proto, tos, ttl, frag. Protocol and fragment bits say what the packet is; not set. */
const ipv4: SetCompiler = (out, value, mask) =>
  out.change(change.OP_SET_IPV4, ...pairs(value, mask, 0, 2), net16(value, 9), net16(mask, 9));

/** struct ovs_key_ipv6: src, dst, label, proto, tclass, hlimit, frag. */
const ipv6: SetCompiler = (out, value, mask) => {
  const classAndLabel = (key: Uint8Array): number => (key[37]! << 20) | (net32(key, 32) & 0xfffff);
  out.change(
    change.OP_SET_IPV6,
    ...pairs(value, mask, 0, 8),
    classAndLabel(value),
    classAndLabel(mask),
    value[38]!,
    mask[38]!,
  );
};

/** struct ovs_key_arp: sip, tip, op, sha, tha. On the wire from byte 6 on: op, sha, sip, tha, tip. */
const arp: SetCompiler = (out, value, mask) => {
  const wire = (key: Uint8Array): Uint8Array =>
    Uint8Array.of(
      0,
      0,
      ...key.subarray(8, 10),
      ...key.subarray(10, 16),
      ...key.subarray(0, 4),
      ...key.subarray(16, 22),
      ...key.subarray(4, 8),
    );
  out.change(change.OP_SET_ARP, ...pairs(wire(value), wire(mask), 0, 6));
};

const nd: SetCompiler = (out, value, mask) =>
  out.change(
    change.OP_SET_ND,
    ...pairs(value, mask, 0, 4),
    ...addressPairs(value, mask, 16),
    ...addressPairs(value, mask, 22),
  );

/** struct ovs_key_nd_extensions: reserved, options type. Any bit of a mask stands for the whole field. */
const ndExtensions: SetCompiler = (out, value, mask) =>
  out.change(change.OP_SET_ND_EXT, net32(value), net32(mask) === 0 ? 0 : 1, value[4]!, mask[4] === 0 ? 0 : 1);

/** Rows of struct length: padding included, as uapi/linux/openvswitch.h lays them out. */
const ROWS: ReadonlyMap<number, SetRow> = new Map<number, SetRow>([
  [KEY_ATTR.PRIORITY, { name: 'skb_priority', length: 4, compile: metadata(W_SKB_PRIORITY) }],
  [KEY_ATTR.SKB_MARK, { name: 'skb_mark', length: 4, compile: metadata(W_SKB_MARK) }],
  [KEY_ATTR.DP_HASH, { name: 'dp_hash', length: 4, compile: metadata(W_DP_HASH) }],
  [KEY_ATTR.RECIRC_ID, { name: 'recirc_id', length: 4, compile: metadata(W_RECIRC_ID) }],
  [KEY_ATTR.ETHERNET, { name: 'eth', length: 12, compile: eth }],
  [KEY_ATTR.IPV4, { name: 'ipv4', length: 12, compile: ipv4 }],
  [KEY_ATTR.IPV6, { name: 'ipv6', length: 40, compile: ipv6 }],
  [KEY_ATTR.TCP, { name: 'tcp', length: 4, compile: ports(change.OP_SET_TCP) }],
  [KEY_ATTR.UDP, { name: 'udp', length: 4, compile: ports(change.OP_SET_UDP) }],
  [KEY_ATTR.SCTP, { name: 'sctp', length: 4, compile: ports(change.OP_SET_SCTP) }],
  [KEY_ATTR.ICMP, { name: 'icmp', length: 2, compile: icmp, exactOnly: true }],
  [KEY_ATTR.ICMPV6, { name: 'icmpv6', length: 2, compile: icmp, exactOnly: true }],
  [KEY_ATTR.ARP, { name: 'arp', length: 24, compile: arp }],
  [KEY_ATTR.ND, { name: 'nd', length: 28, compile: nd }],
  [KEY_ATTR.ND_EXTENSIONS, { name: 'nd_ext', length: 8, compile: ndExtensions }],
  [
    KEY_ATTR.MPLS,
    {
      name: 'mpls',
      length: 4,
      compile: (out, value, mask) => out.change(change.OP_SET_MPLS, ...pair(value, mask, 0)),
    },
  ],
]);

/** Compiles the payload of a set action, masked or not. Throws a `DpifError` (EINVAL) for what cannot be set. */
export function compileSet(out: ProgramBuilder, payload: Uint8Array, masked: boolean): void {
  const name = masked ? 'set_masked' : 'set';
  const reader = new NlReader(payload);
  if (!reader.next()) throw invalid(`action ${name} holds no key attribute`);
  const key = { type: reader.type, bytes: reader.payload() };
  if (reader.next() || reader.leftover !== 0) {
    throw invalid(`action ${name} holds more than one key attribute; it must hold one`);
  }
  if (key.type === KEY_ATTR.TUNNEL && !masked) compileTunnel(out, key);
  else if (key.type === KEY_ATTR.NSH) compileNsh(out, key, masked);
  else compileRow(out, name, key, masked);
}

function compileRow(out: ProgramBuilder, name: string, key: Payload, masked: boolean): void {
  const row = ROWS.get(key.type);
  if (row === undefined || (masked && row.exactOnly)) {
    throw invalid(`action ${name} cannot be applied to key attribute ${key.type}`);
  }
  const wanted = masked ? row.length * 2 : row.length;
  if (key.bytes.length !== wanted) {
    throw invalid(
      `action ${name} of ${row.name} has ${key.bytes.length} bytes of key; it must have ${wanted}`,
    );
  }
  row.compile(
    out,
    key.bytes.subarray(0, row.length),
    masked ? key.bytes.subarray(row.length) : ones(row.length),
  );
}

const ones = (length: number): Uint8Array => new Uint8Array(length).fill(0xff);

/** Replaces all tunnel metadata. */
function compileTunnel(out: ProgramBuilder, { bytes }: Payload): void {
  const row = new Int32Array(KEY_WORDS);
  const { fitness } = tunnelToFlow(bytes, 0, bytes.length, row, 0, false);
  let end = KEY_WORDS;
  while (end > W_TUN_ID && row[end - 1] === 0) end--;
  if (fitness === 'error' || end === W_TUN_ID)
    throw invalid('action set of a tunnel holds no well-formed tunnel key');
  out.metadata(op.OP_SET_TUNNEL, end - W_TUN_ID, ...row.subarray(W_TUN_ID, end));
}

/** The NSH attribute is nested, and so are value and mask: each part has both. */
function compileNsh(out: ProgramBuilder, { bytes }: Payload, masked: boolean): void {
  const value = new Uint8Array(24);
  const mask = masked ? new Uint8Array(24) : ones(24);
  const parts = new NlReader(bytes);
  let based = false;
  while (parts.next()) {
    const length = parts.type === NSH_ATTR.BASE ? 8 : parts.type === NSH_ATTR.MD1 ? 16 : -1;
    if (parts.length !== (masked ? length * 2 : length)) {
      throw invalid(
        `action set of nsh holds part ${parts.type} of ${parts.length} bytes, which cannot be set`,
      );
    }
    const at = parts.type === NSH_ATTR.BASE ? 0 : 8;
    const part = parts.payload();
    value.set(part.subarray(0, length), at);
    if (masked) mask.set(part.subarray(length), at);
    based ||= parts.type === NSH_ATTR.BASE;
  }
  if (parts.leftover !== 0 || !based) throw invalid('action set of nsh has no well-formed base header');
  out.change(change.OP_SET_NSH, nshFirst(value), nshFirst(mask), ...pairs(value, mask, 4, 5));
}

/** Flags and TTL of the base where the first word of the header has them (RFC 8300, section 2.2); the rest is not set. */
function nshFirst(base: Uint8Array): number {
  return ((base[0]! & 3) << 28) | ((base[1]! & 0x3f) << 22);
}
