/**
 * Composition: from a flow key to a frame that has it, for tests, traffic generators and `netdev-dummy/receive` with
 * flow text. The inverse of extraction, on the control path; byte for byte what Open vSwitch composes.
 */

import {
  KEY_WORDS,
  W_ARP_HA,
  W_ETH,
  W_IGMP_GROUP,
  W_IPV6_DST,
  W_IPV6_LABEL,
  W_IPV6_SRC,
  W_MPLS,
  W_ND_TARGET,
  W_NW_DST,
  W_NW_SRC,
  W_TOS_TTL_FLAGS,
  W_TP,
  W_TYPE_FRAG_PROTO,
  W_VLAN0,
  W_VLAN1,
} from '@etherloom/odp-codec';
import { finish, pseudoSum4, pseudoSum6, sum } from './checksum.hot.js';

export interface ComposeOptions {
  /**
   * Bytes 0, 1, 2, ... 255, 0, ... behind a UDP header, a TCP header without SYN, FIN and RST, or an ICMP or ICMPv6 echo;
   * no other packet has a payload. 0..65000, default 64. Not used when `length` is given.
   */
  readonly payloadLength?: number;
  /** Length of the whole frame, up to 65535: headers, then zeros. */
  readonly length?: number;
}

const DEFAULT_PAYLOAD = 64;
const MAX_PAYLOAD = 65_000;
const MAX_FRAME = 65_535;
/** Ethernet with two tags, IPv6, and a neighbour message with both options: 22 + 40 + 40, rounded up. */
const MAX_HEADERS = 128;

const ETH_TYPE_NONE = 0x5ff;
const ETH_TYPE_IPV4 = 0x0800;
const ETH_TYPE_ARP = 0x0806;
const ETH_TYPE_RARP = 0x8035;
const ETH_TYPE_IPV6 = 0x86dd;
const ETH_TYPE_MPLS = 0x8847;
const ETH_TYPE_MPLS_MULTICAST = 0x8848;
const VLAN_PRESENT = 0x1000;
const FRAG_ANY = 1;
const FRAG_LATER = 3;
const MORE_FRAGMENTS = 0x2000;
/** Fragment offset of a later fragment, in 8 bytes. */
const LATER_OFFSET = 100;
const TCP_FIN_SYN_RST = 0x007;
const BOTTOM_OF_STACK = 0x100;

const PROTO_ICMP = 1;
const PROTO_IGMP = 2;
const PROTO_TCP = 6;
const PROTO_UDP = 17;
const PROTO_ICMPV6 = 58;
const PROTO_SCTP = 132;

/**
 * The Ethernet frame of the flow whose packed key is `words` (metadata and packet type do not matter), with right lengths
 * and checksums. The caller owns the result.
 *
 * Extraction gives a key that it made back, except for what Open vSwitch does not compose either: NSH headers, IPv6
 * fragment headers, the addresses of ARP operations other than request and reply, the tags of a frame without EtherType
 * (802.3), and the option type of a neighbour message. That becomes the type of the first option that is written, and
 * options are written for addresses that are not zero, source before target: so an option with the address zero is lost,
 * and of a target option in front of a source option the source option is what extraction sees first.
 *
 * An SCTP checksum is 0. Open vSwitch adds the filling of `length` to a UDP length twice; this does it once (RFC 768).
 *
 * Throws a `RangeError` for a row of less than {@link KEY_WORDS}, for options out of range and for a `length` that the
 * headers exceed.
 */
export function composePacket(words: Int32Array, options: ComposeOptions = {}): Uint8Array {
  const { length, payloadLength = DEFAULT_PAYLOAD } = options;
  if (words.length < KEY_WORDS) {
    throw new RangeError(`a packed key of ${words.length} words is too short: give a row of ${KEY_WORDS}`);
  }
  checkRange('payload', payloadLength, MAX_PAYLOAD);
  if (length !== undefined) checkRange('frame', length, MAX_FRAME);
  const payload = length === undefined ? payloadLength : 0;
  const view = new DataView(new ArrayBuffer(MAX_HEADERS + (length ?? payload)));
  const l3 = linkLayer(words, view);
  const headersEnd = networkLayer(words, view, l3, payload);
  if (length !== undefined && length < headersEnd) {
    throw new RangeError(
      `a frame of ${length} bytes is too short: the headers of this flow take ${headersEnd}`,
    );
  }
  const end = length ?? headersEnd;
  complete(words, view, l3, end);
  return new Uint8Array(view.buffer, 0, end).slice();
}

