/**
 * The packet arena: one page-aligned shared memory cut into frames, and the pools that hand frames out.
 *
 * Two classes of frames: small ones ({@link SMALL_FRAME_SIZE} bytes) for ordinary packets and large ones
 * ({@link LARGE_FRAME_SIZE} bytes) for anything up to {@link MAX_PACKET} bytes (jumbo frames, TAP super-packets).
 * A frame is named by the byte offset of its packet's first byte anywhere inside it; offsets fit 31 bits.
 *
 * The arena is memory and layout only: it can be attached in any thread. Who may use which frames is the matter of a
 * {@link FramePool}, which belongs to one thread.
 */

/** Power of two, and what an AF_XDP UMEM takes as chunk size. */
export const SMALL_FRAME_SIZE = 2048;
/** Its logarithm. */
export const SMALL_FRAME_SHIFT = 11;
/** Room in front of a received packet: pushed headers, virtio-net headers, an XDP program's metadata. */
export const FRAME_HEADROOM = 256;
/** Longest packet in a small frame as received. */
export const SMALL_FRAME_ROOM = SMALL_FRAME_SIZE - FRAME_HEADROOM;
/** 17 pages: 64 KiB, headroom, and a tail so that 65,535 bytes always fit. */
export const LARGE_FRAME_SIZE = 69_632;
/** Longest packet that the datapath handles, in bytes. */
export const MAX_PACKET = 65_535;
/**
 * Longest super-packet (one with an OFFLOAD_GSO_* bit), which never leaves in one piece: an IP packet of 65,535 bytes
 * and what stands in front of it. With a byte more it still fits a large frame behind the headroom.
 */
export const MAX_SUPER_PACKET = MAX_PACKET + 128;
const PAGE = 4096;
const WASM_PAGE = 65_536;

export interface ArenaOptions {
  /** Number of small frames; default 8192 (16 MiB). */
  readonly frames?: number;
  /** Number of large frames; default 128 (8.5 MiB). */
  readonly largeFrames?: number;
}

/** What another thread needs to attach the same arena; structured-cloneable. */
export interface ArenaDescriptor {
  readonly buffer: SharedArrayBuffer;
  readonly frames: number;
  readonly largeFrames: number;
}

/** The part of the WebAssembly API used here; TypeScript ships it only with the DOM library. */
declare const WebAssembly: {
  Memory: new (pages: {
    initial: number;
    maximum: number;
    shared: true;
  }) => { readonly buffer: SharedArrayBuffer };
};

const pageAlign = (n: number): number => Math.ceil(n / PAGE) * PAGE;

export class PacketArena {
  readonly buffer: SharedArrayBuffer;
  /** All of the memory; fixed length, never grown. */
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** Reference count of each frame, small ones first. Touched only by the thread that owns the frame. */
  readonly refs: Int32Array;
  readonly frames: number;
  readonly largeFrames: number;
  /** Byte offset of the first small frame (page-aligned), and of the first large one. */
  readonly smallBase: number;
  readonly largeBase: number;

  /** Allocates a new arena, zeroed. Throws a `RangeError` when it would exceed 2 GiB. */
  static create(options: ArenaOptions = {}): PacketArena {
    const frames = options.frames ?? 8192;
    const largeFrames = options.largeFrames ?? 128;
    if (!Number.isInteger(frames) || frames < 1 || !Number.isInteger(largeFrames) || largeFrames < 0) {
      throw new RangeError(
        `arena of ${frames} frames and ${largeFrames} large frames: give whole numbers, at least 1 and 0`,
      );
    }
    const size = PacketArena.#largeBase(frames, largeFrames) + largeFrames * LARGE_FRAME_SIZE;
    if (size > 0x7fff_0000) {
      throw new RangeError(
        `arena of ${frames} frames and ${largeFrames} large frames needs ${size} bytes; 2 GiB is the limit`,
      );
    }
    const pages = Math.ceil(size / WASM_PAGE);
    // WebAssembly memory rather than a plain SharedArrayBuffer: it starts on a page, which AF_XDP and mmap need.
    const { buffer } = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    return new PacketArena({ buffer, frames, largeFrames });
  }

  /** Attaches an arena that another thread created. */
  static attach(descriptor: ArenaDescriptor): PacketArena {
    return new PacketArena(descriptor);
  }

  static #smallBase(frames: number, largeFrames: number): number {
    return pageAlign((frames + largeFrames) * 4);
  }

  static #largeBase(frames: number, largeFrames: number): number {
    return pageAlign(PacketArena.#smallBase(frames, largeFrames) + frames * SMALL_FRAME_SIZE);
  }

  private constructor(descriptor: ArenaDescriptor) {
    this.buffer = descriptor.buffer;
    this.frames = descriptor.frames;
    this.largeFrames = descriptor.largeFrames;
    const { buffer } = descriptor;
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(buffer);
    this.refs = new Int32Array(buffer, 0, this.frames + this.largeFrames);
    this.smallBase = PacketArena.#smallBase(this.frames, this.largeFrames);
    this.largeBase = PacketArena.#largeBase(this.frames, this.largeFrames);
  }

  descriptor(): ArenaDescriptor {
    return { buffer: this.buffer, frames: this.frames, largeFrames: this.largeFrames };
  }

  /** Index of the frame that holds `offset`: small frames first. */
  frameIndex(offset: number): number {
    return offset < this.largeBase
      ? (offset - this.smallBase) >> SMALL_FRAME_SHIFT
      : this.frames + (((offset - this.largeBase) / LARGE_FRAME_SIZE) | 0);
  }

  /** First byte of frame `index`. */
  frameStart(index: number): number {
    return index < this.frames
      ? this.smallBase + (index << SMALL_FRAME_SHIFT)
      : this.largeBase + (index - this.frames) * LARGE_FRAME_SIZE;
  }

  /** One past the last byte of the frame that holds `offset`. */
  frameEnd(offset: number): number {
    const index = this.frameIndex(offset);
    return this.frameStart(index) + (index < this.frames ? SMALL_FRAME_SIZE : LARGE_FRAME_SIZE);
  }
}
