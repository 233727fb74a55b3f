/**
 * Hands out and takes back the frames of an arena. Hot: no allocation, no throw. Belongs to one thread, and so do the
 * frames it hands out: reference counts are plain loads and stores.
 */

import { FRAME_HEADROOM, type PacketArena, SMALL_FRAME_ROOM } from './arena.js';

export class FramePool {
  readonly arena: PacketArena;
  readonly #refs: Int32Array;
  readonly #small: Int32Array;
  readonly #large: Int32Array;
  readonly #frames: number;
  #smallFree = 0;
  #largeFree = 0;

  /**
   * A pool over small frames `[firstFrame, firstFrame + frames)` and large frames alike; the default is all of the
   * arena. Ranges of different pools must not overlap.
   */
  constructor(
    arena: PacketArena,
    firstFrame = 0,
    frames = arena.frames,
    firstLarge = 0,
    largeFrames = arena.largeFrames,
  ) {
    this.arena = arena;
    this.#refs = arena.refs;
    this.#frames = arena.frames;
    this.#small = new Int32Array(frames);
    this.#large = new Int32Array(largeFrames);
    // Highest first, so that frames go out in address order.
    for (let i = frames - 1; i >= 0; i--) this.#small[this.#smallFree++] = firstFrame + i;
    for (let i = largeFrames - 1; i >= 0; i--) this.#large[this.#largeFree++] = arena.frames + firstLarge + i;
  }

  /** Free small frames. */
  get free(): number {
    return this.#smallFree;
  }

  get freeLarge(): number {
    return this.#largeFree;
  }

  /** A small frame with one reference: the offset of its first byte behind the headroom, or -1 when none is free. */
  alloc(): number {
    if (this.#smallFree === 0) return -1;
    const index = this.#small[--this.#smallFree]!;
    this.#refs[index] = 1;
    return this.arena.frameStart(index) + FRAME_HEADROOM;
  }

  /** As {@link alloc}, with a large frame. */
  allocLarge(): number {
    if (this.#largeFree === 0) return -1;
    const index = this.#large[--this.#largeFree]!;
    this.#refs[index] = 1;
    return this.arena.frameStart(index) + FRAME_HEADROOM;
  }

  /** A frame that holds `length` bytes behind its headroom, small when it fits; -1 when there is none. */
  allocFor(length: number): number {
    return length <= SMALL_FRAME_ROOM ? this.alloc() : this.allocLarge();
  }

  /** One more owner of the frame that holds `offset`. */
  retain(offset: number): void {
    const index = this.arena.frameIndex(offset);
    this.#refs[index] = this.#refs[index]! + 1;
  }

  /** Whether more than one owner would see a change to the frame that holds `offset`. */
  isShared(offset: number): boolean {
    return this.#refs[this.arena.frameIndex(offset)]! > 1;
  }

  /** One owner less; the last one returns the frame to the pool. */
  release(offset: number): void {
    const index = this.arena.frameIndex(offset);
    const left = this.#refs[index]! - 1;
    this.#refs[index] = left;
    if (left !== 0) return;
    if (index < this.#frames) this.#small[this.#smallFree++] = index;
    else this.#large[this.#largeFree++] = index;
  }
}
