/**
 * The data half of an AF_XDP device: bursts between the four rings of a socket and frames of the arena. Hot: no
 * allocation, no throw.
 *
 * The arena is the socket's UMEM, with addresses that are offsets in the arena; so a frame that came in through one
 * socket leaves through another by its number alone. Frames that the kernel has are counted in `#lent`: those that wait
 * for packets (fill ring), those with packets (receive ring), and those being sent, once per descriptor.
 *
 * The fill ring never runs dry for want of frames: the last few packets' frames go up only when fresh ones take their
 * place, else the packet is dropped and its frame lent again. A socket without frames would never become readable, and so
 * nobody would refill it.
 *
 * Ring indices cost one atomic load or store per ring and burst (5 to 9 ns each): they order our plain accesses against the
 * kernel's on any processor.
 */

import type {
  FramePool,
  NetdevQueue,
  PacketBatch,
  QueueDescriptor,
  QueueResources,
} from '@etherloom/core/data';
import {
  BATCH_SIZE,
  DROP_NO_FRAME,
  DROP_RX_FULL,
  DROP_RX_OVERSIZE,
  DROP_RX_RUNT,
  DROP_TX_DOWN,
  DROP_TX_ERROR,
  DROP_TX_FULL,
  DROP_TX_TOO_BIG,
  FRAME_HEADROOM,
  MAX_PACKET,
  MAX_SUPER_PACKET,
  OFFLOAD_GSO,
  QUEUE_RX_BYTES,
  QUEUE_RX_PACKETS,
  QUEUE_TX_BYTES,
  QUEUE_TX_PACKETS,
  SMALL_FRAME_SIZE,
} from '@etherloom/core/data';
import type { XskBinding, XskSocket } from '../binding.js';
import { ETH_HEADER, tooBig } from '../frame.hot.js';
import { STATE_CLOSED, STATE_DOWN, STATE_MTU, STATE_SOCKETS } from '../state.hot.js';
import { ETHERNET_MTU, markUnfinished } from './unfinished.hot.js';

/** Entries of the rings: receive, transmit, fill, completion. The kernel wants powers of two. */
export const RX_SIZE = 2048;
export const TX_SIZE = 1024;
export const FILL_SIZE = 2048;
export const COMPLETION_SIZE = 2048;

// Words of the layout that the binding gives: four per ring.
const RX = 0;
const TX = 4;
const FILL = 8;
const COMPLETION = 12;
export const LAYOUT_WORDS = 16;
const PRODUCER = 0;
const CONSUMER = 1;
const FLAGS = 2;
const ENTRIES = 3;

/** XDP_RING_NEED_WAKEUP, in a ring's flags word. */
const NEED_WAKEUP = 1;
/** XDP_PKT_CONTD, in a descriptor's options: the packet goes on in the next one. */
const CONTINUED = 1;
/** Most pieces of a sent packet: the kernel's MAX_SKB_FRAGS is 17, of which the headers take one. */
const MAX_PIECES = 16;
/** Counters of struct xdp_statistics, in its order. */
export const XDP_STATISTICS = 6;
export const XDP_RX_DROPPED = 0;
export const XDP_RX_INVALID = 1;
export const XDP_TX_INVALID = 2;
export const XDP_RX_RING_FULL = 3;
const XDP_FILL_EMPTY = 4;
/** Frames that wait for packets even when there are no others. */
const LEAST_FRAMES = 8;
/** Bursts with packets between two looks at the kernel's statistics. */
const ACCOUNT_BURSTS = 1024;

const RX_MASK = RX_SIZE - 1;
const TX_MASK = TX_SIZE - 1;
const FILL_MASK = FILL_SIZE - 1;
const DONE_MASK = COMPLETION_SIZE - 1;
const CHUNK = SMALL_FRAME_SIZE;
const CHUNK_SHIFT = 11;
const CHUNK_MASK = SMALL_FRAME_SIZE - 1;
const HEADROOM = FRAME_HEADROOM;

// errno numbers that sendto(2) gives: the first says that the device is gone, the second that it is down.
const ENXIO = 6;
const ENETDOWN = 100;

