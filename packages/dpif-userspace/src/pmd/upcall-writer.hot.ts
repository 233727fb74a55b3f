/**
 * A poll-mode thread's end of its upcall ring: copies packets for clients into it. Hot: no allocation, no throw.
 *
 * What does not fit is refused, and so is what would take more than a fair share: a queue's upcalls may occupy as much
 * as is still free (the dynamic threshold of shared-buffer switches). So k floods leave 1/(k + 1) of the ring for those
 * that come after them, however long the control thread does not look.
 */

import {
  type ActionProgram,
  copyBytes,
  DROP_NO_HANDLER,
  DROP_UPCALL_FULL,
  PACKED_WORDS,
  type PacketArena,
  type PacketBatch,
  type PacketState,
  packRow,
} from '@etherloom/core/data';
import { W_IN_PORT, W_PACKET_TYPE } from '@etherloom/odp-codec/data';
import type { UpcallSink } from '../pipeline.hot.js';
import { UPCALL_HEAD, WORD_LISTENING, wordsOf } from './layout.hot.js';
import type { SharedRing } from './ring.hot.js';

const ACCEPTED = -1;
/** Misses are on the account of their port, actions on that of the PID they name. Two that share one share its room. */
const ACCOUNTS = 4096;
const HALF = ACCOUNTS / 2;

const IN_PORT = W_IN_PORT;
const PACKET_TYPE = W_PACKET_TYPE;
const LISTENING = WORD_LISTENING;
const HEAD = UPCALL_HEAD;

export class UpcallWriter implements UpcallSink {
  /** Upcalls that went into the ring. */
  count = 0;
  readonly #ring: SharedRing;
  readonly #control: Int32Array;
  readonly #view: DataView;
  /** Words in the ring, by account. */
  readonly #held = new Int32Array(ACCOUNTS);
  readonly #key = new Int32Array(PACKED_WORDS);

  constructor(ring: SharedRing, control: Int32Array, arena: PacketArena) {
    this.#ring = ring;
    this.#control = control;
    this.#view = arena.view;
  }

  miss(keys: Int32Array, base: number, batch: PacketBatch, i: number): number {
    const account = keys[base + IN_PORT]! & (HALF - 1);
    const data = batch.data[i]!;
    const at = this.#write(0, account, 0, keys, base, data, batch.length[i]!, undefined, undefined);
    if (at < 0) return ~at;
    const { words } = this.#ring;
    words[at + 6] = keys[base + PACKET_TYPE]!;
    words[at + 7] = 0;
    words[at + 8] = batch.offload[i]!;
    words[at + 9] = batch.csumStart[i]!;
    words[at + 10] = batch.csumOffset[i]!;
    words[at + 11] = batch.gsoSize[i]!;
    words[at + 12] = batch.gsoHeader[i]!;
    return ACCEPTED;
  }

  action(keys: Int32Array, base: number, packet: PacketState, program: ActionProgram, index: number): number {
    const { pid, userdata, withActions } = program.userspace[index]!;
    const account = HALF + (pid & (HALF - 1));
    const actions = withActions ? program.actions : undefined;
    const at = this.#write(1, account, pid, keys, base, packet.data, packet.length, userdata, actions);
    if (at < 0) return ~at;
    const { words } = this.#ring;
    words[at + 6] = packet.packetType;
    words[at + 7] = packet.pendingCut;
    words[at + 8] = packet.offload;
    words[at + 9] = packet.csumStart;
    words[at + 10] = packet.csumOffset;
    words[at + 11] = packet.gsoSize;
    words[at + 12] = packet.gsoHeader;
    return ACCEPTED;
  }

  /** Writes all but the metadata of the packet; returns where the record begins, or the complement of a DROP_* reason. */
  #write(
    kind: number,
    account: number,
    pid: number,
    keys: Int32Array,
    base: number,
    data: number,
    length: number,
    userdata: Uint8Array | undefined,
    actions: Uint8Array | undefined,
  ): number {
    if (this.#control[LISTENING] === 0) return ~DROP_NO_HANDLER;
    const ring = this.#ring;
    const held = this.#held;
    ring.refresh();
    for (let at = ring.reclaim(); at >= 0; at = ring.reclaim()) {
      held[ring.words[at]! >> 1]! -= ring.length(at);
    }
    const packed = this.#key;
    const keyWords = packRow(keys, base, packed);
    const userdataWords = userdata === undefined ? 0 : wordsOf(userdata.length);
    const actionWords = actions === undefined ? 0 : wordsOf(actions.length);
    const need = HEAD + keyWords + wordsOf(length) + userdataWords + actionWords;
    if (!ring.fits(need) || held[account]! + need > ring.free) return ~DROP_UPCALL_FULL;
    const start = ring.reserve(need);
    let at = start;
    const { words, bytes } = ring;
    words[at] = kind | (account << 1);
    words[at + 1] = pid;
    words[at + 2] = length;
    words[at + 3] = keyWords;
    words[at + 4] = userdata === undefined ? -1 : userdata.length;
    words[at + 5] = actions === undefined ? -1 : actions.length;
    at += HEAD;
    for (let i = 0; i < keyWords; i++) words[at + i] = packed[i]!;
    at += keyWords;
    copyBytes(this.#view, data, ring.view, at * 4, length);
    at += wordsOf(length);
    if (userdata !== undefined) bytes.set(userdata, at * 4);
    if (actions !== undefined) bytes.set(actions, (at + userdataWords) * 4);
    held[account]! += need;
    this.count++;
    return start;
  }
}
