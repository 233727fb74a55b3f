/**
 * Changes of IPv4 (RFC 791) and IPv6 (RFC 8200) headers, with the checksums that cover them. Hot: no allocation, no
 * throw.
 *
 * Checksums are updated by what changed (RFC 1624), never computed anew: a packet that came with a wrong checksum
 * leaves with one that is wrong by the same amount, so that the receiver still notices.
 */

import { update16, update32, update128 } from './checksum.hot.js';
import { inPacket, isPartial, l4Size, type PacketState, setWords } from './modify.hot.js';

const PROTO_HOP_BY_HOP = 0;
const PROTO_TCP = 6;
const PROTO_UDP = 17;
const PROTO_ROUTING = 43;
const PROTO_FRAGMENT = 44;
const PROTO_AH = 51;
const PROTO_ICMPV6 = 58;
const PROTO_DESTINATION = 60;

const IPV6_HEADER = 40;
const TCP_HEADER = 20;
const UDP_HEADER = 8;
/** Down to the checksum: all of ICMPv6 that must be there for an address change. */
const ICMPV6_HEADER = 4;

/** Fragment offset and "more fragments" of an IPv6 fragment header, and what the first of several has there. */
const IPV6_FRAGMENT = 0xfff9;
const IPV6_FIRST_FRAGMENT = 1;

/** What {@link ipv6Transport} gives when no checksum is to follow the addresses. */
export const NO_TRANSPORT = -1;

/** Sets addresses, TOS and TTL; operands of OP_SET_IPV4 at `at`. */
export function setIpv4(p: PacketState, code: Int32Array, at: number): void {
  setIpv4Address(p, 12, code[at]!, code[at + 1]!);
  setIpv4Address(p, 16, code[at + 2]!, code[at + 3]!);
  const value = code[at + 4]!;
  const mask = code[at + 5]!;
  if ((mask & 0xff00) !== 0) setIpv4Byte(p, 1, value >>> 8, mask >>> 8);
  if ((mask & 0xff) !== 0) setIpv4Byte(p, 8, value & 0xff, mask & 0xff);
}

function setIpv4Address(p: PacketState, offset: number, value: number, mask: number): void {
  if (mask === 0 || !inPacket(p, p.l3, offset + 4)) return;
  const { view } = p;
  const header = p.data + p.l3;
  const before = view.getInt32(header + offset);
  const after = value | (before & ~mask);
  if (after === before) return;
  if (!p.laterFragment) {
    const proto = view.getUint8(header + 9);
    const size = l4Size(p);
    const l4 = p.data + p.l4;
    if (proto === PROTO_TCP && size >= TCP_HEADER) {
      addressChecksum(p, l4 + 16, before, after);
    } else if (proto === PROTO_UDP && size >= UDP_HEADER && view.getUint16(l4 + 6) !== 0) {
      addressChecksum(p, l4 + 6, before, after);
      noZeroChecksum(p, l4 + 6);
    }
  }
  view.setUint16(header + 10, update32(view.getUint16(header + 10), before, after));
  view.setInt32(header + offset, after);
}

/** A transport checksum after an IPv4 address of its pseudo header changed. */
function addressChecksum(p: PacketState, at: number, before: number, after: number): void {
  const checksum = p.view.getUint16(at);
  if (isPartial(p)) {
    // The field holds the sum itself, so it grows by the difference where a checksum shrinks.
    p.view.setUint16(at, ~update32(~checksum & 0xffff, before, after) & 0xffff);
  } else {
    p.view.setUint16(at, update32(checksum, before, after));
  }
}

/** 0 in a UDP header means "no checksum" (RFC 768): a checksum that came out as 0 is sent as 0xffff. */
export function noZeroChecksum(p: PacketState, at: number): void {
  if (p.view.getUint16(at) === 0) p.view.setUint16(at, 0xffff);
}

/** TOS (`offset` 1) or TTL (8). */
function setIpv4Byte(p: PacketState, offset: number, value: number, mask: number): void {
  if (!inPacket(p, p.l3, offset + 1)) return;
  const header = p.data + p.l3;
  const before = p.view.getUint8(header + offset);
  const after = value | (before & ~mask);
  if (after === before) return;
  p.view.setUint8(header + offset, after);
  // A packet may end between the byte and the checksum field at 10.
  if (!inPacket(p, p.l3, 12)) return;
  const shift = offset === 8 ? 8 : 0;
  p.view.setUint16(header + 10, update16(p.view.getUint16(header + 10), before << shift, after << shift));
}

