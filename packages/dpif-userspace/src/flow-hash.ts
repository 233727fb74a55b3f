/** The hash by which a flow's upcalls always go to the same handler. */

import {
  W_ETH,
  W_IPV6_DST,
  W_IPV6_SRC,
  W_NW_DST,
  W_NW_SRC,
  W_TP,
  W_TYPE_FRAG_PROTO,
} from '@etherloom/odp-codec';

/** Addresses, type, protocol and ports: what stays the same from packet to packet of one flow, unlike TTL or flags. */
const FIRST = [W_ETH, W_ETH + 1, W_ETH + 2, W_TYPE_FRAG_PROTO, W_NW_SRC, W_NW_DST, W_TP];
const WORDS = [...FIRST, ...[0, 1, 2, 3].flatMap((i) => [W_IPV6_SRC + i, W_IPV6_DST + i])];
/** Fragments of one packet belong together: only some have ports, and `nw_frag` differs. */
const FRAG_MASK = 0xff00;

/** 32 bits. */
export function flowHash(keys: Int32Array, base: number): number {
  const fragment = (keys[base + W_TYPE_FRAG_PROTO]! & FRAG_MASK) !== 0;
  let hash = 0;
  for (const word of WORDS) {
    let value = keys[base + word]!;
    if (word === W_TYPE_FRAG_PROTO) value &= ~FRAG_MASK;
    else if (word === W_TP && fragment) value = 0;
    hash = Math.imul(hash ^ value, 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  return hash;
}
