/**
 * Packed rows into Netlink keys and masks (OVS: odp_flow_key_from_flow, odp_flow_key_from_mask): what a datapath puts
 * into upcalls and dumps. Runs once per upcall.
 */
import { FRAG_ANY, FRAG_LATER, KEY_ATTR, MAX_MPLS_LABELS } from '../key/attributes.js';
import { putBe16, putBe32, putLe32 } from '../key/bytes.js';
import { NlWriter } from '../netlink.js';
import { borrowWriter, finishWriter } from '../spare.js';
import {
  W_ARP_HA,
  W_CT_IPV6_DST,
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
  W_IPV6_DST,
  W_IPV6_LABEL,
  W_IPV6_SRC,
  W_MPLS,
  W_ND_TARGET,
  W_NW_DST,
  W_NW_SRC,
  W_PACKET_TYPE,
  W_RECIRC_ID,
  W_SKB_MARK,
  W_SKB_PRIORITY,
  W_TOS_TTL_FLAGS,
  W_TP,
  W_TYPE_FRAG_PROTO,
  W_VLAN0,
} from './fields.js';
import { MAX_VLANS } from './key-to-flow.js';
import { nshFromFlow } from './nsh.js';
import {
  ETH_TYPE_IP,
  ETH_TYPE_IPV6,
  ETH_TYPE_MIN,
  ETH_TYPE_NSH,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_SCTP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  isArpType,
  isMplsType,
  isNd,
  isVlanType,
  MPLS_BOS,
  PORT_NONE,
  packetEtherType,
} from './protocols.js';
import { hasTunnelEnd, tunnelFromFlow, writeIpv6 } from './tunnel.js';

/** What the other side understands (OVS: struct odp_support). The defaults are those of the userspace datapath. */
export interface FlowSupport {
  /** Tags that may be written, 0..2. Default 2. */
  readonly vlanLimit?: number;
  /** Labels that a mask may have, 0..3. Default 3. */
  readonly mplsDepth?: number;
  /** recirc_id and dp_hash. Default true. */
  readonly recirc?: boolean;
  /** ct_state, ct_zone, ct_mark and ct_label. Default true. */
  readonly ct?: boolean;
  /** ct_tuple4 and ct_tuple6. Default true. */
  readonly ctTuple?: boolean;
  /** nd_ext. Default false. */
  readonly ndExt?: boolean;
}

// State of the encoding that runs; encodings do not nest. `data` is the row that is written, `flow` the key's: what is
// written depends on the key, also when a mask is written.
let data: Int32Array = new Int32Array(0);
let base = 0;
let flow: Int32Array = data;
let flowBase = 0;
let isMask = false;
let writer = new NlWriter(0);

const get = (word: number): number => data[base + word]!;
const key = (word: number): number => flow[flowBase + word]!;
const keyType = (): number => key(W_TYPE_FRAG_PROTO) >>> 16;

function connection(support: FlowSupport): void {
  const state = get(W_CT_STATE_PROTO_ZONE);
  if (support.ct ?? true) {
    writer.u32(KEY_ATTR.CT_STATE, state >>> 24);
    writer.u16(KEY_ATTR.CT_ZONE, state & 0xffff);
    writer.u32(KEY_ATTR.CT_MARK, get(W_CT_MARK));
    const at = writer.reserve(KEY_ATTR.CT_LABELS, 16);
    for (let i = 0; i < 4; i++) putLe32(writer.memory, at + 12 - 4 * i, get(W_CT_LABEL + i));
  }
  const there = ((key(W_CT_STATE_PROTO_ZONE) >>> 16) & 0xff) !== 0;
  if (there && (support.ctTuple ?? true)) connectionTuple(keyType(), data, base, writer);
}

