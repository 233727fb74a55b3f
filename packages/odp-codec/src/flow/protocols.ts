/** Protocol numbers that decide what a key must contain. */
import { W_PACKET_TYPE, W_TP, W_TYPE_FRAG_PROTO } from './fields.js';

export const ETH_TYPE_MIN = 0x600;
/** What stands in `dl_type` for a frame without an Ethertype (802.2). */
export const ETH_TYPE_NONE = 0x5ff;
export const ETH_TYPE_IP = 0x0800;
export const ETH_TYPE_ARP = 0x0806;
export const ETH_TYPE_RARP = 0x8035;
export const ETH_TYPE_IPV6 = 0x86dd;
export const ETH_TYPE_NSH = 0x894f;

export const isVlanType = (type: number): boolean => type === 0x8100 || type === 0x88a8;
export const isMplsType = (type: number): boolean => type === 0x8847 || type === 0x8848;
export const isArpType = (type: number): boolean => type === ETH_TYPE_ARP || type === ETH_TYPE_RARP;

export const IPPROTO_ICMP = 1;
export const IPPROTO_IGMP = 2;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const IPPROTO_ICMPV6 = 58;
export const IPPROTO_SCTP = 132;

export const ND_SOLICIT = 135;
export const ND_ADVERT = 136;

/** Upper half of a packet type whose lower half is an Ethertype. 0 is Ethernet. */
export const PT_NS_ETHERTYPE = 1;

/** "No port": what a key without in_port means. */
export const PORT_NONE = 0xffff_ffff;

/** Bottom-of-stack bit of a label stack entry. */
export const MPLS_BOS = 0x100;

/** The Ethertype of the packet as a whole: of an L3 packet, what its packet type says. */
export function packetEtherType(words: Int32Array, base: number): number {
  const packetType = words[base + W_PACKET_TYPE]!;
  if (packetType === 0) return words[base + W_TYPE_FRAG_PROTO]! >>> 16;
  return packetType >>> 16 === PT_NS_ETHERTYPE ? packetType & 0xffff : ETH_TYPE_NONE;
}

/** Whether a row is a neighbor solicitation or advertisement. */
export const isNd = (words: Int32Array, base: number): boolean =>
  packetEtherType(words, base) === ETH_TYPE_IPV6 &&
  (words[base + W_TYPE_FRAG_PROTO]! & 0xff) === IPPROTO_ICMPV6 &&
  (words[base + W_TP] === ND_SOLICIT << 16 || words[base + W_TP] === ND_ADVERT << 16);