/** What a thread needs to open a queue of an AF_XDP device. */
export interface XskDescriptor extends QueueDescriptor {
  /** Control socket of the device's namespace; the control half closes it. */
  readonly control: number;
  readonly ifindex: number;
  /** XSKMAP of the device's XDP program; the control half closes it. */
  readonly map: number;
  /** Ways to bind that may be tried, best first: `zerocopy`, `copy`. */
  readonly binds: readonly ('zerocopy' | 'copy')[];
  /** OFFLOAD_* bits of work that packets may come with, which the kernel does not tell of. */
  readonly unfinished: number;
  /** STATE_* words. */
  readonly state: SharedArrayBuffer;
  /** {@link XDP_STATISTICS} doubles: what sockets of this queue had counted when they were closed. */
  readonly retired: SharedArrayBuffer;
}

export class XskQueue implements NetdevQueue {
  readonly pollFd: number;
  readonly #native: XskBinding;
  readonly #handle: object;
  readonly #pool: FramePool;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #drops: Float64Array;
  readonly #counters: Float64Array;
  readonly #state: Int32Array;
  readonly #socketWord: number;
  readonly #retired: Float64Array;
  /** Whether packets may consist of several descriptors. */
  readonly #multiBuffer: boolean;
  readonly #unfinished: boolean;
  readonly #merged: boolean;

  /** The rings, as 32-bit words: addresses fit the lower of their two, and the upper is 0 for good. */
  readonly #ring: Int32Array;
  readonly #rxProducer: number;
  readonly #rxConsumer: number;
  readonly #rxEntries: number;
  readonly #txProducer: number;
  readonly #txConsumer: number;
  readonly #txFlags: number;
  readonly #txEntries: number;
  readonly #fillProducer: number;
  readonly #fillFlags: number;
  readonly #fillEntries: number;
  readonly #doneProducer: number;
  readonly #doneConsumer: number;
  readonly #doneEntries: number;
  // Our side of the indices; those of the kernel are read once a burst.
  #received = 0;
  #filled = 0;
  #posted = 0;
  #done = 0;
  /** Transmit consumer as last read. */
  #taken = 0;

  /** By frame index: how many descriptors the kernel has of it. */
  readonly #lent: Uint16Array;
  /** Frames that wait for packets or hold one that we did not take yet, and how many there shall be. */
  #held = 0;
  #target: number;
  /** Frames that are not given up when the pool is empty. */
  readonly #least: number;

  /** Large frame that a packet of several descriptors is gathered in, its length so far; -1: it will be dropped. */
  #gathering = false;
  #gathered = -1;
  #gatheredLength = 0;

  readonly #statistics = new Float64Array(XDP_STATISTICS);
  readonly #accounted = new Float64Array(XDP_STATISTICS);
  #unaccounted = 0;
  #closed = false;
  /** The device is gone for good. */
  #gone = false;

