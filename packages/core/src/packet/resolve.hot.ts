/**
 * Resolves offload metadata in software: takes packets with work left on them over and gives plain ones back, for ports
 * and actions that need those. Hot: no allocation, no throw.
 */

import { DROP_BAD_OFFLOAD, DROP_NO_FRAME } from '../drops.js';
import { MAX_PACKET } from './arena.js';
import { OFFLOAD_GSO, type PacketBatch } from './batch.hot.js';
import type { FramePool } from './frame-pool.hot.js';
import { finishChecksum, Segmenter } from './segment.hot.js';

/**
 *     resolver.begin(batch, i, packetType);
 *     for (let at = resolver.next(); at >= 0; at = resolver.next()) send(at, resolver.length);
 *     drops[resolver.reason] += resolver.lost;
 *
 * A packet with a partial checksum only comes back in its own frame, unless that is shared. A super-packet becomes
 * segments in frames of their own, in the order of its bytes. One per thread; every `begin` is followed by {@link next}
 * until it is -1.
 */
export class OffloadResolver {
  /** Bytes of the packet that {@link next} gave. */
  length = 0;
  /** After the end: packets that could not be made, and the DROP_* reason why. */
  lost = 0;
  reason = DROP_NO_FRAME;

  readonly #pool: FramePool;
  readonly #segmenter: Segmenter;
  /** First byte of the packet in work, whose frame is ours; -1 when there is none. */
  #data = -1;
  #length = 0;
  #csumStart = 0;
  #csumOffset = 0;
  /** Of a super-packet: its segments, and how many were made. 0 when it is none. */
  #segments = 0;
  #made = 0;

  constructor(pool: FramePool) {
    this.#pool = pool;
    this.#segmenter = new Segmenter(pool.arena.bytes, pool.arena.view);
  }

  /**
   * Takes over packet `i` of `batch`, with one reference to its frame. It has a bit of OFFLOAD_UNFINISHED; its
   * `packetType` is `ns << 16 | id`, 0 for Ethernet.
   */
  begin(batch: PacketBatch, i: number, packetType: number): void {
    const data = batch.data[i]!;
    const length = batch.length[i]!;
    const offload = batch.offload[i]!;
    const csumStart = batch.csumStart[i]!;
    this.lost = 0;
    this.#data = data;
    this.#length = length;
    this.#csumStart = csumStart;
    this.#csumOffset = batch.csumOffset[i]!;
    this.#made = 0;
    this.#segments = 0;
    if ((offload & OFFLOAD_GSO) === 0) return;
    const segmenter = this.#segmenter;
    this.#segments = segmenter.load(data, length, packetType, offload, csumStart, batch.gsoSize[i]!);
    // As long as the first one are all but the last.
    if (this.#segments === 0 || segmenter.segmentLength(0) > MAX_PACKET) this.#giveUp(1, DROP_BAD_OFFLOAD);
  }

  /** The next plain packet, whose frame is the caller's; -1 when there is no more. */
  next(): number {
    if (this.#data < 0) return -1;
    return this.#segments === 0 ? this.#whole() : this.#segment();
  }

  /** Ends with `count` packets not made. */
  #giveUp(count: number, reason: number): number {
    this.lost = count;
    this.reason = reason;
    this.#pool.release(this.#data);
    this.#data = -1;
    return -1;
  }

  #whole(): number {
    const pool = this.#pool;
    const { bytes, view } = pool.arena;
    const length = this.#length;
    let data = this.#data;
    if (pool.isShared(data)) {
      const copy = pool.allocFor(length);
      if (copy < 0) return this.#giveUp(1, DROP_NO_FRAME);
      bytes.copyWithin(copy, data, data + length);
      pool.release(data);
      data = copy;
      this.#data = copy;
    }
    if (!finishChecksum(view, data, length, this.#csumStart, this.#csumOffset)) {
      return this.#giveUp(1, DROP_BAD_OFFLOAD);
    }
    this.#data = -1;
    this.length = length;
    return data;
  }

  #segment(): number {
    const segmenter = this.#segmenter;
    const frame = this.#pool.allocFor(segmenter.segmentLength(this.#made));
    if (frame < 0) return this.#giveUp(this.#segments - this.#made, DROP_NO_FRAME);
    this.length = segmenter.write(this.#made, frame);
    this.#made++;
    if (this.#made === this.#segments) {
      this.#pool.release(this.#data);
      this.#data = -1;
    }
    return frame;
  }
}