/** Appends ct_tuple4 or ct_tuple6, as the Ethertype says. */
export function connectionTuple(type: number, words: Int32Array, at: number, out: NlWriter): void {
  const proto = (words[at + W_CT_STATE_PROTO_ZONE]! >>> 16) & 0xff;
  if (type === ETH_TYPE_IP) {
    const tuple = out.reserve(KEY_ATTR.CT_ORIG_TUPLE_IPV4, 16);
    const bytes = out.memory;
    putBe32(bytes, tuple, words[at + W_CT_NW_SRC]!);
    putBe32(bytes, tuple + 4, words[at + W_CT_NW_DST]!);
    putBe32(bytes, tuple + 8, words[at + W_CT_TP]!);
    bytes[tuple + 12] = proto;
  } else if (type === ETH_TYPE_IPV6) {
    const tuple = out.reserve(KEY_ATTR.CT_ORIG_TUPLE_IPV6, 40);
    const bytes = out.memory;
    writeIpv6(words, at + W_CT_IPV6_SRC, bytes, tuple);
    writeIpv6(words, at + W_CT_IPV6_DST, bytes, tuple + 16);
    putBe32(bytes, tuple + 32, words[at + W_CT_TP]!);
    bytes[tuple + 36] = proto;
  }
}

function ethernet(): void {
  const at = writer.reserve(KEY_ATTR.ETHERNET, 12);
  const bytes = writer.memory;
  putBe32(bytes, at + 6, get(W_ETH));
  putBe16(bytes, at + 10, get(W_ETH + 1) >>> 16);
  putBe16(bytes, at, get(W_ETH + 1) & 0xffff);
  putBe32(bytes, at + 2, get(W_ETH + 2));
}

/** The fragment bits of a row as an enumeration, or as all or nothing of it in a mask. */
function fragment(bits: number): number {
  if (isMask) return (bits & FRAG_ANY) === 0 ? 0 : 0xff;
  if ((bits & FRAG_ANY) === 0) return 0;
  return (bits & FRAG_LATER) === 0 ? 1 : 2;
}

function ipv4(): void {
  const at = writer.reserve(KEY_ATTR.IPV4, 12);
  const bytes = writer.memory;
  putBe32(bytes, at, get(W_NW_SRC));
  putBe32(bytes, at + 4, get(W_NW_DST));
  bytes[at + 8] = get(W_TYPE_FRAG_PROTO);
  putBe16(bytes, at + 9, get(W_TOS_TTL_FLAGS) >>> 16);
  bytes[at + 11] = fragment(get(W_TYPE_FRAG_PROTO) >>> 8);
}

function ipv6(): void {
  const at = writer.reserve(KEY_ATTR.IPV6, 40);
  const bytes = writer.memory;
  writeIpv6(data, base + W_IPV6_SRC, bytes, at);
  writeIpv6(data, base + W_IPV6_DST, bytes, at + 16);
  putBe32(bytes, at + 32, get(W_IPV6_LABEL));
  bytes[at + 36] = get(W_TYPE_FRAG_PROTO);
  putBe16(bytes, at + 37, get(W_TOS_TTL_FLAGS) >>> 16);
  bytes[at + 39] = fragment(get(W_TYPE_FRAG_PROTO) >>> 8);
}

function linkAddresses(bytes: Uint8Array, at: number): void {
  for (let i = 0; i < 3; i++) putBe32(bytes, at + 4 * i, get(W_ARP_HA + i));
}

function arp(): void {
  const at = writer.reserve(KEY_ATTR.ARP, 24);
  const bytes = writer.memory;
  putBe32(bytes, at, get(W_NW_SRC));
  putBe32(bytes, at + 4, get(W_NW_DST));
  // A row has 8 bits for the operation; all ones stands for all 16, so that an exact mask stays exact.
  const operation = get(W_TYPE_FRAG_PROTO) & 0xff;
  putBe16(bytes, at + 8, operation === 0xff ? 0xffff : operation);
  linkAddresses(bytes, at + 10);
}

