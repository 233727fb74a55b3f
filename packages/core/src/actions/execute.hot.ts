/**
 * Runs action programs on packets. Hot: no allocation, no throw, whatever the packet's bytes say.
 *
 * Actions change one packet from left to right. A nested list (clone, sample, check_pkt_len) works on a copy, unless
 * nothing follows it: the copy shares the frame until somebody changes a byte, and has metadata of its own if the list
 * sets any.
 *
 * Every packet that the caller does not keep is accounted for: either it was handed to the host at least once, or
 * exactly one drop is counted. A copy that fails (no frame, an action refused) is counted besides, since it was to go
 * somewhere.
 */

import {
  KEY_WORDS,
  W_CT_STATE_PROTO_ZONE,
  W_DP_HASH,
  W_NSH,
  W_TUN_ID,
  W_TYPE_FRAG_PROTO,
} from '@etherloom/odp-codec/data';
import { DROP_ACTION_FAILED, DROP_EXPLICIT, DROP_FLOW, DROP_NO_FRAME, DROP_NO_HEADROOM } from '../drops.js';
import {
  extractFrame,
  LAYER_L2_5,
  LAYER_L2_PAD,
  LAYER_L3,
  LAYER_L4,
  LAYER_WORDS,
} from '../flow/extract.hot.js';
import { MAX_PACKET, MAX_SUPER_PACKET } from '../packet/arena.js';
import { OFFLOAD_GSO, type PacketBatch } from '../packet/batch.hot.js';
import type { FramePool } from '../packet/frame-pool.hot.js';
import { PacketState } from '../packet/modify.hot.js';
import { change, OP_FIRST_CHANGE } from './change.hot.js';
import { hashFlow, hashFlowSymmetric } from './hash.hot.js';
import { NestedPackets } from './nesting.hot.js';
import { type ActionProgram, EXTENSION_CONTINUE, EXTENSION_TAKEN, type ExecuteHost } from './program.js';

// The instruction set, with the part in change.hot.ts. A program is a row of 32-bit words. An instruction is one word,
// `OP_* | FLAG_* | room << ROOM_SHIFT`, followed by its operands. A list of actions ends with OP_END. A nested list stands right behind the
// instruction that runs it, which says where the program goes on. "value, mask" means `value | (old & ~mask)`. The
// numbers stand where they are used: a list of one output takes 20 ns, and 33 ns with the numbers imported from a module
// of their own, since V8 knows the value of a module's own constants only.

export const OP_MASK = 0xff;
/** The last action of its list: whoever takes the packet may keep it. */
export const FLAG_LAST = 0x100;
/** Something in the nested list changes metadata, so that it needs a copy of them. */
export const FLAG_METADATA = 0x200;
/** In the bits from this one on: how many bytes the instruction adds in front of the packet. */
export const ROOM_SHIFT = 16;

/** End of a list. */
export const OP_END = 0;
/** port */
export const OP_OUTPUT = 1;
/** index into `ActionProgram.userspace` */
export const OP_USERSPACE = 2;
/** recirculation id */
export const OP_RECIRC = 3;
/** index into `ActionProgram.extensions` */
export const OP_EXTENSION = 4;
export const OP_DROP = 5;
/** next; the nested list follows */
export const OP_CLONE = 6;
/** probability (of 2 ** 32 - 1), next; the nested list follows */
export const OP_SAMPLE = 7;
/** length, start of the list for shorter or equal ones, next; the list for longer ones follows */
export const OP_CHECK_LENGTH = 8;
/** longest length, 14 or more */
export const OP_TRUNC = 9;
/** algorithm (0 or 1), basis */
export const OP_HASH = 10;
export const OP_CT_CLEAR = 11;
/** word of the metadata row, value, mask */
export const OP_SET_METADATA = 12;
/** words n, then n words from W_TUN_ID on; those behind become 0 */
export const OP_SET_TUNNEL = 13;

/** Bit of a key's `nw_frag`: a fragment other than the first. */
const FRAG_LATER = 0x200;

/** The list is over: with the frame still ours, or with the frame gone to the host. Else a step gives the next one. */
const OVER = -1;
const GONE = -2;

export class ActionExecutor {
  /** The packet in work: after {@link load}, and after {@link run} if it was kept. */
  readonly packet: PacketState;
  readonly #pool: FramePool;
  readonly #host: ExecuteHost;
  /** Key and layers for the hash action. */
  readonly #keys = new Int32Array(KEY_WORDS);
  readonly #layers = new Int32Array(LAYER_WORDS);
  readonly #around: NestedPackets;
  /** What happened to the packet so far: handed to the host, counted as a drop, met a drop action. */
  #handed = false;
  #counted = false;
  #explicit = false;
  #random: number;

