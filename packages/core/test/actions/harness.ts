/** What the execution tests share: an arena for one packet at a time, and a host that notes what it is given. */

import { KEY_WORDS, parseActions, W_IN_PORT } from '@etherloom/odp-codec';
import { compileActions } from '../../src/actions/compile.js';
import { ActionExecutor } from '../../src/actions/execute.hot.js';
import { type ActionProgram, EXTENSION_CONTINUE, type ExecuteHost } from '../../src/actions/program.js';
import { extractFrame, LAYER_WORDS } from '../../src/flow/extract.hot.js';
import { type ArenaOptions, PacketArena } from '../../src/packet/arena.js';
import { PacketBatch } from '../../src/packet/batch.hot.js';
import { FramePool } from '../../src/packet/frame-pool.hot.js';
import type { PacketState } from '../../src/packet/modify.hot.js';

/** One call of the host. */
export interface Call {
  readonly what: 'output' | 'userspace' | 'recirc' | 'extension';
  /** Port, recirculation id, or index into the program. */
  readonly operand: number;
  readonly last: boolean;
  readonly cut: number;
  readonly bytes: Uint8Array;
  readonly offload: Required<Offload>;
  /** The metadata row. */
  readonly metadata: Int32Array;
}

/** Offload metadata of a packet, see `PacketBatch`. */
export interface Offload {
  readonly flags: number;
  readonly csumStart?: number;
  readonly csumOffset?: number;
  readonly gsoSize?: number;
  readonly gsoHeader?: number;
}

/** A frame that a host kept, and what was in it when it did. */
interface Kept {
  readonly data: number;
  readonly bytes: Uint8Array;
}

export interface BenchOptions extends ArenaOptions {
  /** What extensions answer; default: go on. */
  readonly extension?: (packet: PacketState, type: number) => number;
  /** Whether the host keeps a frame that it is not given, by call number; default never. */
  readonly keeps?: (call: number) => boolean;
  readonly seed?: number;
}

/** A pool that knows how far packets reach in each frame: they are asked for with their length, and grow in front. */
class WatchedPool extends FramePool {
  readonly ends = new Map<number, number>();

  override allocFor(length: number): number {
    const data = super.allocFor(length);
    if (data >= 0) {
      const index = this.arena.frameIndex(data);
      this.ends.set(index, Math.max(data + length, this.ends.get(index) ?? 0));
    }
    return data;
  }
}

export class Bench implements ExecuteHost {
  readonly arena: PacketArena;
  readonly pool: WatchedPool;
  readonly executor: ActionExecutor;
  calls: Call[] = [];
  drops: number[] = [];
  readonly #options: BenchOptions;
  #kept: Kept[] = [];

  constructor(options: BenchOptions = {}) {
    this.#options = options;
    this.arena = PacketArena.create({ frames: 48, largeFrames: 8, ...options });
    this.pool = new WatchedPool(this.arena);
    this.executor = new ActionExecutor(this.pool, this, options.seed);
  }

  /** Puts `frame` into a frame and loads it, as a datapath does. Returns where it is. */
  load(frame: Uint8Array, packetType = 0, offload: Offload = { flags: 0 }): number {
    const data = this.pool.allocFor(frame.length);
    if (data < 0) throw new Error('the pool of the test is empty');
    this.arena.bytes.set(frame, data);
    const keys = new Int32Array(KEY_WORDS);
    keys[W_IN_PORT] = 1;
    const layers = new Int32Array(LAYER_WORDS);
    extractFrame(this.arena.view, data, frame.length, packetType, 2, keys, 0, layers, 0);
    const batch = new PacketBatch(1);
    batch.push(data, frame.length);
    batch.offload[0] = offload.flags;
    batch.csumStart[0] = offload.csumStart ?? 0;
    batch.csumOffset[0] = offload.csumOffset ?? 0;
    batch.gsoSize[0] = offload.gsoSize ?? 0;
    batch.gsoHeader[0] = offload.gsoHeader ?? 0;
    this.executor.load(batch, 0, packetType, layers, 0, keys, 0);
    this.calls = [];
    this.drops = [];
    return data;
  }

