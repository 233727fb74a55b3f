/**
 * The netdev contract: what a network device is to its users, and what a driver implements.
 *
 * A driver has two halves. The **control half** ({@link Netdev}) opens and configures a device; it lives on the control
 * thread and may be slow. The **data half** ({@link NetdevQueue}) moves bursts of packets; any thread opens it from a
 * plain {@link QueueDescriptor} that names the driver's module, and nothing in it may block.
 */

import type { PacketBatch } from '../packet/batch.hot.js';
import type { FramePool } from '../packet/frame-pool.hot.js';

/** Device statistics (dpif.h "Ports"). A counter that the device does not have is absent, never 0. */
export interface NetdevStats {
  rxPackets?: number;
  txPackets?: number;
  rxBytes?: number;
  txBytes?: number;
  rxErrors?: number;
  txErrors?: number;
  rxDropped?: number;
  txDropped?: number;
  multicast?: number;
  collisions?: number;
  rxLengthErrors?: number;
  rxOverErrors?: number;
  rxCrcErrors?: number;
  rxFrameErrors?: number;
  rxFifoErrors?: number;
  rxMissedErrors?: number;
  txAbortedErrors?: number;
  txCarrierErrors?: number;
  txFifoErrors?: number;
  txHeartbeatErrors?: number;
  txWindowErrors?: number;
}

export interface NetdevFlags {
  readonly up: boolean;
  readonly promisc: boolean;
  readonly loopback: boolean;
}

/** Link speed and duplex; absent members are unknown. */
export interface NetdevFeatures {
  readonly speedMbps?: number;
  readonly fullDuplex?: boolean;
}

/** What an open device can do and how it is run. */
export interface NetdevCapabilities {
  readonly rxQueues: number;
  readonly txQueues: number;
  /** Longest frame that the transmit side accepts with MTU at its maximum, in bytes; 0 when only the MTU limits it. */
  readonly maxFrame: number;
  /** OFFLOAD_* bits (packet/batch.hot.ts) that may be set on frames given to txBurst. 0 = none: software must resolve them. */
  readonly txOffloads: number;
  /** OFFLOAD_* bits that rxBurst may set. */
  readonly rxOffloads: number;
  /** The mode in use of drivers that know several (AF_XDP), and why better ones were refused. */
  readonly mode?: string;
  readonly refused?: readonly { readonly mode: string; readonly reason: string }[];
}

/** Configuration of a device: option name to text, as in `add-if NAME,option=text`. */
export type NetdevConfig = Readonly<Record<string, string>>;

/** One QoS queue (netdev_get_queue, netdev_set_queue): driver-specific details as text. */
export interface NetdevQos {
  getQos(): Promise<{ type: string; details: NetdevConfig }>;
  setQos(type: string, details: NetdevConfig): Promise<void>;
  getQueue(id: number): Promise<NetdevConfig>;
  setQueue(id: number, details: NetdevConfig): Promise<void>;
  deleteQueue(id: number): Promise<void>;
  queues(): Promise<readonly number[]>;
}

/**
 * The control half of an open device. Control thread only. Methods reject with a `DpifError`; one that a device cannot
 * do at all rejects with EOPNOTSUPP.
 */
export interface Netdev {
  readonly name: string;
  readonly type: string;
  /** Options in effect that differ from defaults, sorted by name by whoever prints them. */
  getConfig(): Promise<NetdevConfig>;
  /** Replaces the options. Unknown or bad ones are EINVAL and leave the device as it was. */
  setConfig(config: NetdevConfig): Promise<void>;
  /** Layer-3 MTU in bytes: the longest frame is this plus 14, plus 4 per VLAN tag. */
  getMtu(): Promise<number>;
  setMtu(mtu: number): Promise<void>;
  /** `aa:bb:cc:dd:ee:ff`. */
  getEtheraddr(): Promise<string>;
  setEtheraddr(address: string): Promise<void>;
  getStats(): Promise<NetdevStats>;
  getCarrier(): Promise<boolean>;
  /** How often the carrier came or went since the device was opened. */
  getCarrierResets(): Promise<number>;
  getFeatures(): Promise<NetdevFeatures>;
  getFlags(): Promise<NetdevFlags>;
  /** Changes the flags given; the others stay. */
  setFlags(flags: Partial<NetdevFlags>): Promise<void>;
  /** Interface index in its namespace; 0 when there is none. */
  getIfindex(): Promise<number>;
  readonly capabilities: NetdevCapabilities;
  /**
   * How the device is run, as text by name (netdev_get_status): `mode`, what was `refused` and why; `warning` is one
   * sentence that says what the user should do. Absent: nothing to tell.
   */
  getStatus?(): Promise<Readonly<Record<string, string>>>;
  readonly qos?: NetdevQos;
  /**
   * Descriptor of receive/transmit queue pair `index`, `0 <= index < max(rxQueues, txQueues)`. Plain data, may go to
   * another thread; valid until `close`.
   */
  queueDescriptor(index: number): QueueDescriptor;
  /**
   * Of devices that take frames from any thread at any time: the descriptor of a transmit half, a queue of which only
   * `txBurst` is used. Another one at each call, for another thread each; valid until `close`. Without this method frames
   * leave only through the queues of `queueDescriptor`, and threads that have none of them hand their frames to one that has.
   */
  transmitDescriptor?(): QueueDescriptor;
  /**
   * The thread that had this queue open ended without closing it: undoes what keeps another one from opening it.
   * Drivers without anything of that kind leave it out.
   */
  reclaimQueue?(index: number): void;
  /**
   * The thread that had this transmit half, one that {@link transmitDescriptor} gave, ended without closing it, and nobody
   * will open it again: releases what the half alone needs. What it counted stays in the statistics. Drivers whose halves
   * need next to nothing leave it out.
   */
  reclaimTransmitter?(descriptor: QueueDescriptor): void;
  /** Releases the device; a device that the driver created disappears unless it is persistent. Idempotent. */
  close(): Promise<void>;
}

