/**
 * Changes of transport headers: TCP, UDP, SCTP (RFC 9260), ICMP and ICMPv6, and of Neighbour Discovery messages
 * (RFC 4861). Hot: no allocation, no throw. Checksums follow as in modify-ip.hot.ts. A header that is not there in
 * full is left alone. What it is a header of is the flow's to know: the action does not ask for the protocol.
 */

import { crc32c, update16, update32 } from './checksum.hot.js';
import { isPartial, l4Size, type PacketState } from './modify.hot.js';
import { NO_TRANSPORT, noZeroChecksum, setAddress } from './modify-ip.hot.js';

const TCP_HEADER = 20;
const UDP_HEADER = 8;
const SCTP_HEADER = 12;
const ICMP_HEADER = 8;
const PROTO_ICMPV6 = 58;

const ND_MESSAGE = 24;
const ND_TARGET = 8;
const ND_OPTION = 8;
const ND_SOURCE_LINK_LAYER = 1;
const ND_TARGET_LINK_LAYER = 2;

/** Sets the ports; operands of OP_SET_TCP at `at`. */
export function setTcp(p: PacketState, code: Int32Array, at: number): void {
  const size = l4Size(p);
  if (size < TCP_HEADER) return;
  const l4 = p.data + p.l4;
  const header = (p.view.getUint8(l4 + 12) >>> 4) * 4;
  if (header < TCP_HEADER || header > size) return;
  setPorts(p, l4, code, at, l4 + 16);
}

/** Sets the ports; operands of OP_SET_UDP at `at`. */
export function setUdp(p: PacketState, code: Int32Array, at: number): void {
  if (l4Size(p) < UDP_HEADER) return;
  const l4 = p.data + p.l4;
  const summed = p.view.getUint16(l4 + 6) !== 0;
  setPorts(p, l4, code, at, summed ? l4 + 6 : -1);
  if (summed) noZeroChecksum(p, l4 + 6);
}

/** Both ports in one word, with the checksum field at `checksum` (-1 = there is none). */
function setPorts(p: PacketState, l4: number, code: Int32Array, at: number, checksum: number): void {
  const before = p.view.getInt32(l4);
  const after = code[at]! | (before & ~code[at + 1]!);
  if (after === before) return;
  if (checksum >= 0 && !isPartial(p)) {
    p.view.setUint16(checksum, update32(p.view.getUint16(checksum), before, after));
  }
  p.view.setInt32(l4, after);
}

/**
 * Sets the ports; operands of OP_SET_SCTP at `at`. CRC32c is linear, so the old checksum, xor what it should have been,
 * xor what it should be now is right if it was right, and as wrong as before if not. Costs two passes over the payload.
 */
export function setSctp(p: PacketState, code: Int32Array, at: number): void {
  const size = l4Size(p);
  if (size < SCTP_HEADER) return;
  const { view } = p;
  const l4 = p.data + p.l4;
  const before = view.getInt32(l4);
  const after = code[at]! | (before & ~code[at + 1]!);
  if (after === before) return;
  const checksum = view.getInt32(l4 + 8, true);
  view.setInt32(l4 + 8, 0);
  const right = crc32c(view, l4, size);
  view.setInt32(l4, after);
  const rightNow = crc32c(view, l4, size);
  view.setInt32(l4 + 8, isPartial(p) ? checksum : checksum ^ right ^ rightNow, true);
}

/** Sets type and code of ICMP or ICMPv6: `type << 8 | code`. */
export function setIcmp(p: PacketState, typeCode: number): void {
  if (l4Size(p) < ICMP_HEADER) return;
  const l4 = p.data + p.l4;
  const before = p.view.getUint16(l4);
  if (before === typeCode) return;
  icmpChecksum16(p, before, typeCode);
  p.view.setUint16(l4, typeCode);
}

/** The ICMP checksum after an aligned 16-bit word under it changed. */
function icmpChecksum16(p: PacketState, before: number, after: number): void {
  const field = p.data + p.l4 + 2;
  if (!isPartial(p)) p.view.setUint16(field, update16(p.view.getUint16(field), before, after));
}

/** Sets the target and the first link-layer address option; operands of OP_SET_ND at `at`. */
export function setNd(p: PacketState, code: Int32Array, at: number): void {
  const size = l4Size(p);
  if (size < ND_MESSAGE) return;
  const { view } = p;
  // A partial checksum sums the message later, target included.
  setAddress(p, p.l4 + ND_TARGET, code, at, isPartial(p) ? NO_TRANSPORT : PROTO_ICMPV6);
  const end = p.data + p.l4 + size;
  let option = p.data + p.l4 + ND_MESSAGE;
  while (option + ND_OPTION <= end) {
    const units = view.getUint8(option + 1);
    if (units === 0) return;
    if (units === 1) {
      const type = view.getUint8(option);
      if (type === ND_SOURCE_LINK_LAYER) {
        setLinkLayer(p, option + 2, code, at + 8);
        return;
      }
      if (type === ND_TARGET_LINK_LAYER) {
        setLinkLayer(p, option + 2, code, at + 12);
        return;
      }
    }
    option += units * ND_OPTION;
  }
}

function setLinkLayer(p: PacketState, address: number, code: Int32Array, at: number): void {
  const { view } = p;
  const high = view.getInt32(address);
  const low = view.getUint16(address + 4);
  const highAfter = code[at]! | (high & ~code[at + 1]!);
  const lowAfter = (code[at + 2]! >>> 16) | (low & ~(code[at + 3]! >>> 16));
  icmpChecksum16(p, high >>> 16, highAfter >>> 16);
  icmpChecksum16(p, high & 0xffff, highAfter & 0xffff);
  icmpChecksum16(p, low, lowAfter);
  view.setInt32(address, highAfter);
  view.setUint16(address + 4, lowAfter);
}

/** Sets the reserved word and the type of the first option of an ND message; operands of OP_SET_ND_EXT at `at`. */
export function setNdExt(p: PacketState, code: Int32Array, at: number): void {
  const size = l4Size(p);
  if (size < ND_MESSAGE) return;
  const { view } = p;
  const l4 = p.data + p.l4;
  if (code[at + 1] !== 0) {
    const before = view.getInt32(l4 + 4);
    const after = code[at]!;
    if (!isPartial(p)) view.setUint16(l4 + 2, update32(view.getUint16(l4 + 2), before, after));
    view.setInt32(l4 + 4, after);
  }
  if (code[at + 3] !== 0 && size > ND_MESSAGE) {
    const before = view.getUint8(l4 + ND_MESSAGE);
    const after = code[at + 2]!;
    icmpChecksum16(p, before << 8, after << 8);
    view.setUint8(l4 + ND_MESSAGE, after);
  }
}