/** Sets addresses, label, traffic class and hop limit; operands of OP_SET_IPV6 at `at`. */
export function setIpv6(p: PacketState, code: Int32Array, at: number): void {
  if (p.l3 < 0) return;
  if (inPacket(p, p.l3, IPV6_HEADER)) {
    const transport = ipv6Transport(p);
    setAddress(p, p.l3 + 8, code, at, transport);
    setAddress(p, p.l3 + 24, code, at + 8, transport);
  } else {
    // No transport header follows, so no checksum covers what there is of the addresses.
    setWords(p, p.l3 + 8, code, at, 8);
  }
  // Class and label are the first word; the hop limit is the last byte of the second.
  setWords(p, p.l3, code, at + 16, 2);
}

/**
 * Sets the 16 bytes at `offset` from the packet's first byte, by 4 pairs at `at` of `code`, and adjusts the checksum
 * of protocol `transport` ({@link NO_TRANSPORT}: none).
 */
export function setAddress(
  p: PacketState,
  offset: number,
  code: Int32Array,
  at: number,
  transport: number,
): void {
  const { view } = p;
  const address = p.data + offset;
  const before0 = view.getInt32(address);
  const before1 = view.getInt32(address + 4);
  const before2 = view.getInt32(address + 8);
  const before3 = view.getInt32(address + 12);
  const after0 = code[at]! | (before0 & ~code[at + 1]!);
  const after1 = code[at + 2]! | (before1 & ~code[at + 3]!);
  const after2 = code[at + 4]! | (before2 & ~code[at + 5]!);
  const after3 = code[at + 6]! | (before3 & ~code[at + 7]!);
  if (after0 === before0 && after1 === before1 && after2 === before2 && after3 === before3) return;
  const field = checksumField(p, transport);
  if (field >= 0) {
    const checksum = view.getUint16(field);
    const partial = isPartial(p);
    const updated = update128(
      partial ? ~checksum & 0xffff : checksum,
      before0,
      before1,
      before2,
      before3,
      after0,
      after1,
      after2,
      after3,
    );
    view.setUint16(field, partial ? ~updated & 0xffff : updated);
    if (transport === PROTO_UDP) noZeroChecksum(p, field);
  }
  view.setInt32(address, after0);
  view.setInt32(address + 4, after1);
  view.setInt32(address + 8, after2);
  view.setInt32(address + 12, after3);
}

/** Where in the arena the checksum is that covers IPv6 addresses; -1 when there is none. */
function checksumField(p: PacketState, proto: number): number {
  const size = l4Size(p);
  const l4 = p.data + p.l4;
  if (proto === PROTO_TCP) return size >= TCP_HEADER ? l4 + 16 : -1;
  if (proto === PROTO_ICMPV6) return size >= ICMPV6_HEADER ? l4 + 2 : -1;
  return proto === PROTO_UDP && size >= UDP_HEADER && p.view.getUint16(l4 + 6) !== 0 ? l4 + 6 : -1;
}

/**
 * Walks the extension headers between the network and the transport offset: the protocol whose checksum covers the
 * addresses, or {@link NO_TRANSPORT}.
 *
 * As in Open vSwitch, there is none behind a routing header with segments left. That is right for the destination,
 * since the final one stands in that header, but lets the checksum go wrong with the source. Nor is there one behind a
 * fragment header that is not that of the first of several: right for later fragments, wrong for a whole packet with
 * such a header (RFC 6946).
 */
function ipv6Transport(p: PacketState): number {
  let at = p.data + p.l3 + IPV6_HEADER;
  let left = p.l4 - p.l3 - IPV6_HEADER;
  if (left < 0 || p.l4 > p.length) return NO_TRANSPORT;
  let proto = p.view.getUint8(p.data + p.l3 + 6);
  while (
    proto === PROTO_HOP_BY_HOP ||
    proto === PROTO_ROUTING ||
    proto === PROTO_DESTINATION ||
    proto === PROTO_AH ||
    proto === PROTO_FRAGMENT
  ) {
    if (left < 8) return NO_TRANSPORT;
    const word = p.view.getInt32(at);
    let header = (((word >>> 16) & 0xff) + 1) * 8;
    if (proto === PROTO_AH) header = (((word >>> 16) & 0xff) + 2) * 4;
    else if (proto === PROTO_ROUTING && (word & 0xff) !== 0) return NO_TRANSPORT;
    else if (proto === PROTO_FRAGMENT) {
      if ((word & IPV6_FRAGMENT) !== IPV6_FIRST_FRAGMENT) return NO_TRANSPORT;
      header = 8;
    }
    proto = word >>> 24;
    at += header;
    left -= header;
    if (left < 0) return NO_TRANSPORT;
  }
  return proto;
}
