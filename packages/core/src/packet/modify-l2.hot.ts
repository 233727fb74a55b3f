/**
 * Changes below IP: Ethernet, VLAN (IEEE 802.1Q), MPLS (RFC 3032), ARP (RFC 826) and NSH (RFC 8300). Hot: no
 * allocation, no throw. Functions that may have to refuse return false and leave the packet as it was; others do
 * nothing where the header they are about is absent.
 */

import { OFFLOAD_CSUM_VALID } from './batch.hot.js';
import {
  canRemove,
  inPacket,
  moveStart,
  type PacketState,
  PT_ETHERNET,
  PT_ETHERTYPE,
  resetLayers,
  setWords,
} from './modify.hot.js';

/** Bytes that each push adds. */
export const ETH_HEADER = 14;
export const VLAN_TAG = 4;
export const MPLS_ENTRY = 4;

const ETH_ADDRESSES = 12;
const ETH_TYPE_CTAG = 0x8100;
const ETH_TYPE_STAG = 0x88a8;
/** Transparent Ethernet bridging: an Ethernet frame follows the label stack. */
const ETH_TYPE_TEB = 0x6558;
const MPLS_BOTTOM = 0x100;

const PT_IPV4 = PT_ETHERTYPE | 0x0800;
const PT_IPV6 = PT_ETHERTYPE | 0x86dd;
const PT_NSH = PT_ETHERTYPE | 0x894f;
/** Next protocols of NSH (RFC 8300, section 2.2; 3 is Ethernet, 4 is NSH). */
const NSH_NEXT_IPV4 = 1;
const NSH_NEXT_IPV6 = 2;
const NSH_NEXT_ETHERNET = 3;
const NSH_NEXT_NSH = 4;
const NSH_MD_TYPE_1 = 1;
const NSH_BASE = 8;

/**
 * Whether there is an Ethernet header to work on. As in Open vSwitch there is none where a parser found none: in a
 * frame of fewer than 14 bytes, and in one that came out of an NSH and was not parsed yet.
 */
const hasEth = (p: PacketState): boolean => p.packetType === PT_ETHERNET && p.l3 >= 0;

/** Sets the addresses of an Ethernet packet; operands of OP_SET_ETH at `at`. */
export function setEth(p: PacketState, code: Int32Array, at: number): void {
  if (hasEth(p)) setWords(p, 0, code, at, 3);
}

/** Needs {@link ETH_HEADER} bytes of room; refuses a packet that has an Ethernet header. */
export function pushEth(p: PacketState, code: Int32Array, at: number): boolean {
  if (p.packetType === PT_ETHERNET) return false;
  moveStart(p, ETH_HEADER);
  if (p.l2_5 >= 0) p.l2_5 += ETH_HEADER;
  p.view.setInt32(p.data, code[at]!);
  p.view.setInt32(p.data + 4, code[at + 1]!);
  p.view.setInt32(p.data + 8, code[at + 2]!);
  p.view.setUint16(p.data + 12, p.packetType & 0xffff);
  p.packetType = PT_ETHERNET;
  return true;
}

/** Removes everything in front of the label stack or the network header, VLAN tags included. */
export function popEth(p: PacketState): boolean {
  const bytes = p.l2_5 >= 0 ? p.l2_5 : p.l3;
  if (p.packetType !== PT_ETHERNET || bytes < ETH_HEADER || !canRemove(p, bytes)) return false;
  const type = p.view.getUint16(p.data + bytes - 2);
  moveStart(p, -bytes);
  if (p.l2_5 >= 0) p.l2_5 -= bytes;
  p.packetType = PT_ETHERTYPE | type;
  return true;
}

/** Needs {@link VLAN_TAG} bytes of room. The tag stands in front of all others; its CFI bit is written as 0. */
export function pushVlan(p: PacketState, tag: number): void {
  if (!inPacket(p, 0, ETH_ADDRESSES)) return;
  moveStart(p, VLAN_TAG);
  if (p.l2_5 >= 0) p.l2_5 += VLAN_TAG;
  moveAddresses(p, p.data + VLAN_TAG, p.data);
  p.view.setInt32(p.data + ETH_ADDRESSES, tag & ~0x1000);
}

/** Removes the outermost tag, if there is one with an Ethertype behind it. */
export function popVlan(p: PacketState): void {
  if (!hasEth(p) || !inPacket(p, 0, ETH_HEADER + VLAN_TAG)) return;
  const type = p.view.getUint16(p.data + ETH_ADDRESSES);
  if (type !== ETH_TYPE_CTAG && type !== ETH_TYPE_STAG) return;
  moveAddresses(p, p.data, p.data + VLAN_TAG);
  moveStart(p, -VLAN_TAG);
  if (p.l2_5 >= 0) p.l2_5 -= VLAN_TAG;
}

/** The 12 bytes of both Ethernet addresses; the ranges may overlap. */
function moveAddresses(p: PacketState, from: number, to: number): void {
  const first = p.view.getInt32(from);
  const second = p.view.getInt32(from + 4);
  const third = p.view.getInt32(from + 8);
  p.view.setInt32(to, first);
  p.view.setInt32(to + 4, second);
  p.view.setInt32(to + 8, third);
}