  /** Takes over the socket; frames lent to the kernel return to `resources.pool` at `close`. */
  constructor(
    native: XskBinding,
    socket: XskSocket,
    layout: Int32Array,
    multiBuffer: boolean,
    descriptor: XskDescriptor,
    resources: QueueResources,
  ) {
    const { pool } = resources;
    this.#native = native;
    this.pollFd = socket.fd;
    this.#handle = socket.handle;
    this.#pool = pool;
    this.#bytes = pool.arena.bytes;
    this.#view = pool.arena.view;
    this.#drops = resources.drops;
    this.#counters = new Float64Array(descriptor.counters);
    this.#state = new Int32Array(descriptor.state);
    this.#socketWord = STATE_SOCKETS + descriptor.index;
    this.#retired = new Float64Array(descriptor.retired);
    this.#multiBuffer = multiBuffer;
    this.#unfinished = descriptor.unfinished !== 0;
    this.#merged = (descriptor.unfinished & OFFLOAD_GSO) !== 0;
    this.#ring = new Int32Array(socket.rings);
    this.#rxProducer = layout[RX + PRODUCER]!;
    this.#rxConsumer = layout[RX + CONSUMER]!;
    this.#rxEntries = layout[RX + ENTRIES]!;
    this.#txProducer = layout[TX + PRODUCER]!;
    this.#txConsumer = layout[TX + CONSUMER]!;
    this.#txFlags = layout[TX + FLAGS]!;
    this.#txEntries = layout[TX + ENTRIES]!;
    this.#fillProducer = layout[FILL + PRODUCER]!;
    this.#fillFlags = layout[FILL + FLAGS]!;
    this.#fillEntries = layout[FILL + ENTRIES]!;
    this.#doneProducer = layout[COMPLETION + PRODUCER]!;
    this.#doneConsumer = layout[COMPLETION + CONSUMER]!;
    this.#doneEntries = layout[COMPLETION + ENTRIES]!;
    this.#lent = new Uint16Array(pool.arena.frames + pool.arena.largeFrames);
    this.#least = Math.min(LEAST_FRAMES, pool.free >> 1);
    this.#target = Math.max(this.#least, initialTarget(pool.free));
    this.#lendMore();
    this.#state[this.#socketWord] = socket.fd + 1;
  }