  /**
   * One per thread. Copies come from `pool`, whose arena all loaded packets are in. `seed` starts the random numbers of
   * sample.
   */
  constructor(pool: FramePool, host: ExecuteHost, seed = 0x2545_f491) {
    this.#pool = pool;
    this.#host = host;
    this.#random = seed | 0 || 1;
    this.packet = new PacketState(pool.arena, this.#keys);
    this.#around = new NestedPackets(this.packet);
  }

  /**
   * Takes over packet `i` of `batch` with one reference to its frame. `layers[layersBase ..]` and the row at
   * `keys[base]` are what extraction made of it, with the metadata words filled in. The row is read until the run is
   * over, and not written.
   */
  load(
    batch: PacketBatch,
    i: number,
    packetType: number,
    layers: Int32Array,
    layersBase: number,
    keys: Int32Array,
    base: number,
  ): void {
    const p = this.packet;
    p.data = batch.data[i]!;
    p.length = batch.length[i]!;
    p.packetType = packetType;
    p.l2_5 = layers[layersBase + LAYER_L2_5]!;
    p.l3 = layers[layersBase + LAYER_L3]!;
    p.l4 = layers[layersBase + LAYER_L4]!;
    p.pad = layers[layersBase + LAYER_L2_PAD]!;
    p.laterFragment = (keys[base + W_TYPE_FRAG_PROTO]! & FRAG_LATER) !== 0;
    p.clearCut();
    p.offload = batch.offload[i]!;
    p.csumStart = batch.csumStart[i]!;
    p.csumOffset = batch.csumOffset[i]!;
    p.gsoSize = batch.gsoSize[i]!;
    p.gsoHeader = batch.gsoHeader[i]!;
    p.metadata = keys;
    p.metadataBase = base;
  }

  /**
   * Runs `program` on the loaded packet. Unless `keep` is true the frame is gone afterwards. With `keep` the packet
   * stays in {@link packet} as the actions left it, even when they dropped it, and its frame (maybe another one than
   * before) is the caller's.
   */
  run(program: ActionProgram, keep = false): void {
    const code = program.code;
    const p = this.packet;
    this.#around.depth = 0;
    this.#around.owned = !keep;
    this.#handed = false;
    this.#counted = false;
    this.#explicit = false;
    if (program.changesMetadata) this.#around.ownMetadata();
    let pc = 0;
    for (;;) {
      const word = code[pc]!;
      const operation = word & OP_MASK;
      // Where to go on: negative when the list is over, with the frame still ours (END) or not (GONE).
      let next: number;
      if (operation >= OP_FIRST_CHANGE) {
        next = this.#change(operation, word >>> ROOM_SHIFT, code, pc);
      } else {
        switch (operation) {
          case OP_OUTPUT:
          case OP_USERSPACE:
          case OP_RECIRC:
          case OP_EXTENSION:
            next = this.#hand(
              program,
              operation,
              code[pc + 1]!,
              this.#around.owned && (word & FLAG_LAST) !== 0,
            );
            if (next === 0) next = pc + 2;
            break;
          case OP_CLONE:
            next = pc + 2;
            this.#enter(word, code[pc + 1]!, p.cutPending);
            break;
          case OP_SAMPLE:
            next = code[pc + 2]!;
            if (this.#sampled(code[pc + 1]!)) {
              this.#enter(word, next, false);
              next = pc + 3;
            }
            break;
          case OP_CHECK_LENGTH:
            next = this.#longer(code[pc + 1]!) ? pc + 4 : code[pc + 2]!;
            this.#enter(word, code[pc + 3]!, false);
            break;
          case OP_TRUNC:
            p.cut = Math.max(p.length - code[pc + 1]!, 0);
            p.cutPending = true;
            next = pc + 2;
            break;
          case OP_HASH:
            this.#hash(code[pc + 1]!, code[pc + 2]!);
            next = pc + 3;
            break;
          case OP_CT_CLEAR:
            p.metadata.fill(0, p.metadataBase + W_CT_STATE_PROTO_ZONE, p.metadataBase + W_NSH);
            next = pc + 1;
            break;
          case OP_SET_METADATA: {
            const at = p.metadataBase + code[pc + 1]!;
            p.metadata[at] = code[pc + 2]! | (p.metadata[at]! & ~code[pc + 3]!);
            next = pc + 4;
            break;
          }
          case OP_SET_TUNNEL: {
            const words = code[pc + 1]!;
            const at = p.metadataBase + W_TUN_ID;
            for (let w = 0; w < words; w++) p.metadata[at + w] = code[pc + 2 + w]!;
            p.metadata.fill(0, at + words, p.metadataBase + KEY_WORDS);
            next = pc + 2 + words;
            break;
          }
          case OP_DROP:
            this.#explicit = true;
            next = OVER;
            break;
          default:
            next = OVER;
        }
      }
      if (next >= 0) {
        pc = next;
        continue;
      }
      if (this.#around.depth === 0) {
        this.#finish(next);
        return;
      }
      if (next === OVER) this.#pool.release(p.data);
      pc = this.#around.pop();
    }
  }