function checkRange(what: string, length: number, most: number): void {
  if (Number.isInteger(length) && length >= 0 && length <= most) return;
  throw new RangeError(`${what} length ${length} is out of range: give a whole number from 0 to ${most}`);
}

const ethType = (words: Int32Array): number => words[W_TYPE_FRAG_PROTO]! >>> 16;
const fragment = (words: Int32Array): number => (words[W_TYPE_FRAG_PROTO]! >>> 8) & FRAG_LATER;
const protocol = (words: Int32Array): number => words[W_TYPE_FRAG_PROTO]! & 0xff;
const tos = (words: Int32Array): number => words[W_TOS_TTL_FLAGS]! >>> 24;
const ttl = (words: Int32Array): number => (words[W_TOS_TTL_FLAGS]! >>> 16) & 0xff;

/** Copies `count` words of a row to `at`; returns the offset behind them. */
function put(words: Int32Array, word: number, count: number, view: DataView, at: number): number {
  for (let i = 0; i < count; i++) view.setInt32(at + i * 4, words[word + i]!);
  return at + count * 4;
}

/** Addresses, tags and type; the functions here return the offset behind what they wrote. */
function linkLayer(words: Int32Array, view: DataView): number {
  let at = put(words, W_ETH, 3, view, 0);
  const type = ethType(words);
  if (type !== ETH_TYPE_NONE) {
    for (const tag of [words[W_VLAN0]!, words[W_VLAN1]!]) {
      if ((tag & VLAN_PRESENT) === 0) continue;
      view.setInt32(at, tag & ~VLAN_PRESENT);
      at += 4;
    }
  }
  view.setUint16(at, type);
  return at + 2;
}

function networkLayer(words: Int32Array, view: DataView, at: number, payload: number): number {
  switch (ethType(words)) {
    case ETH_TYPE_IPV4:
      return transport(words, view, ipv4(words, view, at), payload);
    case ETH_TYPE_IPV6:
      return transport(words, view, ipv6(words, view, at), payload);
    case ETH_TYPE_ARP:
    case ETH_TYPE_RARP:
      return arp(words, view, at);
    case ETH_TYPE_MPLS:
    case ETH_TYPE_MPLS_MULTICAST:
      return labelStack(words, view, at);
    default:
      return at;
  }
}

/** Without total length and checksum. */
function ipv4(words: Int32Array, view: DataView, at: number): number {
  view.setUint16(at, 0x4500 | tos(words));
  const frag = fragment(words);
  if ((frag & FRAG_ANY) !== 0) {
    view.setUint16(at + 6, frag === FRAG_LATER ? MORE_FRAGMENTS | LATER_OFFSET : MORE_FRAGMENTS);
  }
  view.setUint8(at + 8, ttl(words));
  view.setUint8(at + 9, protocol(words));
  put(words, W_NW_SRC, 1, view, at + 12);
  return put(words, W_NW_DST, 1, view, at + 16);
}

/** Without payload length. */
function ipv6(words: Int32Array, view: DataView, at: number): number {
  view.setInt32(at, (6 << 28) | (tos(words) << 20) | (words[W_IPV6_LABEL]! & 0xfffff));
  view.setUint8(at + 6, protocol(words));
  view.setUint8(at + 7, ttl(words));
  put(words, W_IPV6_SRC, 4, view, at + 8);
  return put(words, W_IPV6_DST, 4, view, at + 24);
}

function arp(words: Int32Array, view: DataView, at: number): number {
  const operation = protocol(words);
  view.setInt32(at, 0x00010800);
  view.setInt32(at + 4, 0x06040000 | operation);
  if (operation === 1 || operation === 2) {
    put(words, W_ARP_HA, 1, view, at + 8);
    view.setUint16(at + 12, words[W_ARP_HA + 1]! >>> 16);
    put(words, W_NW_SRC, 1, view, at + 14);
    view.setUint16(at + 18, words[W_ARP_HA + 1]! & 0xffff);
    put(words, W_ARP_HA + 2, 1, view, at + 20);
    put(words, W_NW_DST, 1, view, at + 24);
  }
  return at + 28;
}

/** Entries down to the first that is the bottom of the stack, all three when none is. */
function labelStack(words: Int32Array, view: DataView, at: number): number {
  let entries = 1;
  while (entries < 3 && (words[W_MPLS + entries - 1]! & BOTTOM_OF_STACK) === 0) entries++;
  return put(words, W_MPLS, entries, view, at);
}

