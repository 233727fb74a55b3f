/**
 * What the keys of one form may differ in (key-forms.ts, row-forms.ts): which bytes of which attributes, where they are in
 * a row, and how they get from one to the other.
 */
import { KEY_ATTR, VLAN_CFI } from '../key/attributes.js';
import { NlReader } from '../netlink.js';
import {
  W_ARP_HA,
  W_CT_LABEL,
  W_CT_MARK,
  W_CT_STATE_PROTO_ZONE,
  W_DP_HASH,
  W_ETH,
  W_IN_PORT,
  W_IPV6_LABEL,
  W_IPV6_SRC,
  W_ND_TARGET,
  W_NW_SRC,
  W_RECIRC_ID,
  W_SKB_MARK,
  W_SKB_PRIORITY,
  W_TOS_TTL_FLAGS,
  W_TP,
} from './fields.js';

/** Bytes of an attribute's payload that may differ, in a run, and the byte of the row that the first one goes to. */
interface Run {
  readonly from: number;
  readonly bytes: number;
  /** Counted as rows are read: most significant byte of a word first. */
  readonly to: number;
  /** The bytes stand in the opposite order: host order. */
  readonly reversed?: boolean;
  /** Bits of the first byte that may not differ. */
  readonly fixed?: number;
}

const host = (word: number): Run => ({ from: 0, bytes: 4, to: word * 4, reversed: true });
const network = (from: number, bytes: number, word: number, byte = 0): Run => ({
  from,
  bytes,
  to: word * 4 + byte,
});

const PORTS: readonly Run[] = [network(0, 4, W_TP)];

/**
 * By attribute. What is not named here is the same in all keys of a form: protocols, fragment and ICMP types decide which
 * attributes belong to a key. Of attributes that are not here at all a row may say less than the key, or more.
 */
const RUNS: Readonly<Record<number, readonly Run[]>> = {
  [KEY_ATTR.RECIRC_ID]: [host(W_RECIRC_ID)],
  [KEY_ATTR.DP_HASH]: [host(W_DP_HASH)],
  [KEY_ATTR.PRIORITY]: [host(W_SKB_PRIORITY)],
  [KEY_ATTR.SKB_MARK]: [host(W_SKB_MARK)],
  [KEY_ATTR.IN_PORT]: [host(W_IN_PORT)],
  // A row has the lowest byte.
  [KEY_ATTR.CT_STATE]: [network(0, 1, W_CT_STATE_PROTO_ZONE)],
  [KEY_ATTR.CT_ZONE]: [{ from: 0, bytes: 2, to: W_CT_STATE_PROTO_ZONE * 4 + 2, reversed: true }],
  [KEY_ATTR.CT_MARK]: [host(W_CT_MARK)],
  [KEY_ATTR.CT_LABELS]: [{ from: 0, bytes: 16, to: W_CT_LABEL * 4, reversed: true }],
  [KEY_ATTR.PACKET_TYPE]: [],
  // struct ovs_key_ethernet: source, then destination.
  [KEY_ATTR.ETHERNET]: [network(0, 6, W_ETH, 6), network(6, 6, W_ETH)],
  [KEY_ATTR.ETHERTYPE]: [],
  [KEY_ATTR.IPV4]: [network(0, 8, W_NW_SRC), network(9, 2, W_TOS_TTL_FLAGS)],
  [KEY_ATTR.IPV6]: [
    network(0, 32, W_IPV6_SRC),
    // A flow label of more than 20 bits is one that no packet has.
    { ...network(33, 3, W_IPV6_LABEL, 1), fixed: 0xf0 },
    network(37, 2, W_TOS_TTL_FLAGS),
  ],
  [KEY_ATTR.TCP]: PORTS,
  [KEY_ATTR.UDP]: PORTS,
  [KEY_ATTR.SCTP]: PORTS,
  [KEY_ATTR.TCP_FLAGS]: [network(0, 2, W_TOS_TTL_FLAGS, 2)],
  [KEY_ATTR.ICMP]: [],
  [KEY_ATTR.ICMPV6]: [],
  [KEY_ATTR.ARP]: [network(0, 8, W_NW_SRC), network(10, 12, W_ARP_HA)],
  [KEY_ATTR.ND]: [network(0, 16, W_ND_TARGET), network(16, 12, W_ARP_HA)],
};