  /** Gives the packet to the host. `last`: the frame too. Returns 0 to go on, OVER or GONE. */
  #hand(program: ActionProgram, operation: number, operand: number, last: boolean): number {
    const p = this.packet;
    if (operation === OP_EXTENSION) {
      const verdict = this.#host.extension(p, program, operand, last);
      if (verdict >= 0) return this.#fail(verdict);
      if (verdict !== EXTENSION_CONTINUE) this.#handed = true;
      return verdict === EXTENSION_TAKEN ? GONE : 0;
    }
    this.#handed = true;
    if (operation === OP_RECIRC) {
      this.#host.recirc(p, operand >>> 0, last);
    } else {
      if (operation === OP_OUTPUT) this.#host.output(p, operand >>> 0, last);
      else this.#host.userspace(p, program, operand, last);
      p.clearCut();
    }
    return last ? GONE : 0;
  }

  /** A failure of this copy of the packet: counted whatever becomes of the others. */
  #fail(reason: number): number {
    this.#counted = true;
    this.#host.drop(this.packet, reason);
    return OVER;
  }

  /** Runs the instruction at `pc`, which changes bytes, on a frame that is ours alone. */
  #change(operation: number, room: number, code: Int32Array, pc: number): number {
    const failure = this.#own(room);
    if (failure >= 0) return this.#fail(failure);
    const next = change(this.packet, operation, code, pc);
    return next >= 0 ? next : this.#fail(DROP_ACTION_FAILED);
  }

  /** Sees to a frame that nobody else has, with `room` bytes in front of the packet. Returns a DROP_* reason or -1. */
  #own(room: number): number {
    const p = this.packet;
    const { arena } = p;
    if (p.length + room > ((p.offload & OFFLOAD_GSO) === 0 ? MAX_PACKET : MAX_SUPER_PACKET)) {
      return DROP_NO_HEADROOM;
    }
    const fits = room === 0 || p.data - room >= arena.frameStart(arena.frameIndex(p.data));
    if (fits && !this.#pool.isShared(p.data)) return -1;
    const copy = this.#pool.allocFor(p.length);
    if (copy < 0) return DROP_NO_FRAME;
    arena.bytes.copyWithin(copy, p.data, p.data + p.length);
    this.#pool.release(p.data);
    p.data = copy;
    return -1;
  }

  /**
   * Starts a nested list. Its packet is a copy, whose truncation is pending or not; `after` is where the list around it
   * goes on. When nothing follows, and the frame may be given away, the nested list goes on with the packet itself.
   */
  #enter(word: number, after: number, cutPending: boolean): void {
    const p = this.packet;
    const around = this.#around;
    if (!around.owned || (word & FLAG_LAST) === 0) {
      // A truncation goes with a clone. With the others the list around keeps it, and the nested one does not see it.
      around.push(after, cutPending);
      this.#pool.retain(p.data);
      if ((word & FLAG_METADATA) !== 0) around.ownMetadata();
    }
    p.cutPending = cutPending;
  }

  /** Ends the run: `how` is OVER or GONE. */
  #finish(how: number): void {
    if (!this.#around.owned) return;
    if (!this.#handed && !this.#counted) {
      this.#host.drop(this.packet, this.#explicit ? DROP_EXPLICIT : DROP_FLOW);
    }
    if (how === OVER) this.#pool.release(this.packet.data);
  }

  /**
   * Whether check_pkt_len finds the packet longer than `limit`. A truncation counts, Ethernet padding does not; of a
   * super-packet the segments count, since they are what will be sent.
   */
  #longer(limit: number): boolean {
    const p = this.packet;
    if ((p.offload & OFFLOAD_GSO) !== 0) return Math.min(p.length, p.gsoHeader + p.gsoSize) > limit;
    return p.length - p.cut - p.pad > limit;
  }

  /** Whether a sample of `probability` is due; that of 0xffffffff always is. xorshift32 (Marsaglia) never gives 0. */
  #sampled(probability: number): boolean {
    let x = this.#random;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#random = x;
    return (x >>> 0) - 1 < probability >>> 0;
  }

  #hash(algorithm: number, basis: number): void {
    const p = this.packet;
    const keys = this.#keys;
    extractFrame(p.view, p.data, p.length, p.packetType, 0, keys, 0, this.#layers, 0);
    p.metadata[p.metadataBase + W_DP_HASH] =
      algorithm === 0 ? hashFlow(keys, 0, basis) : hashFlowSymmetric(keys, 0, basis);
  }
}
