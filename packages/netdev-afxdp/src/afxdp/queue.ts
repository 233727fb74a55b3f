/** The module that queue descriptors name: opens the data half of an AF_XDP device in whichever thread imports it. */

import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import {
  DpifError,
  errnoCode,
  type NetdevQueue,
  type QueueDescriptor,
  type QueueResources,
  SMALL_FRAME_SIZE,
} from '@etherloom/core/data';
import { isSystemError, type SystemError } from '@etherloom/netdev-linux/data';
import { type XskBinding, type XskSocket, xskBinding } from '../binding.js';
import { STATE_ZEROCOPY } from '../state.hot.js';
import { COMPLETION_SIZE, FILL_SIZE, LAYOUT_WORDS, RX_SIZE, TX_METADATA, TX_SIZE } from './rings.hot.js';
import { type XskDescriptor, XskQueue } from './xsk.hot.js';

/** Sizes of the rings, as the binding takes them. */
const ENTRIES = Uint32Array.of(RX_SIZE, TX_SIZE, FILL_SIZE, COMPLETION_SIZE);
/** With fewer free frames a queue could not even answer an ARP request. */
const MIN_FRAMES = 2;
/**
 * How long to wait for a queue whose socket was closed a moment ago, in milliseconds: the kernel takes its memory from the
 * device in a work queue of its own, some ms after close(2) returned.
 */
const BUSY_WAIT = 250;
const BUSY_STEP = 2;

// Bind flags of linux/if_xdp.h.
const XDP_COPY = 1 << 1;
const XDP_ZEROCOPY = 1 << 2;
const XDP_USE_NEED_WAKEUP = 1 << 3;
/** Packets of several buffers; Linux 6.6. */
const XDP_USE_SG = 1 << 4;

const EPERM = 1;
const EBUSY = 16;
const EINVAL = 22;

/**
 * Opens a queue. EINVAL when the descriptor is of another driver, ENOSYS when the binding is not built; what the kernel
 * refuses comes with a sentence that says what to do.
 */
export function openQueue(descriptor: QueueDescriptor, resources: QueueResources): NetdevQueue {
  if (!isXskDescriptor(descriptor)) {
    throw new DpifError(
      'EINVAL',
      `the queue descriptor of "${descriptor.netdev}" is not one of an AF_XDP device`,
    );
  }
  const { free } = resources.pool;
  if (free < MIN_FRAMES) {
    throw new DpifError(
      'ENOBUFS',
      `queue ${descriptor.index} of "${descriptor.netdev}" needs packet buffers and ${free} are free: make the arena larger`,
    );
  }
  const native = xskBinding();
  const layout = new Int32Array(LAYOUT_WORDS);
  const { socket, multiBuffer } = bindSomehow(native, descriptor, resources.pool.arena.bytes, layout);
  const queue = new XskQueue(native, socket, layout, multiBuffer, descriptor, resources);
  // Last, since packets come from now on, and there must be frames for them.
  const result = native.receiveFrom(descriptor.map, descriptor.index, socket.fd);
  if (result === 0) return queue;
  queue.close();
  throw new DpifError(
    errnoCode(result),
    `the XDP program of "${descriptor.netdev}" does not take queue ${descriptor.index} (errno ${-result}): close the port and add it again`,
  );
}

interface Bound {
  readonly socket: XskSocket;
  readonly multiBuffer: boolean;
}

/** Binds in the best of the ways that the descriptor allows; says in the device's state what became of zero-copy. */
function bindSomehow(
  native: XskBinding,
  descriptor: XskDescriptor,
  arena: Uint8Array,
  layout: Int32Array,
): Bound {
  const state = new Int32Array(descriptor.state);
  let failure: unknown;
  for (const way of descriptor.binds) {
    if (way === 'zerocopy' && state[STATE_ZEROCOPY]! > 0 && descriptor.binds.length > 1) continue;
    for (const multiBuffer of [true, false]) {
      const flags =
        XDP_USE_NEED_WAKEUP | (way === 'zerocopy' ? XDP_ZEROCOPY : XDP_COPY) | (multiBuffer ? XDP_USE_SG : 0);
      try {
        const socket = openPatiently(native, descriptor, flags, arena, layout);
        if (way === 'zerocopy') state[STATE_ZEROCOPY] = -1;
        return { socket, multiBuffer };
      } catch (error) {
        if (!isSystemError(error)) throw error;
        failure = error;
        // Only how the socket is bound differs between the attempts.
        if (error.syscall !== 'bind') throw explain(error, descriptor, arena.length);
        if (way === 'zerocopy') state[STATE_ZEROCOPY] = error.errno;
        else if (error.errno !== EINVAL) break;
      }
    }
  }
  if (isSystemError(failure)) throw explain(failure, descriptor, arena.length);
  throw failure;
}