  /** Loads `frame` and runs `actions` (dpctl text or a program) on it. */
  run(frame: Uint8Array, actions: string | ActionProgram, packetType = 0, offload?: Offload): this {
    const program = typeof actions === 'string' ? compileActions(parseActions(actions)) : actions;
    this.load(frame, packetType, offload);
    this.executor.run(program);
    return this;
  }

  /** What went out of `port`, in order. */
  sent(port = 1): Uint8Array[] {
    return this.calls.filter((c) => c.what === 'output' && c.operand === port).map((c) => c.bytes);
  }

  /** Frames that nobody gave back, and references to frames. */
  leaks(): { frames: number; refs: number } {
    const frames = this.arena.frames - this.pool.free + (this.arena.largeFrames - this.pool.freeLarge);
    // A free frame keeps the count of its next owner.
    return { frames, refs: frames + this.arena.refs.reduce((sum, count) => sum + count - 1, 0) };
  }

  /** Gives back what the host kept; returns how many of those packets had changed meanwhile. */
  releaseKept(): number {
    let changed = 0;
    for (const { data, bytes } of this.#kept) {
      if (Buffer.compare(bytes, this.arena.bytes.slice(data, data + bytes.length)) !== 0) changed++;
      this.pool.release(data);
    }
    this.#kept = [];
    return changed;
  }

  /** Fills every byte of all frames, so that a stray write or a read outside a packet shows. */
  paint(value: number): void {
    this.arena.bytes.fill(value, this.arena.smallBase);
  }

  /** Number of painted bytes that changed in frames that nobody had, or behind the end of packets in the others. */
  strayWrites(value: number): number {
    let stray = 0;
    const { arena } = this;
    for (let index = 0; index < arena.frames + arena.largeFrames; index++) {
      const start = arena.frameStart(index);
      const end = arena.frameEnd(start);
      for (let at = this.pool.ends.get(index) ?? start; at < end; at++)
        if (arena.bytes[at] !== value) stray++;
    }
    return stray;
  }

  output(packet: PacketState, port: number, last: boolean): void {
    this.#note('output', packet, port, last);
    this.#keepOrRelease(packet, last);
  }

  userspace(packet: PacketState, _program: ActionProgram, index: number, last: boolean): void {
    this.#note('userspace', packet, index, last);
    this.#keepOrRelease(packet, last);
  }

  recirc(packet: PacketState, id: number, last: boolean): void {
    this.#note('recirc', packet, id, last);
    this.#keepOrRelease(packet, last);
  }

  extension(packet: PacketState, program: ActionProgram, index: number, last: boolean): number {
    this.#note('extension', packet, index, last);
    return this.#options.extension?.(packet, program.extensions[index]!.type) ?? EXTENSION_CONTINUE;
  }

  drop(_packet: PacketState, reason: number): void {
    this.drops.push(reason);
  }

  #note(what: Call['what'], packet: PacketState, operand: number, last: boolean): void {
    const { data, length, metadataBase, csumStart, csumOffset, gsoSize, gsoHeader } = packet;
    this.calls.push({
      what,
      operand,
      last,
      cut: packet.pendingCut,
      bytes: this.arena.bytes.slice(data, data + length),
      offload: { flags: packet.offload, csumStart, csumOffset, gsoSize, gsoHeader },
      metadata: packet.metadata.slice(metadataBase, metadataBase + KEY_WORDS),
    });
  }

  /** A frame that comes with the call is ours to keep or to release; of others we may take a reference. */
  #keepOrRelease(packet: PacketState, last: boolean): void {
    const { data, length } = packet;
    if (this.#options.keeps?.(this.calls.length) === true) {
      if (!last) this.pool.retain(data);
      this.#kept.push({ data, bytes: this.arena.bytes.slice(data, data + length) });
    } else if (last) {
      this.pool.release(data);
    }
  }
}
