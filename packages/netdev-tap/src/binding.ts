/** The native bindings (native/*.c): what they offer. */

import type { Rtnetlink } from '@etherloom/netdev-linux';
import { loadBinding } from '@etherloom/netdev-linux/data';

/** native/tap.c: control. Failing system calls throw a {@link SystemError}. */
export interface TapControl extends Rtnetlink {
  /** Creates a TAP, or attaches to one without a user, in the namespace file `netns`; returns a non-blocking descriptor. */
  openTap(name: string, netns: string | undefined, multiQueue: boolean): number;
  tapInfo(fd: number): { name: string; persistent: boolean };
  setPersistent(fd: number, persistent: boolean): void;
  /** TUN_F_* flags: what the kernel may leave undone on the frames that we receive. */
  setOffload(fd: number, flags: number): void;
}

/** native/burst.c: data. Nothing throws. Every frame has a virtio-net header in front of it, in the headroom. */
export interface TapBursts {
  /**
   * Frames read, or -errno. What is longer than `room` went to the next frame of `larges`, which changed places with
   * `frames[i]`; with no `larges` its length is `room + 1`, and nothing of it is there.
   */
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
  /** Frames consumed and thrown away, or -errno. */
  rxDiscard(fd: number, count: number): number;
  /**
   * Has `txBurst` of this thread write to `fd` by io_uring: a slot, or why it cannot, as -errno. The file stays open until
   * `leaveRing` of that slot, or the end of the thread.
   */
  joinRing(fd: number): number;
  leaveRing(slot: number): void;
  /**
   * Frames that the device took, or -errno; `errors[i]` is 0 or the errno of frame `start + i`. `slot` is what `joinRing`
   * gave for `fd`: by io_uring, where that is faster; or -1: one write(2) each.
   */
  txBurst(
    fd: number,
    arena: Uint8Array,
    frames: Int32Array,
    lengths: Int32Array,
    start: number,
    count: number,
    errors: Int32Array,
    slot: number,
  ): number;
}

/** Loaded at first use, so that importing the driver needs no binary. ENOSYS when it cannot be loaded. */
export function tapControl(): TapControl {
  return load('tap', ['openTap', 'tapInfo', 'setPersistent', 'setOffload', 'rtnetlink']);
}

/** As {@link tapControl}. */
export function tapBursts(): TapBursts {
  return load('burst', ['rxBurst', 'rxDiscard', 'joinRing', 'leaveRing', 'txBurst']);
}

function load<Binding>(name: string, functions: readonly (keyof Binding & string)[]): Binding {
  return loadBinding(import.meta.url, '@etherloom/netdev-tap', name, functions);
}
