/**
 * Hands out and takes back the frames of an arena. Hot: no allocation, no throw. Belongs to one thread, and so do the
 * frames it hands out: reference counts are plain loads and stores.
 */

import {
  FRAME_HEADROOM,
  type PacketArena,
  SMALL_FRAME_ROOM,
  SMALL_FRAME_SHIFT,
  SMALL_FRAME_SIZE,
} from './arena.js';

// V8 folds a module's own constants into the code, imported ones not.
const HEADROOM = FRAME_HEADROOM;
const SMALL_ROOM = SMALL_FRAME_ROOM;
const SMALL_SHIFT = SMALL_FRAME_SHIFT;
const IN_FRAME = SMALL_FRAME_SIZE - 1;

export class FramePool {
  readonly arena: PacketArena;
  /** A free frame keeps the count of its next owner, 1: then handing it out and taking it back write nothing here. */
  readonly #refs: Int32Array;
  readonly #small: Int32Array;
  readonly #large: Int32Array;
  readonly #frames: number;
  readonly #smallBase: number;
  readonly #largeBase: number;
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
    this.#smallBase = arena.smallBase;
    this.#largeBase = arena.largeBase;
    this.#refs.fill(1, firstFrame, firstFrame + frames);
    this.#refs.fill(1, arena.frames + firstLarge, arena.frames + firstLarge + largeFrames);
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
    return this.#smallBase + (index << SMALL_SHIFT) + HEADROOM;
  }

  /** As {@link alloc}, with a large frame. */
  allocLarge(): number {
    if (this.#largeFree === 0) return -1;
    const index = this.#large[--this.#largeFree]!;
    return this.arena.frameStart(index) + HEADROOM;
  }

  /** A frame that holds `length` bytes behind its headroom, small when it fits; -1 when there is none. */
  allocFor(length: number): number {
    return length <= SMALL_ROOM ? this.alloc() : this.allocLarge();
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

  /**
   * Whether the frames of `offsets[first, end)` are small ones that nobody else would see change, with `room` bytes in
   * front of each offset.
   */
  areOwn(offsets: Int32Array, first: number, end: number, room: number): boolean {
    const refs = this.#refs;
    const base = this.#smallBase;
    const large = this.#largeBase;
    for (let i = first; i < end; i++) {
      const offset = offsets[i]!;
      if (offset >= large || ((offset - base) & IN_FRAME) < room) return false;
      if (refs[(offset - base) >> SMALL_SHIFT] !== 1) return false;
    }
    return true;
  }

  /** One owner less; the last one returns the frame to the pool. */
  release(offset: number): void {
    const index = this.arena.frameIndex(offset);
    const references = this.#refs[index]!;
    if (references !== 1) this.#refs[index] = references - 1;
    else if (index < this.#frames) this.#small[this.#smallFree++] = index;
    else this.#large[this.#largeFree++] = index;
  }

  /** Releases the frames that hold `offsets[0, count)`. */
  releaseAll(offsets: Int32Array, count: number): void {
    const refs = this.#refs;
    const small = this.#small;
    const base = this.#smallBase;
    const end = this.#largeBase;
    let free = this.#smallFree;
    for (let i = 0; i < count; i++) {
      const offset = offsets[i]!;
      if (offset >= end) {
        this.release(offset);
        continue;
      }
      const index = (offset - base) >> SMALL_SHIFT;
      const references = refs[index]!;
      if (references === 1) small[free++] = index;
      else refs[index] = references - 1;
    }
    this.#smallFree = free;
  }
}
