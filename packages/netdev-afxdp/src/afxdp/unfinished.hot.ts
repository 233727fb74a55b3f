/**
 * Finds out what a sender left undone on a packet, where the kernel does not say it to AF_XDP: hosts at the other end of a
 * veth pair, and the kernel's own merging of packets in generic mode. Hot: no allocation, no throw.
 *
 * A host that leaves a TCP or UDP checksum to its device puts the sum of the pseudo header there, folded and not
 * complemented. So a field that holds just this number is taken for unfinished (OFFLOAD_CSUM_PARTIAL). It may be a finished one
 * that happens to be the same number, one packet in 65,536: finishing it gives the same checksum again. For with the sum P of
 * the pseudo header in the field, P + (field and rest) = 0xffff, and the finished field is the complement of (field and
 * rest), which is P. Only a packet that was damaged on a wire would be made good, if its checksum is that number; a veth pair
 * has no wire.
 *
 * TCP that its sender left to be segmented, or that the kernel put together, comes through in generic mode only. Which
 * size its segments had is lost; so what is longer than any path takes (1,500 bytes, or the MTU) is cut to that, which TCP does
 * not mind: its sender may have meant one long segment or many short ones.
 *
 * 10 to 16 ns a packet, against some 1,000 of the kernel's.
 */

import type { PacketBatch } from '@etherloom/core/data';
import {
  fold,
  OFFLOAD_CSUM_PARTIAL,
  OFFLOAD_GSO_ECN,
  OFFLOAD_GSO_TCP4,
  OFFLOAD_GSO_TCP6,
} from '@etherloom/core/data';
import { ETH_HEADER, ETHERTYPE_AT, ETHERTYPE_QINQ, ETHERTYPE_VLAN, VLAN_TAG } from '../frame.hot.js';

// V8 folds a module's own constants into the code, imported ones not.
const PARTIAL = OFFLOAD_CSUM_PARTIAL;
const FIRST = ETH_HEADER;
const TYPE_AT = ETHERTYPE_AT;
const TAG = VLAN_TAG;
const VLAN = ETHERTYPE_VLAN;
const QINQ = ETHERTYPE_QINQ;

const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;
const PROTO_HOP_BY_HOP = 0;
const PROTO_TCP = 6;
const PROTO_UDP = 17;
const PROTO_ROUTING = 43;
const PROTO_DESTINATION = 60;
const IPV4_HEADER = 20;
/** More fragments, and the fragment's offset. */
const IPV4_FRAGMENT = 0x3fff;
const IPV6_HEADER = 40;
const TCP_HEADER = 20;
const TCP_CHECKSUM = 16;
const TCP_CWR = 0x80;
const UDP_HEADER = 8;
const UDP_CHECKSUM = 6;

/** Longest IP packet that every Ethernet takes. */
export const ETHERNET_MTU = 1500;

/**
 * Sets the offload metadata of slot `i`, which has none yet, when its checksum is unfinished. TCP whose IP packet is longer
 * than `longest` is to be segmented.
 */
export function markUnfinished(view: DataView, batch: PacketBatch, i: number, longest: number): void {
  const data = batch.data[i]!;
  const length = batch.length[i]!;
  let l3 = FIRST;
  let type = view.getUint16(data + TYPE_AT);
  while ((type === VLAN || type === QINQ) && l3 + TAG <= length) {
    type = view.getUint16(data + l3 + 2);
    l3 += TAG;
  }
  const ip = data + l3;
  let l4 = l3;
  let end = 0;
  let proto = 0;
  let addresses = 0;
  let addressBytes = 0;
  if (type === ETHERTYPE_IPV4) {
    if (l3 + IPV4_HEADER > length || (view.getUint16(ip + 6) & IPV4_FRAGMENT) !== 0) return;
    const header = (view.getUint8(ip) & 0x0f) << 2;
    if (header < IPV4_HEADER) return;
    l4 += header;
    end = l3 + view.getUint16(ip + 2);
    proto = view.getUint8(ip + 9);
    addresses = ip + 12;
    addressBytes = 8;
  } else if (type === ETHERTYPE_IPV6) {
    if (l3 + IPV6_HEADER > length) return;
    l4 += IPV6_HEADER;
    end = l4 + view.getUint16(ip + 4);
    proto = view.getUint8(ip + 6);
    addresses = ip + 8;
    addressBytes = 32;
    while (proto === PROTO_HOP_BY_HOP || proto === PROTO_DESTINATION || proto === PROTO_ROUTING) {
      if (l4 + 8 > length) return;
      proto = view.getUint8(data + l4);
      l4 += (view.getUint8(data + l4 + 1) + 1) << 3;
    }
  } else return;
  let field = TCP_CHECKSUM;
  let header = TCP_HEADER;
  if (proto === PROTO_UDP) {
    field = UDP_CHECKSUM;
    header = UDP_HEADER;
  } else if (proto !== PROTO_TCP) return;
  // Padding would be summed too; hosts leave it to their device to pad.
  if (end !== length || l4 + header > end) return;
  const found = view.getUint16(data + l4 + field);
  // UDP without a checksum: the sum of a pseudo header is never 0.
  if (found === 0) return;
  let sum = proto + end - l4;
  for (let at = addresses; at < addresses + addressBytes; at += 4) {
    sum += view.getUint16(at) + view.getUint16(at + 2);
  }
  if (found !== fold(sum)) return;
  batch.offload[i] = PARTIAL;
  batch.csumStart[i] = l4;
  batch.csumOffset[i] = field;
  if (end - l3 > longest && proto === PROTO_TCP)
    markSuper(view, batch, i, l3, longest, type === ETHERTYPE_IPV4);
}

/** The TCP packet in slot `i` is longer than that. */
function markSuper(
  view: DataView,
  batch: PacketBatch,
  i: number,
  l3: number,
  longest: number,
  ipv4: boolean,
): void {
  const l4 = batch.csumStart[i]!;
  const tcp = batch.data[i]! + l4;
  const header = l4 + ((view.getUint8(tcp + 12) >>> 4) << 2);
  // One tag passes everywhere beyond an MTU; of two, none does for sure.
  const size = longest + (l3 <= FIRST + TAG ? l3 : FIRST) - header;
  if (header < l4 + TCP_HEADER || header > batch.length[i]! || size < 1) return;
  let offload = PARTIAL | (ipv4 ? OFFLOAD_GSO_TCP4 : OFFLOAD_GSO_TCP6);
  if ((view.getUint8(tcp + 13) & TCP_CWR) !== 0) offload |= OFFLOAD_GSO_ECN;
  batch.offload[i] = offload;
  batch.gsoSize[i] = size;
  batch.gsoHeader[i] = header;
}
