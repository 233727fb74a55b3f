/**
 * The metadata of a packet as a key: what accompanies a packet that is executed, and what its actions have made of it
 * (OVS: odp_key_to_dp_packet, odp_key_from_dp_packet). Headers are not part of it; they are read from the packet.
 */
import { KEY_ATTR } from '../key/attributes.js';
import { getBe16, getBe32, getLe16, getLe32, putLe32 } from '../key/bytes.js';
import { keyLength } from '../key/schema.js';
import { NlReader, type NlWriter } from '../netlink.js';
import { borrowWriter, finishWriter } from '../spare.js';
import {
  KEY_WORDS,
  W_CT_IPV6_DST,
  W_CT_IPV6_SRC,
  W_CT_LABEL,
  W_CT_MARK,
  W_CT_NW_DST,
  W_CT_NW_SRC,
  W_CT_STATE_PROTO_ZONE,
  W_CT_TP,
  W_DP_HASH,
  W_IN_PORT,
  W_NSH,
  W_PACKET_TYPE,
  W_RECIRC_ID,
  W_SKB_MARK,
  W_SKB_PRIORITY,
  W_TUN_ID,
} from './fields.js';
import { connectionTuple } from './flow-to-key.js';
import { ETH_TYPE_IP, ETH_TYPE_IPV6, PORT_NONE, PT_NS_ETHERTYPE } from './protocols.js';
import { hasTunnel, isIpv6Set, readIpv6, tunnelFromFlow, tunnelToFlow } from './tunnel.js';

/**
 * Encodes the metadata words of the row at `base`. recirc_id is not part of it; eth_type stands for the packet type of
 * a packet that is not Ethernet.
 */
export function flowToMetadataKey(words: Int32Array, base = 0): Uint8Array {
  const writer = borrowWriter();
  writer.u32(KEY_ATTR.PRIORITY, words[base + W_SKB_PRIORITY]!);
  if (words[base + W_DP_HASH] !== 0) writer.u32(KEY_ATTR.DP_HASH, words[base + W_DP_HASH]!);
  if (hasTunnel(words, base)) tunnelFromFlow(KEY_ATTR.TUNNEL, words, base, words, base, writer);
  writer.u32(KEY_ATTR.SKB_MARK, words[base + W_SKB_MARK]!);
  if (words[base + W_CT_STATE_PROTO_ZONE]! >>> 24 !== 0) connection(words, base, writer);
  if (words[base + W_IN_PORT]! >>> 0 !== PORT_NONE) writer.u32(KEY_ATTR.IN_PORT, words[base + W_IN_PORT]!);
  const packetType = words[base + W_PACKET_TYPE]!;
  if (packetType >>> 16 === PT_NS_ETHERTYPE) writer.be16(KEY_ATTR.ETHERTYPE, packetType & 0xffff);
  return finishWriter(writer);
}

/** What a tracked packet says of its connection; zeros are left out. */
function connection(words: Int32Array, base: number, writer: NlWriter): void {
  const state = words[base + W_CT_STATE_PROTO_ZONE]!;
  writer.u32(KEY_ATTR.CT_STATE, state >>> 24);
  if ((state & 0xffff) !== 0) writer.u16(KEY_ATTR.CT_ZONE, state & 0xffff);
  if (words[base + W_CT_MARK] !== 0) writer.u32(KEY_ATTR.CT_MARK, words[base + W_CT_MARK]!);
  if (isIpv6Set(words, base + W_CT_LABEL)) {
    const at = writer.reserve(KEY_ATTR.CT_LABELS, 16);
    for (let i = 0; i < 4; i++) putLe32(writer.memory, at + 12 - 4 * i, words[base + W_CT_LABEL + i]!);
  }
  if (((state >>> 16) & 0xff) === 0) return;
  const isIpv6 = isIpv6Set(words, base + W_CT_IPV6_SRC) || isIpv6Set(words, base + W_CT_IPV6_DST);
  connectionTuple(isIpv6 ? ETH_TYPE_IPV6 : ETH_TYPE_IP, words, base, writer);
}

