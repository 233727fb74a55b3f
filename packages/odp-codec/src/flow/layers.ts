/** What follows the Ethertype of a key: MPLS, ARP, NSH, IP and transport attributes into the row of the running parse. */
import { FRAG_ANY, FRAG_LATER, KEY_ATTR, MAX_MPLS_LABELS } from '../key/attributes.js';
import { allBytes, getBe16, getBe32 } from '../key/bytes.js';
import { keyName } from '../key/schema.js';
import {
  W_ARP_HA,
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
} from './fields.js';
import { type FitnessResult, failed, TOO_LITTLE, TOO_MUCH } from './fitness.js';
import { nshToFlow } from './nsh.js';
import {
  at,
  base,
  bit,
  bytes,
  dlType,
  expect,
  flow,
  has,
  isMask,
  setFragProto,
  size,
  source,
  sourceBase,
  sourceDlType,
  take,
} from './parse-state.js';
import {
  ETH_TYPE_IP,
  ETH_TYPE_IPV6,
  ETH_TYPE_NSH,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_SCTP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  isArpType,
  isMplsType,
  isNd,
  MPLS_BOS,
} from './protocols.js';
import { readIpv6 } from './tunnel.js';

function mplsStack(): FitnessResult | undefined {
  if (!isMask || has(KEY_ATTR.MPLS)) expect(bit(KEY_ATTR.MPLS));
  if (!has(KEY_ATTR.MPLS)) return undefined;
  const length = size[KEY_ATTR.MPLS]!;
  const start = at[KEY_ATTR.MPLS]!;
  const count = length >> 2;
  if (length === 0 || length % 4 !== 0)
    return failed(`mpls must be a multiple of 4 bytes long, not ${length}`);
  if (flow[base + W_MPLS] !== 0 && dlType() !== 0xffff) {
    return failed(`mpls is matched, but eth_type only with mask 0x${dlType().toString(16)}`);
  }
  for (let i = 0; i < count && i < MAX_MPLS_LABELS; i++)
    flow[base + W_MPLS + i] = getBe32(bytes, start + 4 * i);
  if (count > MAX_MPLS_LABELS) return TOO_MUCH;
  if (isMask) return undefined;
  for (let i = 0; i < count - 1; i++) {
    if ((flow[base + W_MPLS + i]! & MPLS_BOS) !== 0)
      return failed(`mpls label ${i + 1} of ${count} must not have bos=1`);
  }
  const bottom = (flow[base + W_MPLS + count - 1]! & MPLS_BOS) !== 0;
  return bottom || count === MAX_MPLS_LABELS ? undefined : TOO_LITTLE;
}

/** ODP fragment type (an enumeration, 0..2) as the two bits of a row; -1 for another value. */
function fragBits(frag: number): number {
  if (isMask) return frag === 0 ? 0 : FRAG_ANY | FRAG_LATER;
  if (frag > 2) return -1;
  return frag === 0 ? 0 : frag === 1 ? FRAG_ANY : FRAG_ANY | FRAG_LATER;
}

function ipv4(start: number): FitnessResult | undefined {
  const frag = fragBits(bytes[start + 11]!);
  if (frag < 0) return failed(`ipv4 frag must be 0, 1 or 2, not ${bytes[start + 11]}`);
  flow[base + W_NW_SRC] = getBe32(bytes, start);
  flow[base + W_NW_DST] = getBe32(bytes, start + 4);
  flow[base + W_TOS_TTL_FLAGS] = (bytes[start + 9]! << 24) | (bytes[start + 10]! << 16);
  setFragProto(frag, bytes[start + 8]!);
  return undefined;
}

function ipv6(start: number): FitnessResult | undefined {
  const frag = fragBits(bytes[start + 39]!);
  if (frag < 0) return failed(`ipv6 frag must be 0, 1 or 2, not ${bytes[start + 39]}`);
  readIpv6(bytes, start, flow, base + W_IPV6_SRC);
  readIpv6(bytes, start + 16, flow, base + W_IPV6_DST);
  flow[base + W_IPV6_LABEL] = getBe32(bytes, start + 32);
  flow[base + W_TOS_TTL_FLAGS] = (bytes[start + 37]! << 24) | (bytes[start + 38]! << 16);
  setFragProto(frag, bytes[start + 36]!);
  return undefined;
}

/** Twelve bytes of link-layer addresses: of ARP, or of the options of ND. */
function linkAddresses(start: number): void {
  for (let i = 0; i < 3; i++) flow[base + W_ARP_HA + i] = getBe32(bytes, start + 4 * i);
}

function arp(start: number): FitnessResult | undefined {
  const operation = getBe16(bytes, start + 8);
  if (!isMask && operation > 0xff) return failed(`arp op must be at most 255, not ${operation}`);
  flow[base + W_NW_SRC] = getBe32(bytes, start);
  flow[base + W_NW_DST] = getBe32(bytes, start + 4);
  setFragProto((flow[base + W_TYPE_FRAG_PROTO]! >>> 8) & 0xff, operation & 0xff);
  linkAddresses(start + 10);
  return undefined;
}

const nsh = (start: number): FitnessResult | undefined =>
  nshToFlow(bytes, start, start + size[KEY_ATTR.NSH]!, flow, base, isMask);

