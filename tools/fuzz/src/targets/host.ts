/**
 * A host that notes what the executor hands it, with an arena painted in one colour: what is written where no packet is
 * shows, and what is read there gives other results in another colour.
 */

import {
  ActionExecutor,
  type ActionProgram,
  DROP_ACTION_FAILED,
  EXTENSION_CONTINUE,
  EXTENSION_DELIVERED,
  EXTENSION_TAKEN,
  type ExecuteHost,
  extractFrame,
  FramePool,
  LAYER_L4,
  LAYER_WORDS,
  OFFLOAD_CSUM_PARTIAL,
  PacketArena,
  PacketBatch,
  type PacketState,
} from '@etherloom/core';
import { flowToMetadataKey, KEY_WORDS, W_IN_PORT } from '@etherloom/odp-codec';
import { toHex } from '../target.js';

/** Few frames, so that running out of them is part of the game. */
const FRAMES = 6;
const LARGE_FRAMES = 2;
/** Header bytes in front of the payload of super-packets, and payload per segment. */
const GSO_HEADER = 54;
const GSO_SIZE = 100;

export interface Settings {
  readonly packetType: number;
  /** Bit i: the host keeps the frame of call i, modulo 8. */
  readonly keeps: number;
  /** What extensions answer, in turn: two bits each, modulo 4. */
  readonly extension: number;
  /** OFFLOAD_* bits. */
  readonly offload: number;
  /** Of the random numbers of sample. */
  readonly seed: number;
  /** The caller wants the packet back. */
  readonly keepsPacket: boolean;
}

/** Knows how far packets reach in each frame that it gave out: packets grow in front only. */
class WatchedPool extends FramePool {
  readonly ends = new Map<number, number>();

  override allocFor(length: number): number {
    const data = super.allocFor(length);
    if (data < 0) return data;
    const index = this.arena.frameIndex(data);
    this.ends.set(index, Math.max(data + length, this.ends.get(index) ?? 0));
    return data;
  }
}

interface Kept {
  readonly data: number;
  readonly bytes: Uint8Array;
}

export class RecordingHost implements ExecuteHost {
  /** What was called, in order, with all that the executor showed. */
  calls: string[] = [];
  drops: number[] = [];
  /** Frames that did not come back, that changed while the host kept them, that were written to outside of packets. */
  leaked = 0;
  changed = 0;
  stray = 0;
  /** Whether the row that the caller gave was written to. */
  wroteRow = false;
  readonly #paint: number;
  #arena: PacketArena;
  #pool: WatchedPool;
  #painted: Uint8Array;
  #settings: Settings | undefined;
  #extensions = 0;
  #kept: Kept[] = [];
  /** A run threw, or lost frames: start with new memory. */
  #dirty = false;

