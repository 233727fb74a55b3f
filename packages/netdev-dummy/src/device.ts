/** The control half of a dummy device, and what tests do with its far end: inject, capture, pull the cable. */

import {
  DpifError,
  MAX_PACKET,
  type Netdev,
  type NetdevCapabilities,
  type NetdevConfig,
  type NetdevFeatures,
  type NetdevFlags,
  type NetdevStats,
  QUEUE_COUNTERS,
  QUEUE_RX_BYTES,
  QUEUE_RX_PACKETS,
  QUEUE_TX_BYTES,
  QUEUE_TX_PACKETS,
  type QueueDescriptor,
  watchWord,
} from '@etherloom/core';
import { CaptureFiles } from './capture-files.js';
import { checkFixed, checkMac, checkMtu, type DummyOptions, parseConfig, significant } from './config.js';
import { type DummyQueue, STATE_LINK, STATE_MAX_FRAME, STATE_OBSERVED, STATE_WORDS } from './queue.hot.js';
import {
  type DummyQueueDescriptor,
  type LocalDevice,
  type ReplayDescriptor,
  registerLocal,
} from './queue.js';
import { FrameRing, RING_BYTES, RING_TAIL } from './ring.hot.js';

/** The module of the data half, as built: from the sources too, since threads cannot load TypeScript. */
const QUEUE_MODULE = new URL('../dist/queue.js', import.meta.url).href;
const ETH_HEADER = 14;

/** Called with a copy of each sent frame, and the queue that sent it. */
export type TransmitListener = (frame: Uint8Array, queue: number) => void;

/** What a device needs from its provider. */
export interface DeviceHost {
  /** The other end of `device`'s pipe: open, and naming `device` as its own. */
  peerOf(device: DummyNetdev): DummyNetdev | undefined;
  closed(device: DummyNetdev): void;
}

interface Pair {
  readonly descriptor: DummyQueueDescriptor;
  readonly rx: FrameRing;
  readonly tx: FrameRing;
  readonly counters: Float64Array;
  /** The queue, while it is open on this thread. */
  queue: DummyQueue | undefined;
  readonly unwatch: () => void;
}

export class DummyNetdev implements Netdev {
  readonly name: string;
  readonly type: string;
  readonly capabilities: NetdevCapabilities;
  /** Name of the pipe's other end. */
  readonly peer: string | undefined;
  readonly #host: DeviceHost;
  readonly #ownMac: string;
  readonly #state = new Int32Array(new SharedArrayBuffer(STATE_WORDS * 4));
  readonly #pairs: readonly Pair[];
  /** Transmit halves of threads: their receive rings stay empty. */
  readonly #transmitters: Pair[] = [];
  /** QUEUE_* of transmit halves that are gone. */
  readonly #retired = new Float64Array(QUEUE_COUNTERS);
  readonly #listeners = new Set<TransmitListener>();
  #config: NetdevConfig;
  #options: DummyOptions;
  #captures: CaptureFiles;
  #transmitted: Uint8Array[] = [];
  #transmittedLost = 0;
  #rxMissed = 0;
  #mac: string;
  #mtu: number;
  #up: boolean;
  #promisc = false;
  /** The cable is in; whether there is a carrier depends on a peer too. */
  #plugged = true;
  #carrier = true;
  #carrierResets = 0;
  #closed = false;

  /** Devices are made by `DummyProvider.open`, which calls `refreshLink` once the device can be found by name. */
  constructor(
    host: DeviceHost,
    name: string,
    type: string,
    ownMac: string,
    config: NetdevConfig,
    options: DummyOptions,
    replay: ReplayDescriptor | undefined,
  ) {
    this.#host = host;
    this.name = name;
    this.type = type;
    this.peer = options.peer;
    this.#ownMac = ownMac;
    this.#config = config;
    this.#options = options;
    this.#mac = options.mac ?? ownMac;
    this.#mtu = options.mtu;
    this.#up = options.up;
    // A pipe has no carrier before its other end is there, so it starts without.
    this.#carrier = options.peer === undefined;
    this.#captures = new CaptureFiles(options.rxPcap, options.txPcap);
    this.capabilities = {
      rxQueues: options.queues,
      txQueues: options.queues,
      maxFrame: MAX_PACKET,
      txOffloads: 0,
      rxOffloads: 0,
    };
    this.#pairs = Array.from({ length: options.queues }, (_, index) => this.#pair(index, replay));
    this.#publish();
  }