/** The Ethertype that says what follows the tags. A length field of 802.3 counts as one and is overwritten. */
function setEthertype(p: PacketState, type: number): void {
  if (!hasEth(p) || !inPacket(p, 0, ETH_HEADER)) return;
  let at = ETH_ADDRESSES;
  const first = p.view.getUint16(p.data + at);
  if (first === ETH_TYPE_CTAG || first === ETH_TYPE_STAG) at = (p.l2_5 >= 0 ? p.l2_5 : p.l3) - 2;
  if (inPacket(p, at, 2)) p.view.setUint16(p.data + at, type);
}

/** Needs {@link MPLS_ENTRY} bytes of room; refuses a packet whose network header is unknown. */
export function pushMpls(p: PacketState, type: number, entry: number): boolean {
  const stack = p.l2_5 >= 0 ? p.l2_5 : p.l3;
  if (stack < 0 || stack > p.length) return false;
  p.l2_5 = stack;
  setEthertype(p, type);
  p.arena.bytes.copyWithin(p.data - MPLS_ENTRY, p.data, p.data + stack);
  moveStart(p, MPLS_ENTRY);
  p.view.setInt32(p.data + stack, entry);
  return true;
}

/** Needs {@link MPLS_ENTRY} bytes of room: the entry in front of everything, what was an Ethernet frame included. */
export function addMpls(p: PacketState, type: number, entry: number): void {
  moveStart(p, MPLS_ENTRY);
  p.l2_5 = 0;
  p.packetType = PT_ETHERTYPE | type;
  p.view.setInt32(p.data, entry);
}

/** Removes the outermost label stack entry, if there is a stack; refuses one that takes up all of the packet. */
export function popMpls(p: PacketState, type: number): boolean {
  const stack = p.l2_5;
  if (stack < 0) return true;
  if (!canRemove(p, MPLS_ENTRY)) return false;
  const bottom = inPacket(p, stack, MPLS_ENTRY) && (p.view.getInt32(p.data + stack) & MPLS_BOTTOM) !== 0;
  setEthertype(p, type);
  if (bottom) p.l2_5 = -1;
  // A stack that a short frame only announces is cut off at the end of the frame, as it would be at its start.
  const front = Math.min(stack, p.length - MPLS_ENTRY);
  p.arena.bytes.copyWithin(p.data + MPLS_ENTRY, p.data, p.data + front);
  moveStart(p, -MPLS_ENTRY);
  if (stack === 0) p.packetType = type === ETH_TYPE_TEB ? PT_ETHERNET : PT_ETHERTYPE | type;
  return true;
}

/** Sets the outermost label stack entry; operands of OP_SET_MPLS at `at`. */
export function setMpls(p: PacketState, code: Int32Array, at: number): void {
  if (p.l2_5 >= 0) setWords(p, p.l2_5, code, at, 1);
}

/** Sets fields of an ARP packet; operands of OP_SET_ARP at `at`. */
export function setArp(p: PacketState, code: Int32Array, at: number): void {
  if (p.l3 < 0) return;
  setWords(p, p.l3 + 4, code, at, 6);
  // On a packet that is not ARP these bytes are under somebody's checksum.
  p.offload &= ~OFFLOAD_CSUM_VALID;
}

/** Needs room for the header of `words` words at `at` of `code`. Refuses packets that NSH has no next protocol for. */
export function pushNsh(p: PacketState, code: Int32Array, at: number, words: number): boolean {
  const next = nshNext(p.packetType);
  if (next === 0) return false;
  moveStart(p, words * 4);
  for (let word = 0; word < words; word++) p.view.setInt32(p.data + word * 4, code[at + word]!);
  p.view.setUint8(p.data + 3, next);
  p.packetType = PT_NSH;
  resetLayers(p);
  p.l3 = 0;
  return true;
}

function nshNext(packetType: number): number {
  if (packetType === PT_ETHERNET) return NSH_NEXT_ETHERNET;
  if (packetType === PT_IPV4) return NSH_NEXT_IPV4;
  if (packetType === PT_IPV6) return NSH_NEXT_IPV6;
  return packetType === PT_NSH ? NSH_NEXT_NSH : 0;
}

/**
 * Removes the NSH from the front of an NSH packet; refuses an unknown next protocol or an impossible length. What they
 * are is read at the network layer, which is not the front when a tag was pushed onto the NSH.
 */
export function popNsh(p: PacketState): boolean {
  if (p.packetType !== PT_NSH || p.l3 < 0) return true;
  if (!inPacket(p, p.l3, NSH_BASE)) return false;
  const bytes = (p.view.getUint8(p.data + p.l3 + 1) & 0x3f) * 4;
  const next = p.view.getUint8(p.data + p.l3 + 3);
  let type = PT_ETHERNET;
  if (next === NSH_NEXT_IPV4) type = PT_IPV4;
  else if (next === NSH_NEXT_IPV6) type = PT_IPV6;
  else if (next === NSH_NEXT_NSH) type = PT_NSH;
  else if (next !== NSH_NEXT_ETHERNET) return false;
  if (!canRemove(p, bytes)) return false;
  moveStart(p, -bytes);
  p.packetType = type;
  resetLayers(p);
  return true;
}

/** Sets fields of the NSH at the network layer; operands of OP_SET_NSH at `at`. */
export function setNsh(p: PacketState, code: Int32Array, at: number): void {
  if (p.l3 < 0) return;
  setWords(p, p.l3, code, at, 2);
  if (inPacket(p, p.l3, NSH_BASE) && (p.view.getUint8(p.data + p.l3 + 2) & 0x0f) === NSH_MD_TYPE_1) {
    setWords(p, p.l3 + NSH_BASE, code, at + 4, 4);
  }
  p.offload &= ~OFFLOAD_CSUM_VALID;
}