/** Which attribute follows the Ethertype of the key, or -1. */
function layer3(): number {
  const type = sourceDlType();
  if (type === ETH_TYPE_IP) return KEY_ATTR.IPV4;
  if (type === ETH_TYPE_IPV6) return KEY_ATTR.IPV6;
  if (isArpType(type)) return KEY_ATTR.ARP;
  return type === ETH_TYPE_NSH ? KEY_ATTR.NSH : -1;
}

/** Everything after the Ethertype. Undefined means that nothing is wrong with it so far. */
export function layers(): FitnessResult | undefined {
  if (isMplsType(sourceDlType())) return mplsStack();
  const type = layer3();
  if (type < 0) return undefined;
  if (!isMask) expect(bit(type));
  if (has(type)) {
    const start = at[type]!;
    const wrong =
      type === KEY_ATTR.IPV4
        ? ipv4(start)
        : type === KEY_ATTR.IPV6
          ? ipv6(start)
          : type === KEY_ATTR.ARP
            ? arp(start)
            : nsh(start);
    if (wrong !== undefined) return wrong;
    // An empty attribute is neither checked nor counted.
    if (isMask && size[type]! > 0) {
      if (dlType() !== 0xffff && !allBytes(bytes, start, size[type]!, 0)) {
        return failed(`${keyName(type)} is matched, but eth_type only with mask 0x${dlType().toString(16)}`);
      }
      expect(bit(type));
    }
  }
  return transport();
}

function transport(): FitnessResult | undefined {
  const type = sourceDlType();
  const word = source[sourceBase + W_TYPE_FRAG_PROTO]!;
  const proto = word & 0xff;
  const isIpv4 = type === ETH_TYPE_IP;
  if (!isIpv4 && type !== ETH_TYPE_IPV6) return undefined;
  if (((word >>> 8) & FRAG_LATER) !== 0) return undefined;
  if (proto === IPPROTO_TCP) return ports(KEY_ATTR.TCP);
  if (proto === IPPROTO_UDP) return ports(KEY_ATTR.UDP);
  if (proto === IPPROTO_SCTP) return ports(KEY_ATTR.SCTP);
  if (proto === IPPROTO_ICMP && isIpv4) return icmp(KEY_ATTR.ICMP);
  if (proto === IPPROTO_ICMPV6 && !isIpv4) return icmp(KEY_ATTR.ICMPV6);
  return undefined;
}

/** A mask of transport fields counts only where the protocol is matched exactly. */
function portsMasked(type: number): FitnessResult | undefined {
  if (flow[base + W_TP] !== 0 && (flow[base + W_TYPE_FRAG_PROTO]! & 0xff) !== 0xff) {
    return failed(`${keyName(type)} is matched, but the protocol only in part`);
  }
  expect(bit(type));
  return undefined;
}

function ports(type: number): FitnessResult | undefined {
  if (!isMask) expect(bit(type));
  if (has(type)) flow[base + W_TP] = getBe32(bytes, at[type]!);
  if (type === KEY_ATTR.TCP && take(KEY_ATTR.TCP_FLAGS)) {
    flow[base + W_TOS_TTL_FLAGS] =
      (flow[base + W_TOS_TTL_FLAGS]! & ~0xffff) | getBe16(bytes, at[KEY_ATTR.TCP_FLAGS]!);
  }
  return isMask && has(type) ? portsMasked(type) : undefined;
}

function icmp(type: number): FitnessResult | undefined {
  if (!isMask) expect(bit(type));
  if (!has(type)) return undefined;
  flow[base + W_TP] = (bytes[at[type]!]! << 16) | bytes[at[type]! + 1]!;
  if (type === KEY_ATTR.ICMPV6 && isNd(source, sourceBase)) {
    const wrong = neighborDiscovery();
    if (wrong !== undefined) return wrong;
  }
  return isMask ? portsMasked(type) : undefined;
}

function neighborDiscovery(): FitnessResult | undefined {
  if (!isMask) expect(bit(KEY_ATTR.ND));
  if (has(KEY_ATTR.ND)) {
    const start = at[KEY_ATTR.ND]!;
    readIpv6(bytes, start, flow, base + W_ND_TARGET);
    linkAddresses(start + 16);
    const wrong = isMask ? typeAndCodeExact(KEY_ATTR.ND) : undefined;
    if (wrong !== undefined) return wrong;
  }
  if (!take(KEY_ATTR.ND_EXTENSIONS)) return undefined;
  const start = at[KEY_ATTR.ND_EXTENSIONS]!;
  flow[base + W_IGMP_GROUP] = getBe32(bytes, start);
  flow[base + W_TOS_TTL_FLAGS] = (flow[base + W_TOS_TTL_FLAGS]! & ~0xffff) | bytes[start + 4]!;
  return isMask ? typeAndCodeExact(KEY_ATTR.ND_EXTENSIONS) : undefined;
}

/** Type and code are 16 bits wide in a row but 8 in a packet: exact is 0xff. */
function typeAndCodeExact(type: number): FitnessResult | undefined {
  if (flow[base + W_TP] !== 0x00ff_00ff && !allBytes(bytes, at[type]!, size[type]!, 0)) {
    return failed(`${keyName(type)} is matched, but icmpv6 type and code only in part`);
  }
  expect(bit(type));
  return undefined;
}
