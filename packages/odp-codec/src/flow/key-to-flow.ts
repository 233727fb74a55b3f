/**
 * Netlink keys and masks into packed rows (OVS: odp_flow_key_to_flow, odp_flow_key_to_mask), with the verdict how well
 * they fit. Runs on every flow put and every upcall that a client decodes: no allocation but for error messages.
 */
import { KEY_ATTR, VLAN_CFI } from '../key/attributes.js';
import { getBe16, getBe32, getLe16, getLe32 } from '../key/bytes.js';
import { exactMask } from './exact-mask.js';
import {
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
  W_IN_PORT,
  W_PACKET_TYPE,
  W_RECIRC_ID,
  W_SKB_MARK,
  W_SKB_PRIORITY,
  W_VLAN0,
} from './fields.js';
import { type FitnessResult, failed, PERFECT, TOO_LITTLE, TOO_MUCH } from './fitness.js';
import { layers } from './layers.js';
import {
  at,
  base,
  begin,
  bit,
  bytes,
  collect,
  dlType,
  expect,
  flow,
  has,
  isMask,
  present,
  setDlType,
  size,
  source,
  sourceBase,
  sourceDlType,
  take,
  verdict,
} from './parse-state.js';
import {
  ETH_TYPE_IP,
  ETH_TYPE_IPV6,
  ETH_TYPE_MIN,
  ETH_TYPE_NONE,
  isVlanType,
  PORT_NONE,
  PT_NS_ETHERTYPE,
} from './protocols.js';
import { readIpv6, tunnelToFlow } from './tunnel.js';

/** Tags that a row holds. */
export const MAX_VLANS = 2;

const VLAN = bit(KEY_ATTR.VLAN);
const ENCAP = bit(KEY_ATTR.ENCAP);

const CONNECTION =
  bit(KEY_ATTR.CT_STATE) |
  bit(KEY_ATTR.CT_ZONE) |
  bit(KEY_ATTR.CT_MARK) |
  bit(KEY_ATTR.CT_LABELS) |
  bit(KEY_ATTR.CT_ORIG_TUPLE_IPV4) |
  bit(KEY_ATTR.CT_ORIG_TUPLE_IPV6);

function metadata(): FitnessResult | undefined {
  const word = (type: number, index: number): boolean => {
    const there = take(type);
    if (there) flow[base + index] = getLe32(bytes, at[type]!);
    return there;
  };
  // A mask that does not say otherwise matches recirc_id exactly.
  if (!word(KEY_ATTR.RECIRC_ID, W_RECIRC_ID) && isMask) flow[base + W_RECIRC_ID] = -1;
  word(KEY_ATTR.DP_HASH, W_DP_HASH);
  word(KEY_ATTR.PRIORITY, W_SKB_PRIORITY);
  word(KEY_ATTR.SKB_MARK, W_SKB_MARK);
  connection();
  if (has(KEY_ATTR.TUNNEL)) {
    const start = at[KEY_ATTR.TUNNEL]!;
    const result = tunnelToFlow(bytes, start, start + size[KEY_ATTR.TUNNEL]!, flow, base, isMask);
    if (result.fitness === 'error') return result;
    if (result.fitness === 'perfect') expect(bit(KEY_ATTR.TUNNEL));
  }
  if (!word(KEY_ATTR.IN_PORT, W_IN_PORT) && !isMask) flow[base + W_IN_PORT] = PORT_NONE;
  return undefined;
}

function connection(): void {
  if ((present & CONNECTION) === 0) return;
  const state = take(KEY_ATTR.CT_STATE) ? getLe32(bytes, at[KEY_ATTR.CT_STATE]!) & 0xff : 0;
  const zone = take(KEY_ATTR.CT_ZONE) ? getLe16(bytes, at[KEY_ATTR.CT_ZONE]!) : 0;
  let proto = 0;
  if (take(KEY_ATTR.CT_MARK)) flow[base + W_CT_MARK] = getLe32(bytes, at[KEY_ATTR.CT_MARK]!);
  if (take(KEY_ATTR.CT_LABELS)) {
    for (let i = 0; i < 4; i++)
      flow[base + W_CT_LABEL + i] = getLe32(bytes, at[KEY_ATTR.CT_LABELS]! + 12 - 4 * i);
  }
  if (take(KEY_ATTR.CT_ORIG_TUPLE_IPV4)) {
    const tuple = at[KEY_ATTR.CT_ORIG_TUPLE_IPV4]!;
    flow[base + W_CT_NW_SRC] = getBe32(bytes, tuple);
    flow[base + W_CT_NW_DST] = getBe32(bytes, tuple + 4);
    flow[base + W_CT_TP] = getBe32(bytes, tuple + 8);
    proto = bytes[tuple + 12]!;
  }
  if (take(KEY_ATTR.CT_ORIG_TUPLE_IPV6)) {
    const tuple = at[KEY_ATTR.CT_ORIG_TUPLE_IPV6]!;
    readIpv6(bytes, tuple, flow, base + W_CT_IPV6_SRC);
    readIpv6(bytes, tuple + 16, flow, base + W_CT_IPV6_DST);
    flow[base + W_CT_TP] = getBe32(bytes, tuple + 32);
    proto = bytes[tuple + 36]!;
  }
  flow[base + W_CT_STATE_PROTO_ZONE] = (state << 24) | (proto << 16) | zone;
}

