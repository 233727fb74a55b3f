/**
 * The data half of an AF_XDP device: bursts between the four rings of a socket and frames of the arena. Hot: no
 * allocation, no throw.
 *
 * The arena is the socket's UMEM, with addresses that are offsets in the arena; so a frame that came in through one
 * socket leaves through another by its number alone. Frames that the kernel has are counted in `#lent`: those that wait
 * for packets (fill ring), those with packets (receive ring), and those being sent, once per descriptor.
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
import { DROP_NO_FRAME, DROP_RX_FULL, DROP_RX_OVERSIZE, DROP_TX_DOWN } from '@etherloom/core/data';
import type { XskBinding, XskSocket } from '../binding.js';
import { STATE_CLOSED, STATE_SOCKETS } from '../state.hot.js';
import { XskReceiver } from './receive.hot.js';
import type { XskParts } from './rings.hot.js';
import { XskSender } from './send.hot.js';

/** Counters of struct xdp_statistics, in its order. */
export const XDP_STATISTICS = 6;
export const XDP_RX_DROPPED = 0;
export const XDP_RX_INVALID = 1;
export const XDP_TX_INVALID = 2;
export const XDP_RX_RING_FULL = 3;
const XDP_FILL_EMPTY = 4;
/** Bursts with packets between two looks at the kernel's statistics, which cost 0.5 us, ... */
const ACCOUNT_BURSTS = 1024;
/** ... and as how many of them one counts after which packets may have been lost. */
const TIGHT_BURST = 64;

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
  readonly #drops: Float64Array;
  readonly #state: Int32Array;
  readonly #socketWord: number;
  readonly #retired: Float64Array;
  readonly #lent: Uint16Array;
  readonly #receiver: XskReceiver;
  readonly #sender: XskSender;

  readonly #statistics = new Float64Array(XDP_STATISTICS);
  readonly #accounted = new Float64Array(XDP_STATISTICS);
  #unaccounted = 0;
  #closed = false;

  /** Takes over the socket; frames lent to the kernel return to `resources.pool` at `close`. */
  constructor(
    native: XskBinding,
    socket: XskSocket,
    layout: Int32Array,
    multiBuffer: boolean,
    descriptor: XskDescriptor,
    resources: QueueResources,
  ) {
    const { pool, drops } = resources;
    const { arena } = pool;
    this.#native = native;
    this.pollFd = socket.fd;
    this.#handle = socket.handle;
    this.#pool = pool;
    this.#drops = drops;
    this.#state = new Int32Array(descriptor.state);
    this.#socketWord = STATE_SOCKETS + descriptor.index;
    this.#retired = new Float64Array(descriptor.retired);
    this.#lent = new Uint16Array(arena.frames + arena.largeFrames);
    const parts: XskParts = {
      native,
      fd: socket.fd,
      ring: new Int32Array(socket.rings),
      layout,
      pool,
      lent: this.#lent,
      drops,
      counters: new Float64Array(descriptor.counters),
      state: this.#state,
    };
    this.#receiver = new XskReceiver(parts, descriptor.unfinished);
    this.#sender = new XskSender(parts, socket.metadata === 1, multiBuffer);
    this.#state[this.#socketWord] = socket.fd + 1;
  }

  rxBurst(batch: PacketBatch): number {
    if (this.#closed || this.#state[STATE_CLOSED] !== 0) return 0;
    const before = batch.count;
    const waiting = this.#receiver.burst(batch);
    if (waiting === 0) {
      this.#sender.tidy();
      // Nothing may follow for long.
      if (this.#unaccounted >= TIGHT_BURST) this.#account();
    } else {
      this.#unaccounted += this.#receiver.isTight(waiting) ? TIGHT_BURST : 1;
      if (this.#unaccounted >= ACCOUNT_BURSTS) this.#account();
    }
    return batch.count - before;
  }

  txBurst(batch: PacketBatch): number {
    if (!this.#closed) return this.#sender.burst(batch);
    this.#drops[DROP_TX_DOWN]! += batch.count;
    this.#pool.releaseAll(batch.data, batch.count);
    batch.count = 0;
    return 0;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#state[this.#socketWord] = 0;
    this.#sender.close();
    this.#account();
    const { arena } = this.#pool;
    for (let i = 0; i < XDP_STATISTICS; i++) this.#retired[i]! += this.#statistics[i]!;
    this.#native.closeXsk(this.#handle);
    for (let index = 0; index < this.#lent.length; index++) {
      for (let n = this.#lent[index]!; n > 0; n--) this.#pool.release(arena.frameStart(index));
      this.#lent[index] = 0;
    }
    this.#receiver.close();
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
}