/** The transport header, without length and checksum, and the payload; nothing in a later fragment. */
function transport(words: Int32Array, view: DataView, at: number, payload: number): number {
  if (fragment(words) === FRAG_LATER) return at;
  switch (protocol(words)) {
    case PROTO_TCP: {
      const flags = words[W_TOS_TTL_FLAGS]! & 0xfff;
      put(words, W_TP, 1, view, at);
      view.setUint16(at + 12, 0x5000 | flags);
      return (flags & TCP_FIN_SYN_RST) === 0 ? pattern(view, at + 20, payload) : at + 20;
    }
    case PROTO_UDP:
      put(words, W_TP, 1, view, at);
      return pattern(view, at + 8, payload);
    case PROTO_SCTP:
      put(words, W_TP, 1, view, at);
      return at + 12;
    case PROTO_IGMP:
      typeAndCode(words, view, at);
      return put(words, W_IGMP_GROUP, 1, view, at + 4);
    case PROTO_ICMP: {
      const message = typeAndCode(words, view, at);
      return message === 0x0000 || message === 0x0800 ? pattern(view, at + 8, payload) : at + 8;
    }
    case PROTO_ICMPV6: {
      const message = typeAndCode(words, view, at);
      put(words, W_IGMP_GROUP, 1, view, at + 4);
      if (message === 0x8700 || message === 0x8800) return neighbour(words, view, at + 8);
      return message === 0x8000 || message === 0x8100 ? pattern(view, at + 8, payload) : at + 8;
    }
    default:
      return at;
  }
}

/** Writes ICMP type and code, and returns both as one 16-bit value. */
function typeAndCode(words: Int32Array, view: DataView, at: number): number {
  const message = ((words[W_TP]! >>> 8) & 0xff00) | (words[W_TP]! & 0xff);
  view.setUint16(at, message);
  return message;
}

/** Target of a neighbour message, and an option for each link-layer address that is not zero. */
function neighbour(words: Int32Array, view: DataView, at: number): number {
  let end = put(words, W_ND_TARGET, 4, view, at);
  const middle = words[W_ARP_HA + 1]!;
  if (words[W_ARP_HA]! !== 0 || middle >>> 16 !== 0) {
    view.setUint16(end, 0x0101);
    put(words, W_ARP_HA, 1, view, end + 2);
    view.setUint16(end + 6, middle >>> 16);
    end += 8;
  }
  if (words[W_ARP_HA + 2]! !== 0 || (middle & 0xffff) !== 0) {
    view.setUint16(end, 0x0201);
    view.setUint16(end + 2, middle & 0xffff);
    put(words, W_ARP_HA + 2, 1, view, end + 4);
    end += 8;
  }
  return end;
}

function pattern(view: DataView, at: number, length: number): number {
  for (let i = 0; i < length; i++) view.setUint8(at + i, i);
  return at + length;
}

/** Fills in what depends on where the frame ends: lengths, then checksums. */
function complete(words: Int32Array, view: DataView, l3: number, end: number): void {
  switch (ethType(words)) {
    case ETH_TYPE_NONE:
      // Open vSwitch writes the length of the frame, not of what follows the header; it means nothing to a key.
      view.setUint16(12, end);
      return;
    case ETH_TYPE_IPV4: {
      const l4 = l3 + 20;
      view.setUint16(l3 + 2, end - l3);
      view.setUint16(l3 + 10, finish(sum(view, l3, 20)));
      completeTransport(words, view, l4, end, pseudoSum4(view, l3, protocol(words), end - l4));
      return;
    }
    case ETH_TYPE_IPV6: {
      const l4 = l3 + 40;
      view.setUint16(l3 + 4, end - l4);
      completeTransport(words, view, l4, end, pseudoSum6(view, l3, protocol(words), end - l4));
      return;
    }
  }
}

function completeTransport(words: Int32Array, view: DataView, l4: number, end: number, pseudo: number): void {
  if (fragment(words) === FRAG_LATER) return;
  const length = end - l4;
  switch (protocol(words)) {
    case PROTO_TCP:
      view.setUint16(l4 + 16, finish(pseudo + sum(view, l4, length)));
      return;
    case PROTO_UDP:
      view.setUint16(l4 + 4, length);
      // 0 in the header means that there is no checksum, so 0 as a checksum is sent as its other form.
      view.setUint16(l4 + 6, finish(pseudo + sum(view, l4, length)) || 0xffff);
      return;
    case PROTO_ICMP:
    case PROTO_IGMP:
      view.setUint16(l4 + 2, finish(sum(view, l4, length)));
      return;
    case PROTO_ICMPV6:
      view.setUint16(l4 + 2, finish(pseudo + sum(view, l4, length)));
      return;
  }
}
