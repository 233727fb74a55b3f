/**
 * Hashes for the hash action, over a packed key. Hot: no allocation, no throw. The function is private to the
 * datapath: what counts is that packets of a flow agree, and that flows spread.
 */

import {
  W_ETH,
  W_IPV6_DST,
  W_IPV6_SRC,
  W_NW_DST,
  W_NW_SRC,
  W_TP,
  W_TYPE_FRAG_PROTO,
} from '@etherloom/odp-codec/data';

const ETH_TYPE_IPV6 = 0x86dd;
const PROTO_ICMP = 1;
const PROTO_ICMPV6 = 58;

/** One step of MurmurHash3 (public domain, x86 32-bit variant). */
function mix(hash: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
  const h = hash ^ k;
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64) | 0;
}

/** Its finish; never 0, which stands for "no hash". */
function finishHash(hash: number): number {
  let h = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  h ^= h >>> 16;
  return h === 0 ? 1 : h;
}

/**
 * Hash of addresses, protocol and ports of the key at `keys[base]`, and of `basis`; of Ethernet addresses and type when
 * the packet is not IP. Later fragments have no ports. Not 0.
 */
export function hashFlow(keys: Int32Array, base: number, basis: number): number {
  const type = keys[base + W_TYPE_FRAG_PROTO]!;
  // Not the fragment bits: a first fragment with ports and an unfragmented packet go the same way.
  let hash = mix(basis, type & 0xffff00ff);
  if (type >>> 16 === ETH_TYPE_IPV6) {
    for (let word = 0; word < 8; word++) hash = mix(hash, keys[base + W_IPV6_SRC + word]!);
  } else if ((keys[base + W_NW_SRC]! | keys[base + W_NW_DST]!) !== 0) {
    hash = mix(mix(hash, keys[base + W_NW_SRC]!), keys[base + W_NW_DST]!);
  } else {
    for (let word = 0; word < 3; word++) hash = mix(hash, keys[base + W_ETH + word]!);
  }
  return finishHash(mix(hash, keys[base + W_TP]!));
}

/** As {@link hashFlow}, with the same result for both directions of a conversation. */
export function hashFlowSymmetric(keys: Int32Array, base: number, basis: number): number {
  const type = keys[base + W_TYPE_FRAG_PROTO]!;
  let hash = mix(basis, type & 0xffff00ff);
  if (type >>> 16 === ETH_TYPE_IPV6) {
    for (let word = 0; word < 4; word++) {
      hash = mix(hash, keys[base + W_IPV6_SRC + word]! ^ keys[base + W_IPV6_DST + word]!);
    }
  } else if ((keys[base + W_NW_SRC]! | keys[base + W_NW_DST]!) !== 0) {
    hash = mix(hash, keys[base + W_NW_SRC]! ^ keys[base + W_NW_DST]!);
  } else {
    // Destination is bytes 0..5, source 6..11.
    const middle = keys[base + W_ETH + 1]!;
    const source = (middle << 16) | (keys[base + W_ETH + 2]! >>> 16);
    hash = mix(hash, keys[base + W_ETH]! ^ source);
    hash = mix(hash, (middle >>> 16) ^ (keys[base + W_ETH + 2]! & 0xffff));
  }
  // Type and code of ICMP share the ports' word, and an echo reply has another type than its request.
  const proto = type & 0xff;
  const ports = proto === PROTO_ICMP || proto === PROTO_ICMPV6 ? 0 : keys[base + W_TP]!;
  return finishHash(mix(hash, (ports >>> 16) ^ (ports & 0xffff)));
}
