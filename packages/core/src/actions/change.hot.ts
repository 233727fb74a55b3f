/**
 * The instructions that change bytes of the packet; the others, and what a program is, are in execute.hot.ts. Hot: no
 * allocation, no throw.
 */

import type { PacketState } from '../packet/modify.hot.js';
import { setIpv4, setIpv6 } from '../packet/modify-ip.hot.js';
import {
  addMpls,
  popEth,
  popMpls,
  popNsh,
  popVlan,
  pushEth,
  pushMpls,
  pushNsh,
  pushVlan,
  setArp,
  setEth,
  setMpls,
  setNsh,
} from '../packet/modify-l2.hot.js';
import { setIcmp, setNd, setNdExt, setSctp, setTcp, setUdp } from '../packet/modify-l4.hot.js';

// Operands. Header bytes are big-endian words, as on the wire and in a packed key; a pair is value and mask.

/** The least of the instructions below; all smaller ones are the executor's. */
export const OP_FIRST_CHANGE = 16;
/** `tpid << 16 | tci` */
export const OP_PUSH_VLAN = 16;
export const OP_POP_VLAN = 17;
/** Ethertype, label stack entry: behind the last Ethertype */
export const OP_PUSH_MPLS = 18;
/** Ethertype, label stack entry: in front of the whole packet */
export const OP_ADD_MPLS = 19;
/** Ethertype */
export const OP_POP_MPLS = 20;
/** destination and source address: 3 words */
export const OP_PUSH_ETH = 21;
export const OP_POP_ETH = 22;
/** words n, then n words of header */
export const OP_PUSH_NSH = 23;
export const OP_POP_NSH = 24;
/** 3 pairs from the first byte of the frame on */
export const OP_SET_ETH = 25;
/** 1 pair: the outermost label stack entry */
export const OP_SET_MPLS = 26;
/** 6 pairs from byte 4 of the ARP header on */
export const OP_SET_ARP = 27;
/** 2 pairs: the base header; 4 pairs: the context of MD type 1 */
export const OP_SET_NSH = 28;
/** 3 pairs: source, destination, `tos << 8 | ttl` */
export const OP_SET_IPV4 = 29;
/** 4 pairs source, 4 pairs destination, a pair `tclass << 20 | label`, a pair hop limit */
export const OP_SET_IPV6 = 30;
/** 1 pair: `source port << 16 | destination port`, as for the next two */
export const OP_SET_TCP = 31;
export const OP_SET_UDP = 32;
export const OP_SET_SCTP = 33;
/** `type << 8 | code` */
export const OP_SET_ICMP = 34;
/** 4 pairs target, 2 pairs source and 2 pairs target link-layer address (the second of each in the upper half) */
export const OP_SET_ND = 35;
/** reserved word, whether to set it (0 or 1), option type, whether to set it */
export const OP_SET_ND_EXT = 36;

/**
 * Executes the instruction `operation` at `pc` on a packet whose frame is not shared and has the room in front that
 * the instruction asks for.
 * Returns where the next instruction is, or -1 when the packet does not allow it (it is unchanged then).
 */
export function change(p: PacketState, operation: number, code: Int32Array, pc: number): number {
  const at = pc + 1;
  switch (operation) {
    case OP_PUSH_VLAN:
      pushVlan(p, code[at]!);
      return at + 1;
    case OP_POP_VLAN:
      popVlan(p);
      return at;
    case OP_PUSH_MPLS:
      return pushMpls(p, code[at]!, code[at + 1]!) ? at + 2 : -1;
    case OP_ADD_MPLS:
      addMpls(p, code[at]!, code[at + 1]!);
      return at + 2;
    case OP_POP_MPLS:
      return popMpls(p, code[at]!) ? at + 1 : -1;
    case OP_PUSH_ETH:
      return pushEth(p, code, at) ? at + 3 : -1;
    case OP_POP_ETH:
      return popEth(p) ? at : -1;
    case OP_PUSH_NSH:
      return pushNsh(p, code, at + 1, code[at]!) ? at + 1 + code[at]! : -1;
    case OP_POP_NSH:
      return popNsh(p) ? at : -1;
    case OP_SET_ETH:
      setEth(p, code, at);
      return at + 6;
    case OP_SET_MPLS:
      setMpls(p, code, at);
      return at + 2;
    case OP_SET_ARP:
      setArp(p, code, at);
      return at + 12;
    case OP_SET_NSH:
      setNsh(p, code, at);
      return at + 12;
    case OP_SET_IPV4:
      setIpv4(p, code, at);
      return at + 6;
    case OP_SET_IPV6:
      setIpv6(p, code, at);
      return at + 20;
    case OP_SET_TCP:
      setTcp(p, code, at);
      return at + 2;
    case OP_SET_UDP:
      setUdp(p, code, at);
      return at + 2;
    case OP_SET_SCTP:
      setSctp(p, code, at);
      return at + 2;
    case OP_SET_ICMP:
      setIcmp(p, code[at]!);
      return at + 1;
    case OP_SET_ND:
      setNd(p, code, at);
      return at + 16;
    case OP_SET_ND_EXT:
      setNdExt(p, code, at);
      return at + 4;
    default:
      return -1;
  }
}
