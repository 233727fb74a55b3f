/**
 * The packets around the nested list in work, and metadata rows for lists that change metadata. Hot: no allocation, no
 * throw; the compiler sees to it that nothing nests deeper than there is room.
 */

import {
  KEY_WORDS,
  W_DP_HASH,
  W_NSH,
  W_PACKET_TYPE,
  W_TUN_GNV,
  W_TUN_GNV_LEN,
  W_TUN_ID,
} from '@etherloom/odp-codec/data';
import type { PacketState } from '../packet/modify.hot.js';

/** Deepest nesting of lists that a program may have. */
export const MAX_ACTION_NESTING = 32;

/** What is saved of a packet, in words. */
const SAVED_WORDS = 18;

export class NestedPackets {
  /** Nested lists that are being run on a copy. */
  depth = 0;
  /** Whether the list in work may give its frame away: always in a nested one. */
  owned = false;
  readonly #packet: PacketState;
  readonly #saved = new Int32Array(MAX_ACTION_NESTING * SAVED_WORDS);
  readonly #rows = new Int32Array((MAX_ACTION_NESTING + 1) * KEY_WORDS);

  constructor(packet: PacketState) {
    this.#packet = packet;
  }

  /**
   * Saves the packet; what is in work from now on is its copy, which shares the frame: the caller takes a reference.
   * `after` is where the list goes on. With `cutMoves` a pending truncation is the copy's alone.
   */
  push(after: number, cutMoves: boolean): void {
    const p = this.#packet;
    const saved = this.#saved;
    let at = this.depth++ * SAVED_WORDS;
    saved[at++] = after;
    saved[at++] = this.owned ? 1 : 0;
    saved[at++] = p.data;
    saved[at++] = p.length;
    saved[at++] = p.packetType;
    saved[at++] = p.l2_5;
    saved[at++] = p.l3;
    saved[at++] = p.l4;
    saved[at++] = p.pad;
    saved[at++] = p.laterFragment ? 1 : 0;
    saved[at++] = cutMoves ? 0 : p.cut;
    saved[at++] = p.cutPending && !cutMoves ? 1 : 0;
    saved[at++] = p.offload;
    saved[at++] = p.csumStart;
    saved[at++] = p.csumOffset;
    saved[at++] = p.gsoSize;
    saved[at++] = p.gsoHeader;
    saved[at] = p.metadataBase;
    this.owned = true;
  }

  /** Brings the packet back that was saved last. Returns where its list goes on. */
  pop(): number {
    const p = this.#packet;
    const saved = this.#saved;
    let at = --this.depth * SAVED_WORDS;
    const after = saved[at++]!;
    this.owned = saved[at++] !== 0;
    p.data = saved[at++]!;
    p.length = saved[at++]!;
    p.packetType = saved[at++]!;
    p.l2_5 = saved[at++]!;
    p.l3 = saved[at++]!;
    p.l4 = saved[at++]!;
    p.pad = saved[at++]!;
    p.laterFragment = saved[at++] !== 0;
    p.cut = saved[at++]!;
    p.cutPending = saved[at++] !== 0;
    p.offload = saved[at++]!;
    p.csumStart = saved[at++]!;
    p.csumOffset = saved[at++]!;
    p.gsoSize = saved[at++]!;
    p.gsoHeader = saved[at++]!;
    p.metadataBase = saved[at]!;
    return after;
  }

  /**
   * Gives the list in work a metadata row of its own. Only lists that change metadata get one, since copying it costs
   * more (100 ns) than all else that a simple list does. A program with such a list anywhere starts with a row from here,
   * so that saved rows are always of the same array.
   */
  ownMetadata(): void {
    const p = this.#packet;
    const row = this.depth * KEY_WORDS;
    copyMetadata(p.metadata, p.metadataBase, this.#rows, row);
    p.metadata = this.#rows;
    p.metadataBase = row;
  }
}

/** Copies the metadata words of a row; of tunnel options only as many as either row may have. */
function copyMetadata(from: Int32Array, base: number, to: Int32Array, toBase: number): void {
  const options = from[base + W_TUN_GNV_LEN]! | to[toBase + W_TUN_GNV_LEN]!;
  for (let w = 0; w < W_PACKET_TYPE; w++) to[toBase + w] = from[base + w]!;
  for (let w = W_DP_HASH; w < W_NSH; w++) to[toBase + w] = from[base + w]!;
  const end = options === 0 ? W_TUN_GNV : KEY_WORDS;
  for (let w = W_TUN_ID; w < end; w++) to[toBase + w] = from[base + w]!;
}