/** Words of a row that are metadata, from and to: the rest is read from the packet. */
const RUNS = [
  [W_IN_PORT, W_RECIRC_ID + 1],
  [W_DP_HASH, W_NSH],
  [W_TUN_ID, KEY_WORDS],
] as const;

/**
 * Overwrites the metadata words of the row at `base` with those of `key`; what the key does not have becomes zero, a
 * missing in_port "none". The packet type is Ethernet if the key has eth(), else what eth_type says, else it stays.
 * Attributes of a wrong length, or of headers, are passed over.
 */
export function metadataFromKey(key: Uint8Array, words: Int32Array, base = 0): void {
  for (const [start, end] of RUNS) words.fill(0, base + start, base + end);
  words[base + W_IN_PORT] = PORT_NONE;
  let ethernet = false;
  let etherType = 0;
  const reader = new NlReader(key);
  while (reader.next()) {
    const { type, length, offset: at } = reader;
    const expected = keyLength(type);
    if (expected >= 0 && expected !== length) continue;
    if (type === KEY_ATTR.ETHERNET) ethernet = true;
    else if (type === KEY_ATTR.ETHERTYPE) etherType = getBe16(key, at);
    else if (type === KEY_ATTR.TUNNEL) tunnelMetadata(key, at, length, words, base);
    else read(type, key, at, words, base);
  }
  if (ethernet) words[base + W_PACKET_TYPE] = 0;
  else if (etherType !== 0) words[base + W_PACKET_TYPE] = (PT_NS_ETHERTYPE << 16) | etherType;
}

function tunnelMetadata(key: Uint8Array, at: number, length: number, words: Int32Array, base: number): void {
  words.fill(0, base + W_TUN_ID, base + KEY_WORDS);
  if (tunnelToFlow(key, at, at + length, words, base, false).fitness === 'error') {
    words.fill(0, base + W_TUN_ID, base + KEY_WORDS);
  }
}

function read(type: number, key: Uint8Array, at: number, words: Int32Array, base: number): void {
  const state = base + W_CT_STATE_PROTO_ZONE;
  switch (type) {
    case KEY_ATTR.RECIRC_ID:
      words[base + W_RECIRC_ID] = getLe32(key, at);
      break;
    case KEY_ATTR.DP_HASH:
      words[base + W_DP_HASH] = getLe32(key, at);
      break;
    case KEY_ATTR.PRIORITY:
      words[base + W_SKB_PRIORITY] = getLe32(key, at);
      break;
    case KEY_ATTR.SKB_MARK:
      words[base + W_SKB_MARK] = getLe32(key, at);
      break;
    case KEY_ATTR.IN_PORT:
      words[base + W_IN_PORT] = getLe32(key, at);
      break;
    case KEY_ATTR.CT_STATE:
      words[state] = (words[state]! & 0xff_ffff) | (getLe32(key, at) << 24);
      break;
    case KEY_ATTR.CT_ZONE:
      words[state] = (words[state]! & ~0xffff) | getLe16(key, at);
      break;
    case KEY_ATTR.CT_MARK:
      words[base + W_CT_MARK] = getLe32(key, at);
      break;
    case KEY_ATTR.CT_LABELS:
      for (let i = 0; i < 4; i++) words[base + W_CT_LABEL + i] = getLe32(key, at + 12 - 4 * i);
      break;
    case KEY_ATTR.CT_ORIG_TUPLE_IPV4:
      words[base + W_CT_NW_SRC] = getBe32(key, at);
      words[base + W_CT_NW_DST] = getBe32(key, at + 4);
      words[base + W_CT_TP] = getBe32(key, at + 8);
      words[state] = (words[state]! & ~0xff_0000) | (key[at + 12]! << 16);
      break;
    case KEY_ATTR.CT_ORIG_TUPLE_IPV6:
      readIpv6(key, at, words, base + W_CT_IPV6_SRC);
      readIpv6(key, at + 16, words, base + W_CT_IPV6_DST);
      words[base + W_CT_TP] = getBe32(key, at + 32);
      words[state] = (words[state]! & ~0xff_0000) | (key[at + 36]! << 16);
      break;
  }
}