  // --- the far end, for tests and simulations

  /**
   * Puts `frame` (copied) into the receive ring of `queue`, as if it came from the wire, and wakes the queue's user. False,
   * and counted as `rxMissedErrors`, when the ring is full or the link is down. Runts and frames above 65,535 bytes are
   * taken: the queue drops them by reason. Throws a `RangeError` for a queue that does not exist.
   */
  inject(frame: Uint8Array, queue = 0): boolean {
    const pair = this.#pairs[queue];
    if (pair === undefined) {
      throw new RangeError(`device "${this.name}" has no queue ${queue}: it has ${this.#pairs.length}`);
    }
    if (!this.#receive(pair, frame)) return false;
    if (pair.queue !== undefined) pair.queue.kick();
    else Atomics.notify(pair.rx.words, RING_TAIL);
    return true;
  }

  /** {@link inject} for each frame; how many were taken. */
  injectMany(frames: Iterable<Uint8Array>, queue = 0): number {
    let taken = 0;
    for (const frame of frames) if (this.inject(frame, queue)) taken++;
    return taken;
  }

  /**
   * The frames sent since the last call, in order per queue: the first `capture` of them (an option, default 1000);
   * `transmittedLost` counts those behind.
   */
  takeTransmitted(): Uint8Array[] {
    for (const pair of this.#all()) this.#drain(pair);
    const frames = this.#transmitted;
    this.#transmitted = [];
    return frames;
  }

  /** How many sent frames takeTransmitted never saw because `capture` of them were waiting. */
  get transmittedLost(): number {
    return this.#transmittedLost;
  }

  /**
   * Calls `listener` for each frame sent from now on, within txBurst when the queue is on this thread. What it throws
   * becomes an uncaught exception. Returns the function that ends it.
   */
  onTransmit(listener: TransmitListener): () => void {
    this.#listeners.add(listener);
    this.#publish();
    return () => {
      this.#listeners.delete(listener);
      this.#publish();
    };
  }

  /** Plugs the cable in or pulls it. Without carrier nothing is received, and sent frames are dropped. */
  setCarrier(plugged: boolean): void {
    this.#plugged = plugged;
    this.#relink();
  }

  // --- Netdev

  async getConfig(): Promise<NetdevConfig> {
    return { ...this.#config };
  }

  /** An option that stays what it was does not undo what setMtu, setEtheraddr or setFlags did since. */
  async setConfig(config: NetdevConfig): Promise<void> {
    if (this.#closed) throw new DpifError('ENODEV', `dummy device "${this.name}" is closed: open it again`);
    const before = this.#options;
    const options = parseConfig(this.name, config);
    checkFixed(this.name, this.#config, config);
    if (options.rxPcap !== before.rxPcap || options.txPcap !== before.txPcap) {
      const captures = new CaptureFiles(options.rxPcap, options.txPcap);
      this.#captures.close();
      this.#captures = captures;
    }
    this.#config = significant(config);
    this.#options = options;
    if (options.mac !== before.mac) this.#mac = options.mac ?? this.#ownMac;
    if (options.mtu !== before.mtu) this.#mtu = options.mtu;
    if (options.up !== before.up) this.#up = options.up;
    this.#publish();
    this.#relink();
  }

  async getMtu(): Promise<number> {
    return this.#mtu;
  }

  async setMtu(mtu: number): Promise<void> {
    checkMtu(this.name, mtu);
    this.#mtu = mtu;
    this.#publish();
  }

  async getEtheraddr(): Promise<string> {
    return this.#mac;
  }

  async setEtheraddr(address: string): Promise<void> {
    checkMac(this.name, address);
    this.#mac = address.toLowerCase();
  }

  async getStats(): Promise<NetdevStats> {
    const total = (counter: number): number =>
      this.#all().reduce((sum, { counters }) => sum + counters[counter]!, this.#retired[counter]!);
    return {
      rxPackets: total(QUEUE_RX_PACKETS),
      txPackets: total(QUEUE_TX_PACKETS),
      rxBytes: total(QUEUE_RX_BYTES),
      txBytes: total(QUEUE_TX_BYTES),
      rxMissedErrors: this.#rxMissed,
    };
  }

  async getCarrier(): Promise<boolean> {
    return this.#carrier;
  }

  async getCarrierResets(): Promise<number> {
    return this.#carrierResets;
  }

  async getFeatures(): Promise<NetdevFeatures> {
    return {};
  }

  async getFlags(): Promise<NetdevFlags> {
    return { up: this.#up, promisc: this.#promisc, loopback: false };
  }

  async setFlags(flags: Partial<NetdevFlags>): Promise<void> {
    if (flags.loopback === true) {
      throw new DpifError('EOPNOTSUPP', `dummy device "${this.name}" cannot be a loopback device`);
    }
    this.#promisc = flags.promisc ?? this.#promisc;
    this.#up = flags.up ?? this.#up;
    this.#relink();
  }

  async getIfindex(): Promise<number> {
    return this.#options.ifindex;
  }

  queueDescriptor(index: number): DummyQueueDescriptor {
    const pair = this.#pairs[index];
    if (pair === undefined) {
      throw new DpifError(
        'EINVAL',
        `device "${this.name}" has no queue ${index}: it has ${this.#pairs.length}, counted from 0`,
      );
    }
    return pair.descriptor;
  }

  /** Its frames show at the far end as sent by queue 0. */
  transmitDescriptor(): DummyQueueDescriptor {
    const pair = this.#pair(0, undefined);
    this.#transmitters.push(pair);
    return pair.descriptor;
  }

  reclaimQueue(index: number): void {
    Atomics.store(new Int32Array(this.queueDescriptor(index).owner), 0, 0);
  }

  reclaimTransmitter({ counters: memory }: QueueDescriptor): void {
    const at = this.#transmitters.findIndex(({ descriptor }) => descriptor.counters === memory);
    if (at < 0) return;
    this.#drain(this.#transmitters[at]!);
    this.#retire(at);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    for (const pair of this.#all()) this.#drain(pair);
    this.#closed = true;
    this.#host.closed(this);
    this.#relink();
    while (this.#transmitters.length > 0) this.#retire(0);
    for (const pair of this.#pairs) pair.unwatch();
    this.#captures.close();
    this.#listeners.clear();
  }

  /** Computes carrier and link anew, after this device or its peer changed. Called by the provider. */
  refreshLink(): void {
    const peer = this.#closed ? undefined : this.#host.peerOf(this);
    const ready = peer === undefined ? this.peer === undefined : peer.#up && peer.#plugged;
    const carrier = this.#plugged && ready;
    if (carrier !== this.#carrier) {
      this.#carrier = carrier;
      this.#carrierResets++;
    }
    const link = this.#up && carrier && !this.#closed ? 1 : 0;
    if (this.#state[STATE_LINK] === link) return;
    this.#state[STATE_LINK] = link;
    // A replay that waited for the link goes on.
    for (const pair of this.#pairs) this.#wakeLater(pair);
  }

  /** Lets go of a transmit half, 512 KiB of rings, and keeps what it counted. */
  #retire(at: number): void {
    for (const { counters, unwatch } of this.#transmitters.splice(at, 1)) {
      unwatch();
      for (const [counter, count] of counters.entries()) this.#retired[counter]! += count;
    }
  }

  #all(): readonly Pair[] {
    return [...this.#pairs, ...this.#transmitters];
  }

  #relink(): void {
    this.refreshLink();
    if (!this.#closed) this.#host.peerOf(this)?.refreshLink();
  }

  #pair(index: number, replay: ReplayDescriptor | undefined): Pair {
    const rx = new SharedArrayBuffer(RING_BYTES);
    const descriptor: DummyQueueDescriptor = {
      module: QUEUE_MODULE,
      netdev: this.name,
      index,
      counters: new SharedArrayBuffer(QUEUE_COUNTERS * 8),
      ready: { words: rx, index: RING_TAIL },
      state: this.#state.buffer,
      rx,
      tx: new SharedArrayBuffer(RING_BYTES),
      owner: new SharedArrayBuffer(4),
      queues: this.#options.queues,
      replay,
    };
    const tx = new FrameRing(descriptor.tx);
    const pair: Pair = {
      descriptor,
      rx: new FrameRing(descriptor.rx),
      tx,
      counters: new Float64Array(descriptor.counters),
      queue: undefined,
      // Only a queue on another thread notifies; one on this thread calls.
      unwatch: watchWord(tx.words, RING_TAIL, () => this.#drain(pair)),
    };
    const device: LocalDevice = {
      opened: (queue) => {
        pair.queue = queue;
        queue.drain = () => this.#drain(pair);
      },
      closed: () => {
        pair.queue = undefined;
      },
    };
    registerLocal(descriptor.rx, device);
    return pair;
  }

  #receive(pair: Pair, frame: Uint8Array): boolean {
    const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
    if (this.#state[STATE_LINK] === 0 || !pair.rx.push(view, 0, frame.length)) {
      this.#rxMissed++;
      return false;
    }
    this.#captures.rx?.write([frame]);
    return true;
  }

  /** Empties the tx ring of a pair: to the peer, the capture file, the listeners, takeTransmitted. */
  #drain(pair: Pair): void {
    if (this.#closed) return;
    const frames: Uint8Array[] = [];
    for (let length = pair.tx.next(); length >= 0; length = pair.tx.next()) {
      const frame = new Uint8Array(length);
      pair.tx.take(new DataView(frame.buffer), 0);
      frames.push(frame);
    }
    if (frames.length === 0) return;
    this.#captures.tx?.write(frames);
    const room = Math.max(0, this.#options.capture - this.#transmitted.length);
    this.#transmitted.push(...frames.slice(0, room));
    this.#transmittedLost += Math.max(0, frames.length - room);
    const { index } = pair.descriptor;
    const peer = this.#host.peerOf(this);
    if (peer !== undefined) peer.#fromPeer(frames, index);
    for (const listener of this.#listeners) {
      for (const frame of frames) {
        try {
          listener(frame, index);
        } catch (error) {
          process.nextTick(() => {
            throw error;
          });
        }
      }
    }
  }

  #fromPeer(frames: readonly Uint8Array[], index: number): void {
    const pair = this.#pairs[index % this.#pairs.length];
    if (pair === undefined) return;
    for (const frame of frames) this.#receive(pair, frame);
    this.#wakeLater(pair);
  }

  /** Not from inside whatever is going on: that may be the txBurst of the very user who would be woken. */
  #wakeLater(pair: Pair): void {
    if (pair.queue !== undefined) queueMicrotask(pair.queue.kick);
    else Atomics.notify(pair.rx.words, RING_TAIL);
  }

  /** Makes the data half see the settings. */
  #publish(): void {
    this.#state[STATE_MAX_FRAME] = this.#mtu + ETH_HEADER;
    const observed =
      this.#options.capture > 0 ||
      this.#listeners.size > 0 ||
      this.#captures.tx !== undefined ||
      this.#options.peer !== undefined;
    this.#state[STATE_OBSERVED] = observed ? 1 : 0;
  }
}
