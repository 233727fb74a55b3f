/** A poll-mode thread's end of its command ring: executes what the control thread wrote (layout.hot.ts). */

import { type FramePool, KnownMask, PacketBatch, unpackRow } from '@etherloom/core/data';
import { KEY_WORDS, W_IN_PORT } from '@etherloom/odp-codec/data';
import type { Pipeline } from '../pipeline.hot.js';
import { Recent } from '../recent.js';
import {
  COMMAND_BARRIER,
  COMMAND_DEL,
  COMMAND_EXECUTE,
  COMMAND_FLUSH,
  COMMAND_HEAD,
  COMMAND_MESSAGE,
  COMMAND_MODIFY,
  COMMAND_PUT,
  REPLY_STATS_WORDS,
  REPLY_STATUS_WORDS,
  wordsOf,
} from './layout.hot.js';
import type { Chores } from './loop.hot.js';
import type { Replica } from './replica.js';
import type { SharedRing } from './ring.hot.js';

const ENOBUFS = 105;
/** Masks of puts that are remembered. */
const MASKS = 32;

export class CommandReader implements Chores {
  sequence = 0;
  message = false;
  readonly #ring: SharedRing;
  readonly #replies: SharedRing;
  readonly #replica: Replica;
  readonly #pipeline: Pipeline;
  readonly #pool: FramePool;
  readonly #tick: () => void;
  readonly #key = new Int32Array(KEY_WORDS);
  readonly #masks = new Recent<KnownMask>(MASKS);
  readonly #batch = new PacketBatch(1);
  readonly #double = new Float64Array(1);
  readonly #half = new Int32Array(this.#double.buffer);

  constructor(
    ring: SharedRing,
    replies: SharedRing,
    replica: Replica,
    pipeline: Pipeline,
    pool: FramePool,
    tick: () => void,
  ) {
    this.#ring = ring;
    this.#replies = replies;
    this.#replica = replica;
    this.#pipeline = pipeline;
    this.#pool = pool;
    this.#tick = tick;
  }

  commands(max: number): number {
    const ring = this.#ring;
    let count = 0;
    while (count < max && !this.message) {
      const at = ring.peek();
      if (at < 0 || !this.#canReply()) break;
      this.#execute(ring.words[at]!, at + COMMAND_HEAD);
      this.sequence = ring.words[at + 1]!;
      ring.skip();
      count++;
    }
    return count;
  }

  tick(): void {
    this.#replica.classifier.rank();
    this.#tick();
  }

  #canReply(): boolean {
    const replies = this.#replies;
    if (replies.fits(REPLY_STATS_WORDS)) return true;
    replies.refresh();
    return replies.fits(REPLY_STATS_WORDS);
  }

  #execute(kind: number, at: number): void {
    const { words } = this.#ring;
    const replica = this.#replica;
    switch (kind) {
      case COMMAND_PUT: {
        const keyAt = at + 4;
        const maskAt = keyAt + words[at + 1]!;
        unpackRow(words, keyAt, this.#key, 0);
        const mask = this.#mask(maskAt, words[at + 2]!);
        const actions = this.#bytes(maskAt + words[at + 2]!, words[at + 3]!);
        replica.put(words[at]!, this.#key, mask, actions);
        break;
      }
      case COMMAND_MODIFY: {
        const flow = words[at]!;
        const zero = words[at + 1]! !== 0;
        if (zero) this.#replyStats(flow);
        replica.modify(flow, zero, this.#bytes(at + 3, words[at + 2]!));
        break;
      }
      case COMMAND_DEL:
        replica.del(words[at]!);
        this.#replyStats(words[at]!);
        break;
      case COMMAND_FLUSH:
        replica.flush();
        break;
      case COMMAND_EXECUTE:
        this.#replyStatus(this.#send(at));
        break;
      case COMMAND_MESSAGE:
        this.message = true;
        break;
      case COMMAND_BARRIER:
        break;
    }
  }

  /** Runs a client's packet through its actions; returns 0 or an errno. */
  #send(at: number): number {
    const { words } = this.#ring;
    const packetType = words[at]!;
    const actionsAt = at + 4 + words[at + 1]!;
    const length = words[at + 3]!;
    const data = this.#pool.allocFor(length);
    if (data < 0) return ENOBUFS;
    unpackRow(words, at + 4, this.#key, 0);
    const packet = this.#bytes(actionsAt + wordsOf(words[at + 2]!), length);
    this.#pool.arena.bytes.set(packet, data);
    const batch = this.#batch;
    batch.count = 0;
    batch.push(data, length);
    const { actions } = this.#replica;
    const id = actions.acquire(this.#bytes(actionsAt, words[at + 2]!));
    const program = actions.programs[id]!;
    if (program.outputsOnly !== undefined && packetType === 0)
      this.#pipeline.send(batch, this.#key[W_IN_PORT]! >>> 0, program.outputsOnly);
    else this.#pipeline.execute(batch, this.#key, packetType, program);
    actions.release(id);
    return 0;
  }

  #mask(at: number, length: number): KnownMask {
    const { words } = this.#ring;
    const known = this.#masks.find(words, at, length);
    if (known !== undefined) return known;
    const mask = new KnownMask(new Int32Array(KEY_WORDS));
    unpackRow(words, at, mask.row, 0);
    this.#masks.add(words, at, length, mask);
    return mask;
  }

  #bytes(at: number, length: number): Uint8Array {
    return this.#ring.bytes.subarray(at * 4, at * 4 + length);
  }

  #replyStats(flow: number): void {
    const { counters } = this.#replica;
    const at = this.#replies.reserve(REPLY_STATS_WORDS);
    this.#writeDouble(at, counters.packets(flow));
    this.#writeDouble(at + 2, counters.bytes(flow));
    this.#writeDouble(at + 4, counters.used(flow));
    this.#replies.words[at + 6] = counters.tcpFlags(flow);
  }

  #replyStatus(status: number): void {
    this.#replies.words[this.#replies.reserve(REPLY_STATUS_WORDS)] = status;
  }

  #writeDouble(at: number, value: number): void {
    this.#double[0] = value;
    this.#replies.words[at] = this.#half[0]!;
    this.#replies.words[at + 1] = this.#half[1]!;
  }
}
