/**
 * The packet that actions work on, and what all header changes share. Hot: no allocation, no throw.
 *
 * Header changes read and write only bytes of the packet, whatever its headers and the layer offsets say: a field that
 * does not lie inside the packet is left alone. They expect a frame that is not shared and, where they grow the packet,
 * room in front of it; the executor sees to both.
 */

import type { PacketArena } from './arena.js';
import { OFFLOAD_CSUM_PARTIAL } from './batch.hot.js';

/** Packet types, `ns << 16 | id`. */
export const PT_ETHERNET = 0;
export const PT_ETHERTYPE = 0x10000;

/**
 * One packet in work. Plain number fields of one long-lived object rather than slots of an array: V8 keeps them as
 * small integers without allocation, and a nested list saves only the few that differ (see execute.hot.ts).
 */
export class PacketState {
  readonly arena: PacketArena;
  readonly view: DataView;
  /** Offset of the first byte in the arena, and bytes. */
  data = 0;
  length = 0;
  /** `ns << 16 | id`; 0 is Ethernet. */
  packetType = PT_ETHERNET;
  /** First label stack entry, network header and transport header, from the first byte; -1 = not set. */
  l2_5 = -1;
  l3 = -1;
  l4 = -1;
  /** Bytes behind the end of the IP packet (Ethernet padding). */
  pad = 0;
  /** Whether the packet is an IP fragment other than the first: what stands at `l4` is payload. */
  laterFragment = false;
  /**
   * Whether rewriting a transport header leaves later fragments alone. False obeys Open vSwitch to the letter, which
   * then writes into the payload (docs/deviations.md).
   */
  protectFragments = true;
  /** Bytes that a truncation takes from the end. */
  cut = 0;
  /** Whether `cut` applies to the next output or userspace action; {@link pendingCut} is what they want. */
  cutPending = false;
  /** OFFLOAD_* bits and what belongs to them, as in a `PacketBatch`. */
  offload = 0;
  csumStart = 0;
  csumOffset = 0;
  gsoSize = 0;
  gsoHeader = 0;
  /**
   * Row of KEY_WORDS words at `metadataBase` of `metadata`. Only the metadata words mean something (in_port,
   * recirc_id, dp_hash, skb_*, ct_*, tun_*); what stands in the words of headers is scratch.
   */
  metadata: Int32Array;
  metadataBase = 0;

  constructor(arena: PacketArena, metadata: Int32Array) {
    this.arena = arena;
    this.view = arena.view;
    this.metadata = metadata;
  }

  /** Bytes that the next output or userspace action leaves out at the end. */
  get pendingCut(): number {
    return this.cutPending ? this.cut : 0;
  }

  /** A truncation has been applied, or does not reach further. */
  clearCut(): void {
    this.cut = 0;
    this.cutPending = false;
  }
}

/** Whether the `bytes` at `offset` (from the packet's first byte, -1 = there are none) lie in the packet. */
export function inPacket(p: PacketState, offset: number, bytes: number): boolean {
  return offset >= 0 && offset + bytes <= p.length;
}

/**
 * Bytes of the transport header and what follows, without padding; 0 when there is no transport header, as in a later
 * fragment.
 */
export function l4Size(p: PacketState): number {
  if (p.l4 < 0 || (p.laterFragment && p.protectFragments)) return 0;
  return p.length - p.l4 - p.pad;
}

/** Whether the transport checksum is still to be finished: then its field holds the pseudo header sum only. */
export function isPartial(p: PacketState): boolean {
  return (p.offload & OFFLOAD_CSUM_PARTIAL) !== 0 && p.csumStart === p.l4;
}

/**
 * Adds `bytes` in front of the packet (negative: removes them). What was in the packet keeps its place in the frame, so
 * the offsets of layers and offloads move; `l2_5` is the caller's, since a new label stack entry is part of it.
 */
export function moveStart(p: PacketState, bytes: number): void {
  p.data -= bytes;
  p.length += bytes;
  if (p.l3 >= 0) p.l3 += bytes;
  if (p.l4 >= 0) p.l4 += bytes;
  p.csumStart += bytes;
  p.gsoHeader += bytes;
}

/**
 * Whether `bytes` can be taken off the front. Never all of them: no device takes an empty packet, and one at the end
 * of a frame would no longer name that frame.
 */
export function canRemove(p: PacketState, bytes: number): boolean {
  return bytes < p.length;
}

/** Forgets where the headers are: until the packet is parsed again nothing can be set in them. */
export function resetLayers(p: PacketState): void {
  p.l2_5 = -1;
  p.l3 = -1;
  p.l4 = -1;
  p.pad = 0;
  p.laterFragment = false;
}

/** Applies `pairs` of value and mask words at `at` of `code` to the packet from `offset` (0 or more) on, to its end. */
export function setWords(p: PacketState, offset: number, code: Int32Array, at: number, pairs: number): void {
  for (let pair = 0; pair < pairs; pair++) {
    const word = offset + pair * 4;
    const value = code[at + pair * 2]!;
    const mask = code[at + pair * 2 + 1]!;
    if (!inPacket(p, word, 4)) {
      setLastBytes(p, word, value, mask);
      return;
    }
    if (mask === 0) continue;
    p.view.setInt32(p.data + word, value | (p.view.getInt32(p.data + word) & ~mask));
  }
}

/** As much of a word as is left of the packet: fewer than 4 bytes, or none. */
function setLastBytes(p: PacketState, offset: number, value: number, mask: number): void {
  for (let byte = offset, shift = 24; byte < p.length; byte++, shift -= 8) {
    const before = p.view.getUint8(p.data + byte);
    p.view.setUint8(p.data + byte, (value >>> shift) | (before & ~(mask >>> shift)));
  }
}
