/** What the author of a driver gives to the netdev suite. */

import type { Netdev, NetdevConfig, NetdevRegistry } from '@etherloom/core';

/** A packet with offload metadata, as in a `PacketBatch`. */
export interface OffloadFrame {
  readonly bytes: Uint8Array;
  /** OFFLOAD_* bits; 0 is a plain frame, for which the others mean nothing. */
  readonly offload: number;
  readonly csumStart: number;
  readonly csumOffset: number;
  readonly gsoSize: number;
  readonly gsoHeader: number;
}

/** The other end of a device's wire. Frames that the suite did not send may come too: it knows its own. */
export interface FarEnd {
  /** Sends `frames` into the device's receive side, in order. Resolves when they were handed over. */
  send(frames: readonly Uint8Array[]): Promise<void>;
  /** What the device transmitted since the last call, in order; empty when nothing came yet. */
  receive(): Promise<Uint8Array[]>;
  /** As `send`, with the work left undone that the metadata name. Needed for the feature `offload`, as the next. */
  sendOffload?(frames: readonly OffloadFrame[]): Promise<void>;
  /** As `receive`, with the work that is left undone. */
  receiveOffload?(): Promise<OffloadFrame[]>;
  close(): Promise<void>;
}

/** Made anew for each case by `setup`. */
export interface NetdevFixture {
  /** With the driver's provider registered. */
  readonly registry: NetdevRegistry;
  /** The device type under test. */
  readonly type: string;
  /** Options that opening a device needs here (a namespace, a host interface); none for most drivers. */
  readonly config: NetdevConfig;
  /** A device name that nothing uses; another one at each call. */
  name(): string;
  /** The far end of an open device. */
  farEnd(netdev: Netdev): Promise<FarEnd>;
  /** How many devices to open and close in search of leaks, default 1000: for drivers whose kernel takes its time. */
  readonly cycles?: number;
  /** Whether `fd` polls readable now. Needed for drivers with a `pollFd`: Node itself cannot tell. */
  readable?(fd: number): Promise<boolean>;
}

/** What a driver may be unable to do; everything else is demanded of all. */
export const NETDEV_FEATURES = [
  /** Changing the MTU. */
  'set-mtu',
  /** Changing the Ethernet address. */
  'set-etheraddr',
  /** Changing flags up and promisc. */
  'set-flags',
  /** Frames of 65,535 bytes, with the MTU at 65,521. */
  'largest-frame',
  /** Receiving frames shorter than 14 bytes at all, so that the queue must drop them. */
  'rx-runt',
  /** Receiving frames longer than 65,535 bytes at all. */
  'rx-oversize',
  /** Offload metadata, in either direction (the far end has to know them too). */
  'offload',
  /** Queues on other threads. */
  'worker',
] as const;
export type NetdevFeature = (typeof NETDEV_FEATURES)[number];

export interface NetdevSuite<F extends NetdevFixture> {
  setup(): Promise<F>;
  /** Undoes `setup`, also after a case failed with devices still open. */
  teardown(fixture: F): Promise<void>;
  /** Features that the driver lacks, with the reason; what is not named is supported. */
  readonly supports?: Partial<Record<NetdevFeature, true | string>>;
}
