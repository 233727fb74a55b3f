/** The native bindings (native/*.c): what they offer. */

import type { Rtnetlink } from '@etherloom/netdev-linux';
import { loadBinding } from '@etherloom/netdev-linux/data';

/** native/control.c. Failing system calls throw a {@link SystemError}. */
export interface ControlBinding extends Rtnetlink {
  /** A control socket in the namespace file `netns`, or in this thread's namespace. */
  openControl(netns: string | undefined): number;
  /** One ethtool request, overwritten by its answer. */
  ethtool(control: number, device: string, command: Uint8Array): void;
  /** Makes a device promiscuous while the returned descriptor is open. */
  joinAll(control: number, ifindex: number): number;
  /** Attaches the redirect program; it stays until both descriptors are closed. `tags`: 1 when it puts VLAN tags back. */
  attachXdp(
    control: number,
    ifindex: number,
    flags: number,
    queues: number,
  ): { readonly map: number; readonly link: number; readonly tags: number };
}

/** An open AF_XDP socket. */
export interface XskSocket {
  readonly fd: number;
  readonly handle: object;
  readonly rings: ArrayBuffer;
  /** 1 when the kernel reads metadata in front of packets to send. */
  readonly metadata: number;
}

/** native/xsk.c. `openXsk` throws a {@link SystemError}; the others return 0 or -errno. */
export interface XskBinding {
  openXsk(
    control: number,
    ifindex: number,
    queue: number,
    flags: number,
    arena: Uint8Array,
    chunk: number,
    metadata: number,
    entries: Uint32Array,
    layout: Int32Array,
  ): XskSocket;
  closeXsk(handle: object): void;
  receiveFrom(map: number, queue: number, fd: number): number;
  kick(fd: number, calls: number): number;
  wake(fd: number): number;
  statistics(fd: number, counts: Float64Array): number;
}

/** native/packet.c. `openPacket` throws a {@link SystemError}; the others return counts, or -errno. */
export interface PacketBinding {
  openPacket(control: number, ifindex: number): number;
  /** Frames received; `frames[i]` is where frame i is, in one of `larges` when it is long, which takes its place there. */
  rxBurst(
    fd: number,
    arena: Uint8Array,
    frames: Int32Array,
    lengths: Int32Array,
    count: number,
    room: number,
    larges: Int32Array,
    largeCount: number,
  ): number;
  rxDiscard(fd: number, count: number): number;
  /** Packets that came and that were lost since the last call. */
  statistics(fd: number, counts: Float64Array): number;
  /** Frames that the device took; `errors[i]` is 0 or the errno of frame `start + i`. */
  txBurst(
    fd: number,
    arena: Uint8Array,
    frames: Int32Array,
    lengths: Int32Array,
    start: number,
    count: number,
    errors: Int32Array,
  ): number;
}

/** Loaded at first use, so that importing the driver needs no binary. ENOSYS when it cannot be loaded. */
export function controlBinding(): ControlBinding {
  return load('control', ['openControl', 'rtnetlink', 'ethtool', 'joinAll', 'attachXdp']);
}

/** As {@link controlBinding}. */
export function xskBinding(): XskBinding {
  return load('xsk', ['openXsk', 'closeXsk', 'receiveFrom', 'kick', 'wake', 'statistics']);
}

/** As {@link controlBinding}. */
export function packetBinding(): PacketBinding {
  return load('packet', ['openPacket', 'rxBurst', 'rxDiscard', 'statistics', 'txBurst']);
}

function load<Binding>(name: string, functions: readonly (keyof Binding & string)[]): Binding {
  return loadBinding(import.meta.url, '@etherloom/netdev-afxdp', name, functions);
}
