/**
 * Extraction of what neighbours say about each other, which shares words of a key: ARP, RARP and IPv6 neighbour
 * discovery. Hot: no allocation, no throw. Called by `extract.hot.ts`, which has zeroed the row.
 */

import {
  W_ARP_HA,
  W_IGMP_GROUP,
  W_ND_TARGET,
  W_NW_DST,
  W_NW_SRC,
  W_TOS_TTL_FLAGS,
  W_TYPE_FRAG_PROTO,
} from '@etherloom/odp-codec/data';

// The module's own constants: see `extract.hot.ts`.
const ARP_HA = W_ARP_HA;
const IGMP_GROUP = W_IGMP_GROUP;
const ND_TARGET = W_ND_TARGET;
const NW_DST = W_NW_DST;
const NW_SRC = W_NW_SRC;
const TOS_TTL_FLAGS = W_TOS_TTL_FLAGS;
const TYPE_FRAG_PROTO = W_TYPE_FRAG_PROTO;

/** ARP and RARP of Ethernet and IPv4 (RFC 826, RFC 903); 28 bytes at `at`. Other kinds of address contribute nothing. */
export function arp(view: DataView, at: number, keys: Int32Array, base: number): void {
  if (view.getInt32(at) !== 0x00010800 || view.getUint16(at + 4) !== 0x0604) return;
  keys[base + NW_SRC] = view.getInt32(at + 14);
  keys[base + NW_DST] = view.getInt32(at + 24);
  // The key has 8 bits for the operation; a larger one is no operation.
  const operation = view.getUint16(at + 6);
  if (operation <= 0xff) keys[base + TYPE_FRAG_PROTO] = keys[base + TYPE_FRAG_PROTO]! | operation;
  keys[base + ARP_HA] = view.getInt32(at + 8);
  keys[base + ARP_HA + 1] = (view.getUint16(at + 12) << 16) | view.getUint16(at + 18);
  keys[base + ARP_HA + 2] = view.getInt32(at + 20);
}

/** Neighbour solicitation or advertisement (RFC 4861, sections 4.3 and 4.4) of at least 8 bytes at `at`. */
export function neighbourDiscovery(
  view: DataView,
  at: number,
  room: number,
  keys: Int32Array,
  base: number,
): void {
  keys[base + IGMP_GROUP] = view.getInt32(at + 4);
  if (room < 24) return;
  keys[base + ND_TARGET] = view.getInt32(at + 8);
  keys[base + ND_TARGET + 1] = view.getInt32(at + 12);
  keys[base + ND_TARGET + 2] = view.getInt32(at + 16);
  keys[base + ND_TARGET + 3] = view.getInt32(at + 20);
  let left = room - 24;
  at += 24;
  while (left >= 8) {
    const type = view.getUint8(at);
    const option = view.getUint8(at + 1) * 8;
    if (option === 0 || option > left) return;
    if ((type === 1 || type === 2) && option === 8) {
      if (!linkLayerAddress(view, at, type, keys, base)) {
        // The same option twice is an error: neither target nor addresses count, the option type stays.
        for (let word = ARP_HA; word < ND_TARGET + 4; word++) keys[base + word] = 0;
        return;
      }
      const flags = keys[base + TOS_TTL_FLAGS]!;
      if ((flags & 0xffff) === 0) keys[base + TOS_TTL_FLAGS] = flags | type;
    }
    at += option;
    left -= option;
  }
}

/** Stores the address of a source (type 1) or target (2) option; false when that address is set already. */
function linkLayerAddress(view: DataView, at: number, type: number, keys: Int32Array, base: number): boolean {
  const high = view.getInt32(at + 2);
  const low = view.getUint16(at + 6);
  const middle = keys[base + ARP_HA + 1]!;
  if (type === 1) {
    if (keys[base + ARP_HA]! !== 0 || middle >>> 16 !== 0) return false;
    keys[base + ARP_HA] = high;
    keys[base + ARP_HA + 1] = (low << 16) | (middle & 0xffff);
  } else {
    if (keys[base + ARP_HA + 2]! !== 0 || (middle & 0xffff) !== 0) return false;
    keys[base + ARP_HA + 1] = (middle & 0xffff0000) | (high >>> 16);
    keys[base + ARP_HA + 2] = (high << 16) | low;
  }
  return true;
}
