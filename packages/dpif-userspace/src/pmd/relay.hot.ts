/**
 * Packets for a device whose transmit queues belong to another thread: copied into a ring that goes there. Frames never
 * change their thread, so that reference counts stay plain loads and stores. Hot: no allocation, no throw.
 *
 * A packet leaves the ring before it is sent, not after: a receiver that dies of a device has it in hand then, where it is
 * counted as lost, and the thread that takes its place finds only those that nobody tried to send.
 */

import {
  copyBytes,
  DROP_NO_FRAME,
  DROP_NO_PORT,
  DROP_TX_FULL,
  type FramePool,
  type NetdevQueue,
  type PacketBatch,
} from '@etherloom/core/data';
import type { Output } from '../output.hot.js';
import { HAND_PACKETS, HAND_PORT } from '../pipeline.hot.js';
import type { Port } from '../port.hot.js';
import { Transmitter } from '../transmit.hot.js';
import { ASLEEP, RELAY_HEAD, WOKEN, WORD_SLEEPING, wordsOf } from './layout.hot.js';
import type { SharedRing } from './ring.hot.js';

/** Packets that one poll takes from one ring: what fits into a transmit batch. */
const BURST = 32;

const HEAD = RELAY_HEAD;
const SLEEPING = WORD_SLEEPING;
const TX_FULL = DROP_TX_FULL;
const NO_FRAME = DROP_NO_FRAME;
const NO_PORT = DROP_NO_PORT;
const IN_HAND = HAND_PACKETS;
const OF_PORT = HAND_PORT;

/** Who wakes a thread. */
export interface Ringer {
  ring(doorbell: number): void;
}

/** The transmit half of a port that another thread sends for. */
export class RelaySender implements NetdevQueue {
  readonly pollFd = -1;
  readonly #portNo: number;
  readonly #pool: FramePool;
  readonly #drops: Float64Array;
  readonly #ring: SharedRing;
  readonly #control: Int32Array;
  readonly #doorbell: number;
  readonly #native: Ringer;

  /** `control` and `doorbell` are those of the thread at the ring's other end. */
  constructor(
    portNo: number,
    pool: FramePool,
    drops: Float64Array,
    ring: SharedRing,
    control: Int32Array,
    doorbell: number,
    native: Ringer,
  ) {
    this.#portNo = portNo;
    this.#pool = pool;
    this.#drops = drops;
    this.#ring = ring;
    this.#control = control;
    this.#doorbell = doorbell;
    this.#native = native;
  }

  rxBurst(): number {
    return 0;
  }

  txBurst(batch: PacketBatch): number {
    const ring = this.#ring;
    const { view } = this.#pool.arena;
    const count = batch.count;
    let sent = 0;
    for (let i = 0; i < count; i++) {
      const length = batch.length[i]!;
      const at = ring.reserve(HEAD + wordsOf(length));
      if (at < 0) this.#drops[TX_FULL]! += 1;
      else {
        const { words } = ring;
        words[at] = this.#portNo;
        words[at + 1] = length;
        words[at + 2] = batch.offload[i]!;
        words[at + 3] = batch.csumStart[i]!;
        words[at + 4] = batch.csumOffset[i]!;
        words[at + 5] = batch.gsoSize[i]!;
        words[at + 6] = batch.gsoHeader[i]!;
        copyBytes(view, batch.data[i]!, ring.view, (at + HEAD) * 4, length);
        sent++;
      }
      this.#pool.release(batch.data[i]!);
    }
    batch.count = 0;
    if (ring.publish() && Atomics.compareExchange(this.#control, SLEEPING, ASLEEP, WOKEN) === ASLEEP) {
      this.#native.ring(this.#doorbell);
    }
    return sent;
  }

  close(): void {}
}

/** Sends what another thread's senders put into a ring. */
export class RelayReceiver {
  readonly #ring: SharedRing;
  readonly #pool: FramePool;
  readonly #output: Output;
  readonly #portlessDrops: Float64Array;
  readonly #hand: Float64Array;
  readonly #transmitter: Transmitter;

  /** `hand`: HAND_*, as the pipeline has it. */
  constructor(
    ring: SharedRing,
    pool: FramePool,
    output: Output,
    portlessDrops: Float64Array,
    hand: Float64Array,
  ) {
    this.#ring = ring;
    this.#pool = pool;
    this.#output = output;
    this.#portlessDrops = portlessDrops;
    this.#hand = hand;
    this.#transmitter = new Transmitter(pool);
  }

  /** Sends one burst at most; returns how many packets there were. Between bursts, when transmit batches are empty. */
  poll(): number {
    const ring = this.#ring;
    const { words } = ring;
    let port: Port | undefined;
    let portNo = -1;
    let taken = 0;
    for (; taken < BURST; taken++) {
      const at = ring.peek();
      if (at < 0) break;
      if (words[at]! !== portNo) {
        if (port !== undefined && port.txBatch.count > 0) this.#send(port);
        portNo = words[at]!;
        port = this.#output.port(portNo);
      }
      // Deleted while the packet was on its way.
      if (port === undefined) this.#portlessDrops[NO_PORT]! += 1;
      else this.#take(at, port);
      ring.skip();
    }
    if (port !== undefined && port.txBatch.count > 0) this.#send(port);
    else ring.release();
    return taken;
  }

  /** Sends the transmit batch of `port`, which has all packets that the ring still holds. */
  #send(port: Port): void {
    const hand = this.#hand;
    this.#ring.release();
    hand[OF_PORT] = port.portNo;
    hand[IN_HAND] = port.txBatch.count;
    this.#transmitter.send(port);
    hand[IN_HAND] = 0;
  }

  #take(at: number, port: Port): void {
    const { words, view } = this.#ring;
    const length = words[at + 1]!;
    const frame = this.#pool.allocFor(length);
    if (frame < 0) {
      port.drops[NO_FRAME]! += 1;
      return;
    }
    copyBytes(view, (at + HEAD) * 4, this.#pool.arena.view, frame, length);
    const { txBatch } = port;
    const i = txBatch.count;
    txBatch.push(frame, length);
    txBatch.offload[i] = words[at + 2]!;
    txBatch.csumStart[i] = words[at + 3]!;
    txBatch.csumOffset[i] = words[at + 4]!;
    txBatch.gsoSize[i] = words[at + 5]!;
    txBatch.gsoHeader[i] = words[at + 6]!;
  }
}