/** Labels of the key up to the bottom of its stack; without a bottom, those that are not zero. */
function labels(): number {
  let count = 0;
  for (let i = 0; i < MAX_MPLS_LABELS; i++) {
    if ((key(W_MPLS + i) & MPLS_BOS) !== 0) return i + 1;
    if (key(W_MPLS + i) !== 0) count++;
  }
  return count;
}

function mpls(depth: number): void {
  const count = isMask ? Math.min(labels(), depth) : labels();
  const at = writer.reserve(KEY_ATTR.MPLS, 4 * count);
  for (let i = 0; i < count; i++) putBe32(writer.memory, at + 4 * i, get(W_MPLS + i));
}

function transport(support: FlowSupport, masked: boolean): void {
  const proto = key(W_TYPE_FRAG_PROTO) & 0xff;
  const type = keyType();
  if (proto === IPPROTO_TCP) {
    writer.be32(KEY_ATTR.TCP, get(W_TP));
    const flags = get(W_TOS_TTL_FLAGS) & 0xffff;
    if (flags !== 0 || masked) writer.be16(KEY_ATTR.TCP_FLAGS, flags);
  } else if (proto === IPPROTO_UDP) {
    writer.be32(KEY_ATTR.UDP, get(W_TP));
  } else if (proto === IPPROTO_SCTP) {
    writer.be32(KEY_ATTR.SCTP, get(W_TP));
  } else if (proto === IPPROTO_ICMP && type === ETH_TYPE_IP) {
    icmp(KEY_ATTR.ICMP);
  } else if (proto === IPPROTO_ICMPV6 && type === ETH_TYPE_IPV6) {
    icmp(KEY_ATTR.ICMPV6);
    // Type and code are 16 bits wide in a row but 8 in a packet: exact is 0xff.
    if (isNd(flow, flowBase) && (!isMask || get(W_TP) === 0x00ff_00ff))
      neighborDiscovery(support.ndExt ?? false);
  }
}

function icmp(type: number): void {
  const at = writer.reserve(type, 2);
  const bytes = writer.memory;
  bytes[at] = get(W_TP) >>> 16;
  bytes[at + 1] = get(W_TP);
}

function neighborDiscovery(extensions: boolean): void {
  const at = writer.reserve(KEY_ATTR.ND, 28);
  const bytes = writer.memory;
  writeIpv6(data, base + W_ND_TARGET, bytes, at);
  linkAddresses(bytes, at + 16);
  const optionsType = get(W_TOS_TTL_FLAGS) & 0xffff;
  if (!extensions || (get(W_IGMP_GROUP) === 0 && optionsType === 0)) return;
  const extension = writer.reserve(KEY_ATTR.ND_EXTENSIONS, 8);
  putBe32(writer.memory, extension, get(W_IGMP_GROUP));
  writer.memory[extension + 4] = optionsType;
}

/** Everything from the innermost Ethertype on. */
function layers(support: FlowSupport, masked: boolean): void {
  const type = keyType();
  if (type < ETH_TYPE_MIN) {
    // A frame without Ethertype has no eth_type in its key, and an exact one in its mask.
    if (isMask) writer.be16(KEY_ATTR.ETHERTYPE, 0xffff);
    return;
  }
  writer.be16(KEY_ATTR.ETHERTYPE, get(W_TYPE_FRAG_PROTO) >>> 16);
  if (type === ETH_TYPE_IP) ipv4();
  else if (type === ETH_TYPE_IPV6) ipv6();
  else if (isArpType(type)) arp();
  else if (isMplsType(type)) mpls(support.mplsDepth ?? MAX_MPLS_LABELS);
  else if (type === ETH_TYPE_NSH) nshFromFlow(data, base, isMask, writer);
  const later = ((key(W_TYPE_FRAG_PROTO) >>> 8) & FRAG_LATER) !== 0;
  const outer = packetEtherType(flow, flowBase);
  if ((outer === ETH_TYPE_IP || outer === ETH_TYPE_IPV6) && !later) transport(support, masked);
}