// Counters of one queue, in a Float64Array that the queue's thread writes and the control thread reads.
export const QUEUE_RX_PACKETS = 0;
export const QUEUE_RX_BYTES = 1;
export const QUEUE_TX_PACKETS = 2;
export const QUEUE_TX_BYTES = 3;
export const QUEUE_COUNTERS = 4;

/** What any thread needs to open a queue: structured-cloneable. Drivers extend it with fields of their own. */
export interface QueueDescriptor {
  /** URL of the ES module that exports `openQueue`. */
  readonly module: string;
  readonly netdev: string;
  readonly index: number;
  /** Shared memory of {@link QUEUE_COUNTERS} doubles, created by the control half, which sums them in getStats. */
  readonly counters: SharedArrayBuffer;
  /**
   * Only of queues with `pollFd` -1: the 32-bit word that changes, with `Atomics.notify`, when packets wait; how someone
   * wakes a thread that sleeps in a system call.
   */
  readonly ready?: { readonly words: SharedArrayBuffer; readonly index: number };
}

/** What the opener of a queue provides. */
export interface QueueResources {
  /** Where received frames come from and transmitted ones go back to. */
  readonly pool: FramePool;
  /** Drop counters (drops.ts) of the port, DROP_REASON_COUNT long; the queue adds what it drops. */
  readonly drops: Float64Array;
}

/**
 * The data half: one receive/transmit queue pair, used by one thread. No method throws, blocks or allocates.
 */
export interface NetdevQueue {
  /** A file descriptor that polls readable while `rxBurst` has something to give; -1 for drivers in memory. */
  readonly pollFd: number;
  /**
   * Only with `pollFd` -1: `wake` is called (once, until rxBurst came back empty) when packets wait. `undefined` removes it.
   * May call `wake` synchronously from whoever injects. Set while packets wait already, `wake` is called soon after.
   */
  setWake?(wake: (() => void) | undefined): void;
  /**
   * Receives into the free slots of `batch`; returns how many were appended. The batch's owner now owns those frames.
   * 0 means that nothing waits.
   */
  rxBurst(batch: PacketBatch): number;
  /**
   * Sends all packets of `batch` and takes over their frames, empties the batch, and returns how many the device took.
   * What it did not take is counted in `drops` by reason and released: a switch does not wait for a slow port.
   */
  txBurst(batch: PacketBatch): number;
  /** Releases everything the queue holds; frames in flight return to the pool. Idempotent. */
  close(): void;
}

/** The export that `QueueDescriptor.module` must have. */
export interface QueueModule {
  openQueue(descriptor: QueueDescriptor, resources: QueueResources): NetdevQueue;
}

/** One device type of a driver. A driver module exports `createNetdevProviders(): NetdevProvider[]`. */
export interface NetdevProvider extends QueueModule {
  /** `tap`, `afxdp`, `dummy`... */
  readonly type: string;
  /**
   * Opens (creating where the type creates) device `name`. Rejects with a `DpifError` that says what to do and leaves
   * nothing half-created.
   */
  open(name: string, config: NetdevConfig): Promise<Netdev>;
}

/** What switchd's `drivers:` list loads: a module with this export. */
export interface DriverModule {
  createNetdevProviders(): NetdevProvider[];
}
