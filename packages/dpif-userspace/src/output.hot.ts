/**
 * The last stage of the packets' path: ports by number, and a transmit batch per port that is sent when it is full and
 * at the end of each receive burst. Hot: no allocation, no throw.
 */

import { DROP_NO_PORT, type FramePool, type PacketBatch, type PacketState } from '@etherloom/core/data';
import { SEEN_OUT, type Tap } from './capture/tap.hot.js';
import { PERF_EXECUTE, PERF_SENT, PERF_SENT_BATCHES, PERF_TRANSMIT, Stopwatch } from './perf.hot.js';
import type { Port } from './port.hot.js';
import { Transmitter } from './transmit.hot.js';

/** Port numbers are 0..65534, as in the Linux datapath. */
export const MAX_PORTS = 65_535;

const NO_PORT = DROP_NO_PORT;
const EXECUTE = PERF_EXECUTE;
const TRANSMIT = PERF_TRANSMIT;
const SENT = PERF_SENT;
const SENT_BATCHES = PERF_SENT_BATCHES;
/** V8 folds a module's own constants into the code, imported and exported ones not. */
const PORTS = MAX_PORTS;

export class Output {
  /** Captures that see what ports receive and send. Replaced by the control path between bursts. */
  taps: readonly Tap[] = [];
  /** Times stages, and counts what is sent. */
  readonly watch: Stopwatch;
  readonly #pool: FramePool;
  readonly #transmitter: Transmitter;
  /** Slot + 1 by port number: 128 KiB, for a lookup that never hashes. */
  readonly #slotOf = new Uint16Array(MAX_PORTS);
  /** Ports by slot, without holes at the end. Changed by {@link add} and {@link remove}. */
  readonly #ports: (Port | undefined)[] = [];
  /** Slots whose transmit batch is not empty. */
  readonly #waiting = new Uint16Array(MAX_PORTS);
  #waitingCount = 0;
  /** Packets of a received batch that a device is being given as it is. */
  #direct = 0;

  /** `counters`: PERF_*. */
  constructor(pool: FramePool, counters?: Float64Array) {
    this.#pool = pool;
    this.watch = new Stopwatch(counters);
    this.#transmitter = new Transmitter(pool);
  }

  /** The port with this number, 0..0xffffffff. */
  port(portNo: number): Port | undefined {
    return portNo < PORTS ? this.#ports[this.#slotOf[portNo]! - 1] : undefined;
  }

  /**
   * Puts packets `[first, end)` of `batch` into the transmit batch of port `portNo`, and takes over one reference to each
   * frame. A port that does not exist is a drop of each in `drops`.
   */
  send(portNo: number, batch: PacketBatch, first: number, end: number, drops: Float64Array): void {
    const slot = portNo < PORTS ? this.#slotOf[portNo]! - 1 : -1;
    if (slot < 0) {
      drops[NO_PORT]! += end - first;
      for (let i = first; i < end; i++) this.#pool.release(batch.data[i]!);
      return;
    }
    const port = this.#ports[slot]!;
    const { txBatch } = port;
    let from = first;
    while (from < end) {
      if (txBatch.count === 0) this.#waiting[this.#waitingCount++] = slot;
      const fit = Math.min(end - from, txBatch.capacity - txBatch.count);
      txBatch.pushRange(batch, from, from + fit);
      from += fit;
      if (txBatch.count === txBatch.capacity) this.#transmit(port, slot);
    }
  }

  /**
   * As {@link send}, for all of a batch, which is empty afterwards. It goes to the device as it is when nothing waits for the
   * port: 5 ns a packet less than by way of the transmit batch.
   */
  sendAll(portNo: number, batch: PacketBatch, drops: Float64Array): void {
    const port = this.port(portNo);
    if (port !== undefined && port.txBatch.count === 0) {
      this.#direct = batch.count;
      this.#send(port, batch);
      this.#direct = 0;
      return;
    }
    this.send(portNo, batch, 0, batch.count, drops);
    batch.count = 0;
  }

  /** As {@link send}, for the packet that an executor works on: without what a truncation cut. */
  sendPacket(portNo: number, packet: PacketState, drops: Float64Array): void {
    const slot = portNo < PORTS ? this.#slotOf[portNo]! - 1 : -1;
    if (slot < 0) {
      drops[NO_PORT]! += 1;
      this.#pool.release(packet.data);
      return;
    }
    const port = this.#ports[slot]!;
    const { txBatch } = port;
    const at = txBatch.count;
    if (at === 0) this.#waiting[this.#waitingCount++] = slot;
    txBatch.push(packet.data, packet.length - packet.pendingCut);
    if (packet.offload !== 0) {
      txBatch.offload[at] = packet.offload;
      txBatch.csumStart[at] = packet.csumStart;
      txBatch.csumOffset[at] = packet.csumOffset;
      txBatch.gsoSize[at] = packet.gsoSize;
      txBatch.gsoHeader[at] = packet.gsoHeader;
    }
    if (txBatch.count === txBatch.capacity) this.#transmit(port, slot);
  }

  /** Sends what waits. */
  flush(): void {
    // One call of a device may lead to packets for another one only through its receive side, so the list does not grow.
    while (this.#waitingCount > 0) {
      const port = this.#ports[this.#waiting[--this.#waitingCount]!]!;
      if (port.txBatch.count > 0) this.#send(port, port.txBatch);
    }
  }

  /** Control path: packets that wait to be sent, or that a device throws on. */
  get waiting(): number {
    let sum = this.#direct;
    for (const port of this.#ports) sum += port?.txBatch.count ?? 0;
    return sum;
  }

  /** Control path: adds a port whose number is free. */
  add(port: Port): void {
    let slot = this.#ports.indexOf(undefined);
    if (slot < 0) slot = this.#ports.length;
    this.#ports[slot] = port;
    this.#slotOf[port.portNo] = slot + 1;
  }

  /** Control path: removes a port. Nothing waits to be sent between bursts. */
  remove(port: Port): void {
    const slot = this.#slotOf[port.portNo]! - 1;
    this.#slotOf[port.portNo] = 0;
    this.#ports[slot] = undefined;
    while (this.#ports.length > 0 && this.#ports.at(-1) === undefined) this.#ports.pop();
  }

  #send(port: Port, batch: PacketBatch): void {
    const { taps, watch } = this;
    for (let i = 0; i < taps.length; i++) taps[i]!.see(SEEN_OUT, port.portNo, batch, batch.count);
    const { counters } = watch;
    counters[SENT]! += batch.count;
    counters[SENT_BATCHES]! += 1;
    if (watch.running) watch.lap(EXECUTE);
    this.#transmitter.send(port, batch);
    if (watch.running) watch.lap(TRANSMIT);
  }

  /** A full batch: the slot stays in the waiting list only if it is the one that asks again. */
  #transmit(port: Port, slot: number): void {
    this.#send(port, port.txBatch);
    for (let i = 0; i < this.#waitingCount; i++) {
      if (this.#waiting[i] !== slot) continue;
      this.#waiting[i] = this.#waiting[--this.#waitingCount]!;
      return;
    }
  }
}