function encode(support: FlowSupport, masked: boolean): void {
  if (support.recirc ?? true) {
    writer.u32(KEY_ATTR.RECIRC_ID, get(W_RECIRC_ID));
    writer.u32(KEY_ATTR.DP_HASH, get(W_DP_HASH));
  }
  writer.u32(KEY_ATTR.PRIORITY, get(W_SKB_PRIORITY));
  if (isMask || hasTunnelEnd(flow, flowBase))
    tunnelFromFlow(KEY_ATTR.TUNNEL, data, base, flow, flowBase, writer);
  if (isMask || key(W_IN_PORT) >>> 0 !== PORT_NONE) writer.u32(KEY_ATTR.IN_PORT, get(W_IN_PORT));
  writer.u32(KEY_ATTR.SKB_MARK, get(W_SKB_MARK));
  connection(support);
  writer.be32(KEY_ATTR.PACKET_TYPE, get(W_PACKET_TYPE));

  const limit = Math.min(support.vlanLimit ?? MAX_VLANS, MAX_VLANS);
  let outer = -1;
  let inner = -1;
  let truncated = false;
  if (key(W_PACKET_TYPE) === 0) {
    ethernet();
    for (let tag = 0; tag < limit && !truncated; tag++) {
      const tci = key(W_VLAN0 + tag) & 0xffff;
      if (tci === 0 && !isVlanType(keyType())) break;
      // Of a tag that the packet cuts off, the TPID is the Ethertype.
      truncated = tci === 0;
      const tpid = truncated ? keyType() : key(W_VLAN0 + tag) >>> 16;
      writer.be16(KEY_ATTR.ETHERTYPE, isMask ? 0xffff : tpid);
      writer.be16(KEY_ATTR.VLAN, get(W_VLAN0 + tag) & 0xffff);
      if (tag === 0) outer = writer.begin(KEY_ATTR.ENCAP);
      else inner = writer.begin(KEY_ATTR.ENCAP);
    }
  }
  if (!truncated) layers(support, masked);
  if (inner >= 0) writer.end(inner);
  if (outer >= 0) writer.end(outer);
}

/**
 * Appends the row at `rowBase` to `out` as a key. `mask`, if the flow's mask is at hand, only decides whether a TCP key of
 * a flow that matches on flags says `tcp_flags(0)`. Many keys can share one writer: an array for each costs as much as
 * the encoding (0.3 us each).
 */
export function appendFlowKey(
  out: NlWriter,
  row: Int32Array,
  rowBase = 0,
  support: FlowSupport = {},
  mask?: Int32Array,
  maskBase = 0,
): void {
  writer = out;
  data = flow = row;
  base = flowBase = rowBase;
  isMask = false;
  encode(support, mask !== undefined && (mask[maskBase + W_TOS_TTL_FLAGS]! & 0xffff) !== 0);
}

/** {@link appendFlowKey} into an array of its own. */
export function flowToKey(
  row: Int32Array,
  rowBase = 0,
  support: FlowSupport = {},
  mask?: Int32Array,
  maskBase = 0,
): Uint8Array {
  const out = borrowWriter();
  appendFlowKey(out, row, rowBase, support, mask, maskBase);
  return finishWriter(out);
}

/** Encodes the mask in the row `mask` of the flow whose key is in the row `row`. */
export function flowToMask(
  row: Int32Array,
  mask: Int32Array,
  rowBase = 0,
  maskBase = 0,
  support: FlowSupport = {},
): Uint8Array {
  writer = borrowWriter();
  data = mask;
  base = maskBase;
  flow = row;
  flowBase = rowBase;
  isMask = true;
  encode(support, (mask[maskBase + W_TOS_TTL_FLAGS]! & 0xffff) !== 0);
  return finishWriter(writer);
}
