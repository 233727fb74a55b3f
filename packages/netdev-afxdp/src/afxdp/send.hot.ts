/**
 * Transmission through an AF_XDP socket: its transmit ring and its completion ring. Hot: no allocation, no throw.
 *
 * A checksum that the packet's sender left to a device stays left: metadata in front of the packet (struct xsk_tx_metadata;
 * Linux 6.11) say where it is to be finished, and in copy mode the kernel's stack passes that on to the device, as of a host's own
 * packets. A veth pair then computes none at all, and its other end trusts the packet: TCP between two ports is 1.1 times
 * as fast as with checksums that are made here (0.25 us a full segment) and checked there. Where the kernel reads no metadata
 * they are finished here.
 */

import type { FramePool, PacketBatch } from '@etherloom/core/data';
import {
  DROP_NO_FRAME,
  DROP_TX_DOWN,
  DROP_TX_ERROR,
  DROP_TX_FULL,
  DROP_TX_TOO_BIG,
  FRAME_HEADROOM,
  OFFLOAD_UNFINISHED,
  OffloadResolver,
  QUEUE_TX_BYTES,
  QUEUE_TX_PACKETS,
  SMALL_FRAME_SIZE,
} from '@etherloom/core/data';
import type { XskBinding } from '../binding.js';
import { ETH_HEADER, tooBig } from '../frame.hot.js';
import { STATE_CLOSED, STATE_DOWN, STATE_MTU } from '../state.hot.js';
import {
  COMPLETION,
  COMPLETION_SIZE,
  CONSUMER,
  CONTINUED,
  ENTRIES,
  FLAGS,
  NEED_WAKEUP,
  PRODUCER,
  TX,
  TX_METADATA,
  TX_SIZE,
  type XskParts,
} from './rings.hot.js';

/** Most pieces of a sent packet: the kernel's MAX_SKB_FRAGS is 17, of which the headers take one. */
const MAX_PIECES = 16;

// V8 folds a module's own constants into the code, imported ones not.
const TX_ENTRIES = TX_SIZE;
const TX_MASK = TX_SIZE - 1;
const DONE_MASK = COMPLETION_SIZE - 1;
const CHUNK = SMALL_FRAME_SIZE;
const IN_CHUNK = SMALL_FRAME_SIZE - 1;
const HEADROOM = FRAME_HEADROOM;
const UNFINISHED = OFFLOAD_UNFINISHED;
const MORE = CONTINUED;
const WAKE = NEED_WAKEUP;
const ETHERNET = ETH_HEADER;
/** Bytes in front of every piece of a packet that the kernel may read metadata from, whether or not there is some. */
const FRONT = TX_METADATA;
/** Longest piece of a packet that is copied: all of a chunk but that. */
const PIECE = CHUNK - FRONT;

/** XDP_TX_METADATA, in a descriptor's options. */
const HAS_METADATA = 1 << 1;
/** XDP_TXMD_FLAGS_CHECKSUM, in the metadata's first word; then come two of 16 bits, where to sum from and the field from there. */
const FINISH_CHECKSUM = 1 << 1;

// errno numbers that sendto(2) gives: the first says that the device is gone, the second that it is down.
const ENXIO = 6;
const ENETDOWN = 100;

export class XskSender {
  readonly #native: XskBinding;
  readonly #fd: number;
  readonly #pool: FramePool;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #drops: Float64Array;
  readonly #counters: Float64Array;
  readonly #state: Int32Array;
  readonly #lent: Uint16Array;
  /** Whether the kernel reads metadata, and whether a packet may have several descriptors. */
  readonly #metadata: boolean;
  readonly #multiBuffer: boolean;
  readonly #resolver: OffloadResolver;

  /** Rings' memory as 32-bit words, and where in it the words and entries of each ring are. */
  readonly #ring: Int32Array;
  readonly #txProducer: number;
  readonly #txConsumer: number;
  readonly #txFlags: number;
  readonly #txEntries: number;
  readonly #doneProducer: number;
  readonly #doneConsumer: number;
  readonly #doneEntries: number;
  // Our side of the indices; those of the kernel are read once a burst.
  #posted = 0;
  #done = 0;
  /** Transmit consumer as last read. */
  #taken = 0;
  /** The device is gone for good. */
  #gone = false;