const TAG_PRESENT = VLAN_CFI >>> 8;

/** A byte of a key that may differ but for its `fixed` bits, and the byte of the row's memory that it goes to. */
export interface FreeByte {
  readonly from: number;
  readonly to: number;
  readonly fixed: number;
}

/** The ways that bring byte `from` of a word to place `to` of another: bit 4 * swapped + places to the left. */
const waysOf = (from: number, to: number): number => (1 << ((to - from) & 3)) | (16 << ((to - 3 + from) & 3));
const SWAPPED = 4;

/**
 * Moves of bytes as moves of words, since byte by byte the 65 of a TCP key took 0.25 us. Quadruples: which word, to which,
 * in what way, and which bits of the latter it replaces.
 */
export function movesOf(bytes: readonly { readonly from: number; readonly to: number }[]): Int32Array {
  const moves: { readonly from: number; readonly to: number; ways: number; bits: number }[] = [];
  for (const byte of bytes) {
    const from = byte.from >> 2;
    const to = byte.to >> 2;
    const ways = waysOf(byte.from & 3, byte.to & 3);
    const bits = 0xff << ((byte.to & 3) * 8);
    const same = moves.find((move) => move.from === from && move.to === to && (move.ways & ways) !== 0);
    if (same === undefined) moves.push({ from, to, ways, bits });
    else {
      same.ways &= ways;
      same.bits |= bits;
    }
  }
  // Of several ways, which only a single byte has, any will do.
  return Int32Array.from(
    moves.flatMap(({ from, to, ways, bits }) => [from, to, 31 - Math.clz32(ways), bits]),
  );
}

/** Makes `moves` from the words at `base` of `source` to those of `target`. */
export function moveWords(moves: Int32Array, source: Int32Array, base: number, target: Int32Array): void {
  for (let i = 0; i < moves.length; i += 4) {
    let word = source[base + moves[i]!]!;
    const to = moves[i + 1]!;
    const way = moves[i + 2]!;
    if (way >= SWAPPED) {
      word = (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);
    }
    const turn = (way & 3) * 8;
    if (turn !== 0) word = (word << turn) | (word >>> (32 - turn));
    const bits = moves[i + 3]!;
    target[to] = (target[to]! & ~bits) | (word & bits);
  }
}

/** Adds to `free` what may differ in `key[start, end)`; `tag` is the row's word for the next tag. False: it has no form. */
export function collect(key: Uint8Array, start: number, end: number, tag: number, free: FreeByte[]): boolean {
  const reader = new NlReader(key, start, end);
  let next = tag;
  while (reader.next()) {
    const { type, offset, length } = reader;
    if (type === KEY_ATTR.ENCAP) {
      if (!collect(key, offset, offset + length, next, free)) return false;
      continue;
    }
    let runs = RUNS[type];
    if (type === KEY_ATTR.VLAN) {
      // A tag that the packet cuts off.
      if ((key[offset]! & TAG_PRESENT) === 0) return false;
      runs = [{ ...network(0, 2, next++, 2), fixed: TAG_PRESENT }];
    }
    if (runs === undefined) return false;
    for (const { from, bytes, to, reversed = false, fixed = 0 } of runs) {
      for (let i = 0; i < bytes; i++) {
        // Rows are words: on the little-endian hosts that speak this ABI their first byte in memory is the last.
        const target = (reversed ? to + bytes - 1 - i : to + i) ^ 3;
        free.push({ from: offset + from + i, to: target, fixed: i === 0 ? fixed : 0 });
      }
    }
  }
  return true;
}