  rxBurst(batch: PacketBatch): number {
    if (this.#closed || this.#state[STATE_CLOSED] !== 0) return 0;
    const ring = this.#ring;
    const waiting = (Atomics.load(ring, this.#rxProducer) - this.#received) | 0;
    const before = batch.count;
    if (waiting > 0) this.#receive(batch, waiting);
    else this.#tidy();
    if ((ring[this.#fillFlags]! & NEED_WAKEUP) !== 0) this.#native.wake(this.pollFd);
    return batch.count - before;
  }

  txBurst(batch: PacketBatch): number {
    const { data, length, count } = batch;
    batch.count = 0;
    if (this.#closed || this.#gone || this.#state[STATE_CLOSED] !== 0 || !this.#isUp()) {
      this.#drops[DROP_TX_DOWN]! += count;
      for (let i = 0; i < count; i++) this.#pool.release(data[i]!);
      return 0;
    }
    this.#reap();
    const ring = this.#ring;
    this.#taken = Atomics.load(ring, this.#txConsumer);
    const limit = this.#state[STATE_MTU]! + ETH_HEADER;
    const start = this.#posted;
    let sent = 0;
    let bytes = 0;
    for (let i = 0; i < count; i++) {
      const frame = data[i]!;
      const size = length[i]!;
      if (size > limit && tooBig(this.#view, frame, size, limit)) this.#drop(frame, DROP_TX_TOO_BIG);
      else if (this.#send(frame, size)) {
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
    this.#reap();
    return sent;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#state[this.#socketWord] = 0;
    this.#reap();
    this.#account();
    const { arena } = this.#pool;
    for (let i = 0; i < XDP_STATISTICS; i++) this.#retired[i]! += this.#statistics[i]!;
    this.#drops[DROP_TX_DOWN]! += (this.#posted - Atomics.load(this.#ring, this.#txConsumer)) | 0;
    this.#native.closeXsk(this.#handle);
    for (let index = 0; index < this.#lent.length; index++) {
      for (let n = this.#lent[index]!; n > 0; n--) this.#pool.release(arena.frameStart(index));
      this.#lent[index] = 0;
    }
    if (this.#gathered >= 0) this.#pool.release(this.#gathered);
    this.#gathered = -1;
  }

  // --- Receiving

  /** Takes what fits of the `waiting` descriptors, and gives the kernel frames for those that it had. */
  #receive(batch: PacketBatch, waiting: number): void {
    const ring = this.#ring;
    const { arena } = this.#pool;
    const end = (this.#received + waiting) | 0;
    const counters = this.#counters;
    const before = batch.count;
    let at = this.#received;
    while (at !== end && batch.count < batch.capacity) {
      const entry = this.#rxEntries + ((at & RX_MASK) << 2);
      at = (at + 1) | 0;
      const frame = ring[entry]!;
      const length = ring[entry + 2]!;
      const more = ring[entry + 3]! & CONTINUED;
      if (more !== 0 || this.#gathering) {
        this.#gather(batch, frame, length, more !== 0);
        this.#lend(frame);
        continue;
      }
      const fresh = length < ETH_HEADER ? -1 : this.#pool.alloc();
      if (fresh < 0 && (length < ETH_HEADER || this.#held <= this.#least)) {
        this.#drops[length < ETH_HEADER ? DROP_RX_RUNT : DROP_NO_FRAME]!++;
        this.#lend(frame);
        continue;
      }
      this.#lent[arena.frameIndex(frame)]!--;
      batch.push(frame, length);
      if (fresh < 0) {
        this.#held--;
        continue;
      }
      this.#lent[arena.frameIndex(fresh)]!++;
      this.#lend(fresh);
    }
    this.#received = at;
    let bytes = 0;
    for (let i = before; i < batch.count; i++) bytes += batch.length[i]!;
    if (this.#unfinished) this.#markUnfinished(batch, before);
    counters[QUEUE_RX_PACKETS]! += batch.count - before;
    counters[QUEUE_RX_BYTES]! += bytes;
    // When half of our frames came back with packets since the last burst, the kernel may soon lack some.
    if (waiting > this.#held >> 1) this.#grow();
    this.#lendMore();
    Atomics.store(ring, this.#rxConsumer, at);
    const tight = waiting >= this.#held || waiting === RX_SIZE;
    if (tight || ++this.#unaccounted > ACCOUNT_BURSTS) this.#account();
  }

  #markUnfinished(batch: PacketBatch, first: number): void {
    const longest = this.#merged ? Math.min(this.#state[STATE_MTU]!, ETHERNET_MTU) : MAX_PACKET;
    for (let i = first; i < batch.count; i++) markUnfinished(this.#view, batch, i, longest);
  }

  /** Whether the last packet of the batch is a super-packet, of which alone {@link MAX_PACKET} is not the limit. */
  #isSuper(batch: PacketBatch): boolean {
    const last = batch.count - 1;
    if (this.#unfinished) this.#markUnfinished(batch, last);
    return (batch.offload[last]! & OFFLOAD_GSO) !== 0;
  }

  /** Appends a piece to the packet that is being gathered; with its last piece the packet goes up. */
  #gather(batch: PacketBatch, frame: number, length: number, more: boolean): void {
    if (!this.#gathering) {
      this.#gathering = true;
      this.#gathered = this.#pool.allocLarge();
      this.#gatheredLength = 0;
    }
    const at = this.#gatheredLength;
    const total = at + length;
    const target = this.#gathered;
    this.#gatheredLength = total;
    if (target >= 0 && total <= MAX_SUPER_PACKET) this.#bytes.copyWithin(target + at, frame, frame + length);
    if (more) return;
    this.#gathering = false;
    this.#gathered = -1;
    if (target >= 0 && total <= MAX_SUPER_PACKET) {
      batch.push(target, total);
      if (total <= MAX_PACKET || this.#isSuper(batch)) return;
      batch.count--;
    }
    this.#drops[target < 0 ? DROP_NO_FRAME : DROP_RX_OVERSIZE]!++;
    if (target >= 0) this.#pool.release(target);
  }

  /** Offers `frame` for a packet; the kernel sees it once the fill ring's producer index is stored. */
  #lend(frame: number): void {
    this.#ring[this.#fillEntries + ((this.#filled & FILL_MASK) << 1)] = frame;
    this.#filled = (this.#filled + 1) | 0;
  }

  /** Lends more frames until there are as many as there shall be. */
  #lendMore(): void {
    const { arena } = this.#pool;
    while (this.#held < this.#target) {
      const frame = this.#pool.alloc();
      if (frame < 0) break;
      this.#lent[arena.frameIndex(frame)]!++;
      this.#held++;
      this.#lend(frame);
    }
    Atomics.store(this.#ring, this.#fillProducer, this.#filled);
  }

  /** Doubles the frames for packets, as long as three times as many stay free for others. */
  #grow(): void {
    const target = Math.min(2 * this.#target, FILL_SIZE);
    if (this.#pool.free >= 4 * (target - this.#target)) this.#target = target;
  }

  /** Counts what the kernel dropped since the last time. */
  #account(): void {
    const found = this.#statistics;
    const known = this.#accounted;
    this.#unaccounted = 0;
    if (this.#native.statistics(this.pollFd, found) !== 0) return;
    const dropped = found[XDP_RX_DROPPED]! - known[XDP_RX_DROPPED]!;
    // In copy mode each is a packet, and in rx_dropped too; the others there were too long for the frames.
    const noFrame = Math.min(dropped, found[XDP_FILL_EMPTY]! - known[XDP_FILL_EMPTY]!);
    this.#drops[DROP_NO_FRAME]! += noFrame;
    this.#drops[DROP_RX_OVERSIZE]! += dropped - noFrame;
    this.#drops[DROP_RX_FULL]! += found[XDP_RX_RING_FULL]! - known[XDP_RX_RING_FULL]!;
    for (let i = 0; i < XDP_STATISTICS; i++) known[i] = found[i]!;
  }

  /** What there is to do while nothing comes in: take back frames that were sent, send what an earlier burst left. */
  #tidy(): void {
    const ring = this.#ring;
    if (ring[this.#doneProducer] !== this.#done) this.#reap();
    if (ring[this.#txConsumer] !== this.#posted && !this.#gone && this.#state[STATE_DOWN] === 0) this.#kick();
  }

  // --- Sending

  /** Takes back the frames that were sent. */
  #reap(): void {
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

  /** Puts a packet into the transmit ring; takes over its frame, and counts it when it cannot. */
  #send(frame: number, size: number): boolean {
    const room = TX_SIZE - ((this.#posted - this.#taken) | 0);
    const pieces = ((frame & CHUNK_MASK) + size + CHUNK_MASK) >> CHUNK_SHIFT;
    if (pieces > room) return this.#drop(frame, DROP_TX_FULL);
    if (pieces === 1) {
      this.#post(frame, size, 0);
      return true;
    }
    if (!this.#multiBuffer) return this.#sendCopy(frame, size);
    if (pieces > MAX_PIECES) return this.#drop(frame, DROP_TX_TOO_BIG);
    let at = frame;
    let left = size;
    while (left > 0) {
      const length = Math.min(left, CHUNK - (at & CHUNK_MASK));
      left -= length;
      // The kernel hands each piece back by itself.
      if (at !== frame) this.#pool.retain(at);
      this.#post(at, length, left > 0 ? CONTINUED : 0);
      at += length;
    }
    return true;
  }

  /** A packet across a chunk's border, which this kernel cannot send: a copy that fits one chunk. */
  #sendCopy(frame: number, size: number): boolean {
    if (size > CHUNK) return this.#drop(frame, DROP_TX_TOO_BIG);
    const copy = this.#pool.alloc();
    if (copy < 0) return this.#drop(frame, DROP_NO_FRAME);
    const at = size > CHUNK - HEADROOM ? copy - HEADROOM : copy;
    this.#bytes.copyWithin(at, frame, frame + size);
    this.#pool.release(frame);
    this.#post(at, size, 0);
    return true;
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
    if (backlog === 0 || (ring[this.#txFlags]! & NEED_WAKEUP) === 0) return 0;
    const result = this.#native.kick(this.pollFd, backlog);
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
    const result = this.#native.kick(this.pollFd, 1);
    if (result < 0) this.#fault(-result);
    if (result === -ENETDOWN || result === -ENXIO) return false;
    this.#state[STATE_DOWN] = 0;
    return true;
  }
}

/**
 * Frames to lend at first: a 32nd of what is free, so that dozens of ports leave some for each other; but 80, two bursts
 * and a half, where that would be less; and of small pools all but half a burst.
 */
function initialTarget(free: number): number {
  return Math.min(Math.max(free >> 5, 80), free - BATCH_SIZE / 2, FILL_SIZE);
}