function ethernet(): void {
  if (take(KEY_ATTR.PACKET_TYPE)) {
    flow[base + W_PACKET_TYPE] = getBe32(bytes, at[KEY_ATTR.PACKET_TYPE]!);
    if (source[sourceBase + W_PACKET_TYPE]! >>> 16 === PT_NS_ETHERTYPE) {
      setDlType(flow[base + W_PACKET_TYPE]! & 0xffff);
    }
  }
  if (take(KEY_ATTR.ETHERNET)) {
    const eth = at[KEY_ATTR.ETHERNET]!;
    flow[base + W_ETH] = getBe32(bytes, eth + 6);
    flow[base + W_ETH + 1] = (getBe16(bytes, eth + 10) << 16) | getBe16(bytes, eth);
    flow[base + W_ETH + 2] = getBe32(bytes, eth + 2);
    if (!isMask) flow[base + W_PACKET_TYPE] = 0;
  } else if (take(KEY_ATTR.ETHERTYPE) && !isMask) {
    flow[base + W_PACKET_TYPE] = (PT_NS_ETHERTYPE << 16) | getBe16(bytes, at[KEY_ATTR.ETHERTYPE]!);
  }
}

/** Ethertype, TPID or "none". Undefined means good. */
function etherType(): FitnessResult | undefined {
  if (take(KEY_ATTR.ETHERTYPE)) {
    const type = getBe16(bytes, at[KEY_ATTR.ETHERTYPE]!);
    setDlType(type);
    if (!isMask && type < ETH_TYPE_MIN) {
      return failed(`eth_type must be at least 0x600, not 0x${type.toString(16)}`);
    }
    if (isMask && sourceDlType() < ETH_TYPE_MIN && type !== 0xffff) {
      return failed(
        `eth_type of a frame that has none must be matched with mask 0xffff, not 0x${type.toString(16)}`,
      );
    }
  } else if (!isMask) {
    setDlType(
      has(KEY_ATTR.IPV4)
        ? ETH_TYPE_IP
        : has(KEY_ATTR.IPV6)
          ? ETH_TYPE_IPV6
          : has(KEY_ATTR.MPLS)
            ? 0x8847
            : ETH_TYPE_NONE,
    );
  } else if (source[sourceBase + W_PACKET_TYPE] !== 0) {
    setDlType(0xffff);
  } else if (sourceDlType() < ETH_TYPE_MIN) {
    return failed('the mask of a frame without Ethertype must have eth_type(0xffff)');
  }
  return undefined;
}

const sourceTci = (tag: number): number => source[sourceBase + W_VLAN0 + tag]! & 0xffff;

/** The tags, outermost first, and what the last encap() holds. */
function tags(limit: number): FitnessResult {
  for (
    let tag = 0;
    tag < limit && (isMask ? (sourceTci(tag) & VLAN_CFI) !== 0 : isVlanType(dlType()));
    tag++
  ) {
    expect(isMask ? present & (VLAN | ENCAP) : VLAN | ENCAP);
    const fitness = verdict();
    const tci = has(KEY_ATTR.VLAN) ? getBe16(bytes, at[KEY_ATTR.VLAN]!) : 0;
    flow[base + W_VLAN0 + tag] = (dlType() << 16) | tci;
    setDlType(0);
    if (!isMask) {
      if (!has(KEY_ATTR.VLAN) || !has(KEY_ATTR.ENCAP)) return TOO_LITTLE;
      // A tag that the packet cuts off: nothing can follow.
      if (tci === 0) return fitness === PERFECT && size[KEY_ATTR.ENCAP]! > 0 ? TOO_MUCH : fitness;
      if ((tci & VLAN_CFI) === 0) return failed(`vlan tci 0x${tci.toString(16)} must have bit 0x1000 set`);
    } else if (!has(KEY_ATTR.ENCAP)) {
      return fitness;
    }
    const start = at[KEY_ATTR.ENCAP]!;
    const wrong = collect(start, start + size[KEY_ATTR.ENCAP]!) ?? etherType() ?? layers();
    if (wrong !== undefined) return wrong;
  }
  return verdict();
}

function parse(limit: number): FitnessResult {
  let wrong = collect(0, bytes.length) ?? metadata();
  if (wrong !== undefined) return wrong;
  ethernet();
  wrong = etherType();
  if (wrong !== undefined) return wrong;
  if (isMask ? (sourceTci(0) & VLAN_CFI) !== 0 : isVlanType(dlType()))
    return tags(Math.min(limit, MAX_VLANS));
  if (isMask) {
    // No vlan in the mask means an exact match on "no tag".
    flow[base + W_VLAN0] = -1;
    if (take(KEY_ATTR.VLAN)) flow[base + W_VLAN0] = (0xffff << 16) | getBe16(bytes, at[KEY_ATTR.VLAN]!);
  }
  return layers() ?? verdict();
}

/**
 * Unpacks a key into the row at `wordsBase` (140 words, overwritten; after an `error` they mean nothing). At most
 * `vlanLimit` tags (0..2) are understood, further ones are `too_much`.
 */
export function keyToFlow(
  key: Uint8Array,
  words: Int32Array,
  wordsBase = 0,
  vlanLimit = MAX_VLANS,
): FitnessResult {
  begin(key, words, wordsBase, words, wordsBase, false);
  return parse(vlanLimit);
}

/**
 * Unpacks the mask that belongs to the key in the row `flowWords`, at `flowBase`, into the row `maskWords`, at
 * `maskBase`; the two rows must not overlap. An empty mask matches exactly every field that the key has.
 */
export function maskToFlow(
  mask: Uint8Array,
  flowWords: Int32Array,
  maskWords: Int32Array,
  flowBase = 0,
  maskBase = 0,
  vlanLimit = MAX_VLANS,
): FitnessResult {
  if (mask.length === 0) {
    exactMask(flowWords, flowBase, maskWords, maskBase);
    return PERFECT;
  }
  begin(mask, maskWords, maskBase, flowWords, flowBase, true);
  return parse(vlanLimit);
}
