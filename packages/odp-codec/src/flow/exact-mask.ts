/** The mask of a flow that was put without one: exact on every field that the key's packets have. */
import { FRAG_ANY, FRAG_LATER, MAX_MPLS_LABELS, TUN_F_KEY } from '../key/attributes.js';
import {
  KEY_WORDS,
  W_ARP_HA,
  W_CT_IPV6_SRC,
  W_CT_LABEL,
  W_CT_MARK,
  W_CT_NW_DST,
  W_CT_NW_SRC,
  W_CT_STATE_PROTO_ZONE,
  W_CT_TP,
  W_DP_HASH,
  W_ETH,
  W_IGMP_GROUP,
  W_IN_PORT,
  W_IPV6_LABEL,
  W_IPV6_SRC,
  W_MPLS,
  W_ND_TARGET,
  W_NSH,
  W_NW_DST,
  W_NW_SRC,
  W_PACKET_TYPE,
  W_RECIRC_ID,
  W_SKB_MARK,
  W_SKB_PRIORITY,
  W_TOS_TTL_FLAGS,
  W_TP,
  W_TUN_FLAGS_TOS_TTL,
  W_TUN_GNV,
  W_TUN_GNV_LEN,
  W_TUN_ID,
  W_TUN_SRC,
  W_TYPE_FRAG_PROTO,
  W_VLAN0,
} from './fields.js';
import {
  ETH_TYPE_IP,
  ETH_TYPE_IPV6,
  ETH_TYPE_NSH,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_IGMP,
  IPPROTO_SCTP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  isArpType,
  isMplsType,
  isNd,
  MPLS_BOS,
  packetEtherType,
} from './protocols.js';
import { hasTunnel } from './tunnel.js';

const TRANSPORTS = [IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_IGMP];

/** Words 53..58. */
const NSH_WORDS = 6;

/** Overwrites the row `mask`, at `maskBase`. Registers and other fields that a datapath does not know stay zero. */
export function exactMask(flow: Int32Array, flowBase: number, mask: Int32Array, maskBase: number): void {
  const all = (word: number, count = 1): void => {
    mask.fill(-1, maskBase + word, maskBase + word + count);
  };
  const some = (word: number, bits: number): void => {
    mask[maskBase + word] = mask[maskBase + word]! | bits;
  };
  const get = (word: number): number => flow[flowBase + word]!;
  mask.fill(0, maskBase, maskBase + KEY_WORDS);

  tunnelMask(flow, flowBase, all, get);
  all(W_IN_PORT);
  all(W_RECIRC_ID);
  all(W_PACKET_TYPE);
  all(W_DP_HASH);
  all(W_SKB_PRIORITY);
  all(W_SKB_MARK);
  some(W_CT_STATE_PROTO_ZONE, 0xff00_ffff | 0);
  all(W_CT_MARK);
  all(W_CT_LABEL, 4);

  const ethernet = get(W_PACKET_TYPE) === 0;
  const type = packetEtherType(flow, flowBase);
  if (ethernet) {
    all(W_ETH, 3);
    some(W_TYPE_FRAG_PROTO, 0xffff_0000 | 0);
    // The first tag that is not there is matched too, inner ones after it are not.
    all(W_VLAN0);
    if ((get(W_VLAN0) & 0xffff) !== 0) all(W_VLAN0 + 1);
  }

  if (type === ETH_TYPE_IP) {
    all(W_NW_SRC);
    all(W_NW_DST);
    all(W_CT_NW_SRC);
    all(W_CT_NW_DST);
  } else if (type === ETH_TYPE_IPV6) {
    all(W_IPV6_SRC, 8);
    all(W_IPV6_LABEL);
    if (isNd(flow, flowBase)) {
      all(W_ARP_HA, 3);
      all(W_ND_TARGET, 4);
    } else {
      all(W_CT_IPV6_SRC, 8);
    }
  } else if (isArpType(type)) {
    all(W_NW_SRC);
    all(W_NW_DST);
    all(W_ARP_HA, 3);
  } else if (isMplsType(type)) {
    for (let i = 0; i < MAX_MPLS_LABELS; i++) {
      all(W_MPLS + i);
      if ((get(W_MPLS + i) & MPLS_BOS) !== 0) break;
    }
  } else if (type === ETH_TYPE_NSH) {
    all(W_NSH, NSH_WORDS);
  } else {
    return;
  }

  some(W_TYPE_FRAG_PROTO, ((FRAG_ANY | FRAG_LATER) << 8) | 0xff);
  some(W_TOS_TTL_FLAGS, 0xffff_0000 | 0);
  some(W_CT_STATE_PROTO_ZONE, 0x00ff_0000);
  all(W_CT_TP);
  const proto = get(W_TYPE_FRAG_PROTO) & 0xff;
  const later = ((get(W_TYPE_FRAG_PROTO) >>> 8) & FRAG_LATER) !== 0;
  if (later || !TRANSPORTS.includes(proto)) return;
  all(W_TP);
  if (proto === IPPROTO_TCP) some(W_TOS_TTL_FLAGS, 0xffff);
  if (proto === IPPROTO_IGMP) all(W_IGMP_GROUP);
}

function tunnelMask(
  flow: Int32Array,
  flowBase: number,
  all: (word: number, count?: number) => void,
  get: (word: number) => number,
): void {
  if (!hasTunnel(flow, flowBase)) {
    if ((get(W_TUN_ID) | get(W_TUN_ID + 1)) !== 0) all(W_TUN_ID, 2);
    return;
  }
  if (((get(W_TUN_FLAGS_TOS_TTL) >>> 16) & TUN_F_KEY) !== 0) all(W_TUN_ID, 2);
  // Addresses, flags, ports, and the metadata of VXLAN, ERSPAN and GTP-U.
  all(W_TUN_SRC, W_TUN_GNV_LEN - W_TUN_SRC);
  if (get(W_TUN_GNV_LEN) >>> 24 === 0) return;
  all(W_TUN_GNV_LEN);
  all(W_TUN_GNV, (((get(W_TUN_GNV_LEN) >>> 16) & 0xff) + 3) >> 2);
}
