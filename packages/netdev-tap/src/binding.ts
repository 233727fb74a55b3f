/** The native bindings (native/*.c): what they offer, and how they are loaded. The only file that trusts their shape. */

import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { DpifError } from '@etherloom/core/data';

/** native/tap.c: control. Failing system calls throw a {@link SystemError}. */
export interface TapControl {
  /** Creates a TAP, or attaches to one without a user, in the namespace file `netns`; returns a non-blocking descriptor. */
  openTap(name: string, netns: string | undefined, multiQueue: boolean): number;
  tapInfo(fd: number): { name: string; persistent: boolean };
  setPersistent(fd: number, persistent: boolean): void;
  /** TUN_F_* flags: what the kernel may leave undone on the frames that we receive. */
  setOffload(fd: number, flags: number): void;
  /** One rtnetlink request in the device's namespace of the moment; returns the length of the reply. */
  rtnetlink(fd: number, request: Uint8Array, reply: Uint8Array): number;
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
  /** Frames that the device took, or -errno; `errors[i]` is 0 or the errno of frame `start + i`. */
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

/** A system call that failed in the binding: its number, and which step it was. */
export interface SystemError {
  readonly errno: number;
  readonly syscall: string;
}

/** Loaded at first use, so that importing the driver needs no binary. ENOSYS when it cannot be loaded. */
export function tapControl(): TapControl {
  const path = pathOf('tap');
  const module = load(path);
  if (!offers<TapControl>(module, ['openTap', 'tapInfo', 'setPersistent', 'setOffload', 'rtnetlink']))
    throw outdated(path);
  return module;
}

/** As {@link tapControl}. */
export function tapBursts(): TapBursts {
  const path = pathOf('burst');
  const module = load(path);
  if (!offers<TapBursts>(module, ['rxBurst', 'rxDiscard', 'txBurst'])) throw outdated(path);
  return module;
}

function pathOf(name: string): string {
  return fileURLToPath(new URL(`../native/${name}.node`, import.meta.url));
}

/** Node keeps what is loaded, so asking again is cheap. */
function load(path: string): unknown {
  try {
    return createRequire(import.meta.url)(path);
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new DpifError(
      'ENOSYS',
      `the native part of @etherloom/netdev-tap cannot be loaded (${reason}): build it with the package's script "native"`,
      { cause: error },
    );
  }
}

function outdated(path: string): DpifError {
  return new DpifError(
    'ENOSYS',
    `${path} is of another version: build it anew with the package's script "native"`,
  );
}

/** Names are checked here; the signatures are those of native/*.c, which is compiled from the same package. */
function offers<Binding>(module: unknown, names: readonly (keyof Binding & string)[]): module is Binding {
  if (typeof module !== 'object' || module === null) return false;
  const members = new Map(Object.entries(module));
  return names.every((name) => typeof members.get(name) === 'function');
}

export function isSystemError(error: unknown): error is Error & SystemError {
  return (
    error instanceof Error &&
    'errno' in error &&
    typeof error.errno === 'number' &&
    'syscall' in error &&
    typeof error.syscall === 'string'
  );
}