function openPatiently(
  native: XskBinding,
  { control, ifindex, index }: XskDescriptor,
  flags: number,
  arena: Uint8Array,
  layout: Int32Array,
): XskSocket {
  // In zero-copy mode it is the card's driver that reads metadata or, without a word, does not.
  const metadata = (flags & XDP_COPY) === 0 ? 0 : TX_METADATA;
  for (let waited = 0; ; waited += BUSY_STEP) {
    try {
      return native.openXsk(
        control,
        ifindex,
        index,
        flags,
        arena,
        SMALL_FRAME_SIZE,
        metadata,
        ENTRIES,
        layout,
      );
    } catch (error) {
      const busy = isSystemError(error) && error.syscall === 'bind' && error.errno === EBUSY;
      if (!busy || waited >= BUSY_WAIT) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BUSY_STEP);
    }
  }
}

/** Why a queue cannot be opened, and what to do. */
function explain(error: Error & SystemError, descriptor: XskDescriptor, arena: number): DpifError {
  const { netdev, index } = descriptor;
  const refuse = (sentence: string): DpifError =>
    new DpifError(errnoCode(error.errno), sentence, { cause: error });
  const code = errnoCode(error.errno);
  switch (`${error.syscall}: ${code}`) {
    case 'socket AF_XDP: EAFNOSUPPORT':
      return refuse(
        `this kernel has no AF_XDP sockets (CONFIG_XDP_SOCKETS): add "${netdev}" with type afpacket, or use a kernel that has them`,
      );
    case 'XDP_MMAP_OFFSETS: EOPNOTSUPP':
      return refuse(
        `AF_XDP ports need Linux 5.10 or later, this is ${release()}: add "${netdev}" with type afpacket, or use a newer kernel`,
      );
    case 'XDP_UMEM_REG: ENOBUFS':
    case 'XDP_UMEM_REG: ENOMEM':
      return refuse(
        `the packet arena of ${Math.ceil(arena / 1024)} KiB cannot be locked into memory for "${netdev}" (the limit is ${lockLimit()}): raise it ("ulimit -l unlimited", or LimitMEMLOCK=infinity in a systemd unit), give the capability CAP_IPC_LOCK, or make the arena smaller`,
      );
    case 'bind: EBUSY':
      return refuse(
        `queue ${index} of "${netdev}" has an AF_XDP socket of another program already ("ss --xdp -p" may show which): end that program`,
      );
    case 'bind: ENODEV':
    case 'bind: ENXIO':
      return refuse(
        `device "${netdev}" is gone (deleted, or moved to another namespace): close the port and add it again`,
      );
    case 'bind: EOPNOTSUPP':
      return refuse(
        `the driver of "${netdev}" has no zero-copy AF_XDP on queue ${index}: give mode=auto or mode=native`,
      );
    case 'bind: EINVAL':
      return refuse(
        `queue ${index} of "${netdev}" cannot have an AF_XDP socket: the device uses fewer queues ("ethtool -l ${netdev}" shows how many), or this kernel (${release()}) is older than Linux 5.10`,
      );
  }
  const advice = error.errno === EPERM ? '; it takes root or the capability CAP_NET_RAW' : '';
  return refuse(`cannot open queue ${index} of "${netdev}": ${error.message}${advice}`);
}

function lockLimit(): string {
  try {
    const limits = readFileSync('/proc/self/limits', 'latin1');
    const [, soft] = /^Max locked memory +(\S+)/m.exec(limits) ?? [];
    return soft === undefined ? 'unknown' : soft === 'unlimited' ? soft : `${Number(soft) / 1024} KiB`;
  } catch {
    return 'unknown';
  }
}

function isXskDescriptor(descriptor: QueueDescriptor): descriptor is XskDescriptor {
  return (
    'control' in descriptor &&
    typeof descriptor.control === 'number' &&
    'map' in descriptor &&
    typeof descriptor.map === 'number' &&
    'binds' in descriptor &&
    'state' in descriptor &&
    descriptor.state instanceof SharedArrayBuffer
  );
}