  constructor(parts: XskParts, metadata: boolean, multiBuffer: boolean) {
    const { pool, layout } = parts;
    this.#native = parts.native;
    this.#fd = parts.fd;
    this.#pool = pool;
    this.#bytes = pool.arena.bytes;
    this.#view = pool.arena.view;
    this.#drops = parts.drops;
    this.#counters = parts.counters;
    this.#state = parts.state;
    this.#lent = parts.lent;
    this.#metadata = metadata;
    this.#multiBuffer = multiBuffer;
    this.#resolver = new OffloadResolver(pool);
    this.#ring = parts.ring;
    this.#txProducer = layout[TX + PRODUCER]!;
    this.#txConsumer = layout[TX + CONSUMER]!;
    this.#txFlags = layout[TX + FLAGS]!;
    this.#txEntries = layout[TX + ENTRIES]!;
    this.#doneProducer = layout[COMPLETION + PRODUCER]!;
    this.#doneConsumer = layout[COMPLETION + CONSUMER]!;
    this.#doneEntries = layout[COMPLETION + ENTRIES]!;
  }

  burst(batch: PacketBatch): number {
    const { data, length, offload, count } = batch;
    batch.count = 0;
    if (this.#gone || this.#state[STATE_CLOSED] !== 0 || !this.#isUp()) {
      this.#drops[DROP_TX_DOWN]! += count;
      for (let i = 0; i < count; i++) this.#pool.release(data[i]!);
      return 0;
    }
    this.reap();
    const ring = this.#ring;
    this.#taken = Atomics.load(ring, this.#txConsumer);
    const limit = this.#state[STATE_MTU]! + ETHERNET;
    const start = this.#posted;
    let sent = 0;
    let bytes = 0;
    for (let i = 0; i < count; i++) {
      const frame = data[i]!;
      const size = length[i]!;
      let isSent: boolean;
      if (size > limit && tooBig(this.#view, frame, size, limit)) isSent = this.#drop(frame, DROP_TX_TOO_BIG);
      else if ((offload[i]! & UNFINISHED) === 0) isSent = this.#send(frame, size);
      else isSent = this.#sendUnfinished(batch, i);
      if (isSent) {
        sent++;
        bytes += size;
      }
    }
    if (this.#posted !== start) Atomics.store(ring, this.#txProducer, this.#posted);
    const refused = this.#kick();
    if (refused > 0 && sent > 0) {
      // Which ones is not told: their bytes are taken to be the mean.
      const lost = Math.min(refused, sent);
      bytes -= Math.round((bytes * lost) / sent);
      sent -= lost;
    }
    this.#counters[QUEUE_TX_PACKETS]! += sent;
    this.#counters[QUEUE_TX_BYTES]! += bytes;
    this.reap();
    return sent;
  }

  /** What there is to do while nothing comes in: take back frames that were sent, send what an earlier burst left. */
  tidy(): void {
    const ring = this.#ring;
    if (ring[this.#doneProducer] !== this.#done) this.reap();
    if (ring[this.#txConsumer] !== this.#posted && !this.#gone && this.#state[STATE_DOWN] === 0) this.#kick();
  }

  /** Takes back the frames that were sent. */
  reap(): void {
    const ring = this.#ring;
    const end = Atomics.load(ring, this.#doneProducer);
    let at = this.#done;
    if (at === end) return;
    const { arena } = this.#pool;
    for (; at !== end; at = (at + 1) | 0) {
      const frame = ring[this.#doneEntries + ((at & DONE_MASK) << 1)]!;
      this.#lent[arena.frameIndex(frame)]!--;
      this.#pool.release(frame);
    }
    this.#done = at;
    Atomics.store(ring, this.#doneConsumer, at);
  }

  /** Counts what will not be sent any more. */
  close(): void {
    this.reap();
    this.#drops[DROP_TX_DOWN]! += (this.#posted - Atomics.load(this.#ring, this.#txConsumer)) | 0;
  }

  /** Puts a packet into the transmit ring; takes over its frame, and counts it when it cannot. */
  #send(frame: number, size: number): boolean {
    const at = frame & IN_CHUNK;
    if (at < FRONT || at + size > CHUNK) return this.#sendCopy(frame, size, -1, 0);
    if (((this.#posted - this.#taken) | 0) >= TX_ENTRIES) return this.#drop(frame, DROP_TX_FULL);
    this.#post(frame, size, 0);
    return true;
  }

  /** As {@link #send}, of a packet whose checksum is to be finished. */
  #sendUnfinished(batch: PacketBatch, i: number): boolean {
    const frame = batch.data[i]!;
    const size = batch.length[i]!;
    const start = batch.csumStart[i]!;
    const offset = batch.csumOffset[i]!;
    const field = start + offset;
    // The kernel refuses what is not in the first piece, again and again: the ring would be stuck.
    if (!this.#metadata || start < 0 || offset < 0 || field + 2 > Math.min(size, PIECE)) {
      return this.#sendFinished(batch, i);
    }
    const at = frame & IN_CHUNK;
    // Who else has the frame may put something of its own in front before the kernel reads ours.
    if (at < FRONT || at + size > CHUNK || this.#pool.isShared(frame)) {
      return this.#sendCopy(frame, size, start, offset);
    }
    if (((this.#posted - this.#taken) | 0) >= TX_ENTRIES) return this.#drop(frame, DROP_TX_FULL);
    this.#describe(frame, start, offset);
    this.#post(frame, size, HAS_METADATA);
    return true;
  }

  /** As {@link #sendUnfinished}, with the checksum finished here. */
  #sendFinished(batch: PacketBatch, i: number): boolean {
    const resolver = this.#resolver;
    resolver.begin(batch, i, 0);
    let sent = false;
    for (let at = resolver.next(); at >= 0; at = resolver.next()) sent = this.#send(at, resolver.length);
    this.#drops[resolver.reason]! += resolver.lost;
    return sent;
  }

  /** A copy of a packet that does not lie in one chunk, or whose front is not free: as many pieces as it takes. */
  #sendCopy(frame: number, size: number, csumStart: number, csumOffset: number): boolean {
    const pool = this.#pool;
    const pieces = Math.ceil(size / PIECE);
    if (pieces > (this.#multiBuffer ? MAX_PIECES : 1)) return this.#drop(frame, DROP_TX_TOO_BIG);
    if (pieces > TX_ENTRIES - ((this.#posted - this.#taken) | 0)) return this.#drop(frame, DROP_TX_FULL);
    if (pieces > pool.free) return this.#drop(frame, DROP_NO_FRAME);
    let options = 0;
    for (let done = 0; done < size; done += PIECE) {
      const left = size - done;
      const at = pool.alloc() - HEADROOM + FRONT;
      this.#bytes.copyWithin(at, frame + done, frame + done + Math.min(left, PIECE));
      if (done === 0 && csumStart >= 0) {
        this.#describe(at, csumStart, csumOffset);
        options = HAS_METADATA;
      }
      this.#post(at, Math.min(left, PIECE), left > PIECE ? options | MORE : options);
      options = 0;
    }
    pool.release(frame);
    return true;
  }

  /** Writes metadata in front of the packet at `frame`. */
  #describe(frame: number, csumStart: number, csumOffset: number): void {
    const view = this.#view;
    const at = frame - FRONT;
    view.setInt32(at, FINISH_CHECKSUM, true);
    view.setInt32(at + 4, 0, true);
    view.setInt32(at + 8, csumStart | (csumOffset << 16), true);
  }

  #post(frame: number, length: number, options: number): void {
    const ring = this.#ring;
    const entry = this.#txEntries + ((this.#posted & TX_MASK) << 2);
    ring[entry] = frame;
    ring[entry + 2] = length;
    ring[entry + 3] = options;
    this.#posted = (this.#posted + 1) | 0;
    this.#lent[this.#pool.arena.frameIndex(frame)]!++;
  }

  #drop(frame: number, reason: number): false {
    this.#drops[reason]!++;
    this.#pool.release(frame);
    return false;
  }

  /** Makes the kernel send what is in the ring, when it wants to be told; returns how many frames the device refused. */
  #kick(): number {
    const ring = this.#ring;
    const backlog = (this.#posted - ring[this.#txConsumer]!) | 0;
    if (backlog === 0 || (ring[this.#txFlags]! & WAKE) === 0) return 0;
    const result = this.#native.kick(this.#fd, backlog);
    if (result > 0) this.#drops[DROP_TX_ERROR]! += result;
    else if (result < 0) this.#fault(-result);
    return Math.max(result, 0);
  }

  #fault(errno: number): void {
    if (errno === ENETDOWN) this.#state[STATE_DOWN] = 1;
    else if (errno === ENXIO) this.#gone = true;
  }

  /** A device that was down may be up again, and nobody told us: one system call a burst, as long as it is. */
  #isUp(): boolean {
    if (this.#state[STATE_DOWN] === 0) return true;
    const result = this.#native.kick(this.#fd, 1);
    if (result < 0) this.#fault(-result);
    if (result === -ENETDOWN || result === -ENXIO) return false;
    this.#state[STATE_DOWN] = 0;
    return true;
  }
}