  constructor(paint: number) {
    this.#paint = paint;
    [this.#arena, this.#pool, this.#painted] = this.#renew();
  }

  #renew(): [PacketArena, WatchedPool, Uint8Array] {
    const arena = PacketArena.create({ frames: FRAMES, largeFrames: LARGE_FRAMES });
    arena.bytes.fill(this.#paint, arena.smallBase);
    return [arena, new WatchedPool(arena), arena.bytes.slice()];
  }

  /** Runs `program` on `frame`; afterwards the fields tell what happened. */
  run(frame: Uint8Array, program: ActionProgram, settings: Settings): void {
    if (this.#dirty) [this.#arena, this.#pool, this.#painted] = this.#renew();
    this.#dirty = true;
    this.#settings = settings;
    this.#extensions = 0;
    this.#kept = [];
    this.calls = [];
    this.drops = [];

    const row = new Int32Array(KEY_WORDS);
    row[W_IN_PORT] = 1;
    const executor = new ActionExecutor(this.#pool, this, settings.seed);
    this.#load(executor, frame, row, settings);
    const before = row.slice();
    executor.run(program, settings.keepsPacket);
    this.wroteRow = row.some((word, i) => word !== before[i]);
    if (settings.keepsPacket) {
      this.#note('kept', 0, executor.packet, false);
      this.#pool.release(executor.packet.data);
    }
    this.#takeStock();
  }

  #load(executor: ActionExecutor, frame: Uint8Array, row: Int32Array, settings: Settings): void {
    const { packetType, offload } = settings;
    const data = this.#pool.allocFor(frame.length);
    this.#arena.bytes.set(frame, data);
    const layers = new Int32Array(LAYER_WORDS);
    extractFrame(this.#arena.view, data, frame.length, packetType, 2, row, 0, layers, 0);
    const batch = new PacketBatch(1);
    batch.push(data, frame.length);
    const l4 = layers[LAYER_L4]!;
    batch.offload[0] = l4 < 0 ? offload & ~OFFLOAD_CSUM_PARTIAL : offload;
    batch.csumStart[0] = Math.max(l4, 0);
    batch.csumOffset[0] = 16;
    batch.gsoSize[0] = GSO_SIZE;
    batch.gsoHeader[0] = GSO_HEADER;
    executor.load(batch, 0, packetType, layers, 0, row, 0);
  }

  /** Takes back what the host kept, looks where bytes changed, and paints used frames over. */
  #takeStock(): void {
    const arena = this.#arena;
    this.changed = 0;
    for (const { data, bytes } of this.#kept) {
      if (!arena.bytes.subarray(data, data + bytes.length).every((byte, i) => byte === bytes[i]))
        this.changed++;
      this.#pool.release(data);
    }
    this.leaked = FRAMES - this.#pool.free + LARGE_FRAMES - this.#pool.freeLarge;
    // A free frame has the one reference of its next owner.
    if (arena.refs.some((count) => count !== 1)) this.leaked = Math.max(this.leaked, 1);
    this.stray = 0;
    for (let index = 0; index < FRAMES + LARGE_FRAMES; index++) {
      const start = arena.frameStart(index);
      const end = arena.frameEnd(start);
      const used = this.#pool.ends.get(index) ?? start;
      if (Buffer.compare(arena.bytes.subarray(used, end), this.#painted.subarray(used, end)) !== 0)
        this.stray++;
      arena.bytes.fill(this.#paint, start, used);
    }
    this.#pool.ends.clear();
    this.#dirty = this.leaked > 0 || this.stray > 0;
  }

  output(packet: PacketState, port: number, last: boolean): void {
    this.#note('output', port, packet, last);
    this.#keepOrRelease(packet, last);
  }

  userspace(packet: PacketState, _program: ActionProgram, index: number, last: boolean): void {
    this.#note('userspace', index, packet, last);
    this.#keepOrRelease(packet, last);
  }

  recirc(packet: PacketState, id: number, last: boolean): void {
    this.#note('recirc', id, packet, last);
    this.#keepOrRelease(packet, last);
  }

  extension(packet: PacketState, _program: ActionProgram, index: number, last: boolean): number {
    this.#note('extension', index, packet, last);
    const { extension, keepsPacket } = this.#settings!;
    switch ((extension >> ((this.#extensions++ & 3) * 2)) & 3) {
      case 1:
        return EXTENSION_DELIVERED;
      case 2:
        // Of a packet that the caller wants back the host must not take the frame.
        if (keepsPacket) return EXTENSION_DELIVERED;
        this.#pool.release(packet.data);
        return EXTENSION_TAKEN;
      case 3:
        return DROP_ACTION_FAILED;
      default:
        return EXTENSION_CONTINUE;
    }
  }

  drop(_packet: PacketState, reason: number): void {
    this.drops.push(reason);
  }

  #note(what: string, operand: number, packet: PacketState, last: boolean): void {
    const { data, length, metadata, metadataBase, pendingCut, packetType, offload } = packet;
    const bytes = toHex(this.#arena.bytes.slice(data, data + length));
    const key = toHex(flowToMetadataKey(metadata, metadataBase));
    this.calls.push(`${what} ${operand} ${last} ${packetType} ${offload} ${pendingCut} ${bytes} ${key}`);
  }

  /** A frame that comes with the call is ours to keep or to release; of others we may take a reference. */
  #keepOrRelease(packet: PacketState, last: boolean): void {
    const { data, length } = packet;
    if (((this.#settings!.keeps >> (this.calls.length & 7)) & 1) !== 0) {
      if (!last) this.#pool.retain(data);
      this.#kept.push({ data, bytes: this.#arena.bytes.slice(data, data + length) });
    } else if (last) {
      this.#pool.release(data);
    }
  }
}
