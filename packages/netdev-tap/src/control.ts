/** The control half of a TAP device: opening, options, link state, statistics. Control thread only. */

import { close as closeFd } from 'node:fs';
import { getSystemErrorName, promisify } from 'node:util';
import {
  DpifError,
  type ErrnoCode,
  errnoCode,
  MAX_PACKET,
  type Netdev,
  type NetdevCapabilities,
  type NetdevConfig,
  type NetdevFeatures,
  type NetdevStats,
} from '@etherloom/core';
import {
  checkName,
  IFF_UP,
  isSystemError,
  kernelError,
  type Link,
  type LinkChange,
  LinuxNetdev,
  namespaceError,
  namespacePath,
  newCounters,
  readLink,
} from '@etherloom/netdev-linux';
import { type TapControl, tapControl } from './binding.js';
import { parseOptions, type TapOptions } from './config.js';
import { enableOffloads, NO_OFFLOADS } from './offload.js';
import type { TapQueueDescriptor } from './queue.hot.js';
import { STATE_NO_RING, TAP_STATE_WORDS } from './state.hot.js';

const DEFAULT_MTU = 1500;
/** No code of the contracts: what any other file than the tun driver's says. */
const ENOTTY = 25;
/** Seen from src (under test) as from dist: threads without a TypeScript loader need the built module. */
const QUEUE_MODULE = new URL('../dist/queue.js', import.meta.url).href;

/** Unregistering a device takes the kernel 5 to 20 ms: in the thread pool, not on the control thread. */
const closeAsync = promisify(closeFd);

/** Creates TAP device `name`, or attaches to a persistent one without a user. On failure nothing is left behind. */
export async function openTap(name: string, config: NetdevConfig): Promise<Netdev> {
  checkName(name);
  const options = parseOptions(name, config);
  const native = tapControl();
  const netns = options.netns === undefined ? undefined : namespacePath(options.netns);
  const fds: number[] = [];
  try {
    while (fds.length < options.queues) fds.push(attach(native, name, netns, options));
    return new TapNetdev(native, name, fds, options);
  } catch (error) {
    await Promise.all(fds.map((fd) => closeAsync(fd)));
    throw error;
  }
}

function attach(native: TapControl, name: string, netns: string | undefined, options: TapOptions): number {
  try {
    return native.openTap(name, netns, options.queues > 1);
  } catch (error) {
    if (!isSystemError(error)) throw error;
    const refuse = (code: ErrnoCode, sentence: string) => new DpifError(code, sentence, { cause: error });
    if (error.syscall === 'TUNSETIFF' && error.errno === ENOTTY) {
      throw refuse(
        'ENXIO',
        '/dev/net/tun is another file than the character device 10, 200: remove it and run "modprobe tun", or give that device to the container',
      );
    }
    const code = errnoCode(error.errno);
    switch (`${error.syscall}: ${code}`) {
      case 'TUNSETIFF: EINVAL':
        throw refuse(
          'EEXIST',
          `a network device "${name}" exists that is not a TAP device with ${options.queues === 1 ? 'a single queue' : 'several queues'}: choose another name, or delete it`,
        );
      case 'TUNSETIFF: EBUSY':
        throw refuse(
          'EBUSY',
          `TAP device "${name}" is in use: close it where it is open, or choose another name`,
        );
      case 'open /dev/net/tun: ENOENT':
      case 'open /dev/net/tun: ENODEV':
      case 'open /dev/net/tun: ENXIO':
        throw refuse(
          code,
          `this system has no /dev/net/tun: run "modprobe tun", or give that device to the container`,
        );
      default:
        throw namespaceError(error, options.netns) ?? kernelError(error, `cannot open TAP device "${name}"`);
    }
  }
}

class TapNetdev extends LinuxNetdev<TapControl> {
  readonly capabilities: NetdevCapabilities;
  readonly #fds: readonly number[];
  readonly #netns: string | undefined;
  /** Whether the kernel may leave checksums and segmentation to us; fixed while open. */
  readonly #offload: boolean;
  /** Whether somebody chose the address; the kernel's own choice is not an option in effect. */
  #macChosen: boolean;

  /** Any descriptor serves control: the first does. */
  constructor(native: TapControl, name: string, fds: readonly number[], options: TapOptions) {
    const title = `TAP device "${name}"`;
    const control = fds[0]!;
    const link = readTap(native, control, title);
    super({
      native,
      name,
      type: 'tap',
      control,
      title,
      link,
      queues: fds.length,
      stateWords: TAP_STATE_WORDS,
    });
    this.#fds = fds;
    this.#netns = options.netns;
    this.#offload = options.offload;
    this.capabilities = {
      rxQueues: fds.length,
      txQueues: fds.length,
      maxFrame: MAX_PACKET,
      ...(options.offload ? enableOffloads(native, control, name) : NO_OFFLOADS),
    };
    this.#apply(link, options);
    this.#macChosen = options.mac !== undefined;
  }

  async getConfig(): Promise<NetdevConfig> {
    const link = this.link();
    const config: Record<string, string> = {};
    if (this.#macChosen) config.mac = link.address;
    if (link.mtu !== DEFAULT_MTU) config.mtu = String(link.mtu);
    if (this.#netns !== undefined) config.netns = this.#netns;
    if (!this.#offload) config.offload = 'false';
    if (this.native.tapInfo(this.control).persistent) config.persistent = 'true';
    if (this.#fds.length > 1) config.queues = String(this.#fds.length);
    if ((link.flags & IFF_UP) === 0) config.up = 'false';
    return config;
  }

  /** `netns`, `offload` and `queues` are fixed once a device is open. What is left out: `up` true, `persistent` false, others stay. */
  async setConfig(config: NetdevConfig): Promise<void> {
    const options = parseOptions(this.name, config);
    const { netns, offload, queues } = options;
    if (netns !== this.#netns || offload !== this.#offload || queues !== this.#fds.length) {
      throw new DpifError(
        'EINVAL',
        `netns, offload and queues of TAP device "${this.name}" are fixed while it is open: close it and open it with the new ones`,
      );
    }
    this.#apply(this.link(), { ...options, persistent: options.persistent ?? false });
    this.#macChosen = options.mac !== undefined;
  }

  override async setEtheraddr(address: string): Promise<void> {
    await super.setEtheraddr(address);
    this.#macChosen = true;
  }

  /** The kernel counts from its side: what it sends is what we receive. It has no further counters for a TAP. */
  async getStats(): Promise<NetdevStats> {
    const { counters: now } = this.link();
    const { counters: before } = this.opened;
    return {
      ...this.counted(),
      rxErrors: now.txErrors - before.txErrors,
      txErrors: now.rxErrors - before.rxErrors,
      rxDropped: now.txDropped - before.txDropped,
      txDropped: now.rxDropped - before.rxDropped,
    };
  }

  /** Says also why frames are not written by io_uring, where they are not. */
  override async getStatus(): Promise<Readonly<Record<string, string>>> {
    const status = await super.getStatus();
    const errno = this.state[STATE_NO_RING]!;
    if (errno === 0) return status;
    return { ...status, writes: `one by one (io_uring: ${getSystemErrorName(-errno)})` };
  }

  /** Nothing: the speed that the kernel states for a TAP (10 Mbit/s) limits nothing. */
  async getFeatures(): Promise<NetdevFeatures> {
    this.link();
    return {};
  }

  queueDescriptor(index: number): TapQueueDescriptor {
    const fd = this.#fds[index];
    const counters = this.counters[index];
    if (fd === undefined || counters === undefined) {
      throw new DpifError(
        'EINVAL',
        `TAP device "${this.name}" has no queue ${index}: it has ${this.#fds.length}`,
      );
    }
    return { module: QUEUE_MODULE, netdev: this.name, index, counters, fd, state: this.sharedState };
  }

  /** write(2) takes frames from any thread. Halves are dealt to the descriptors in turn. */
  transmitDescriptor(): TapQueueDescriptor {
    const counters = newCounters();
    const fd = this.#fds[this.counters.length % this.#fds.length]!;
    this.counters.push(counters);
    return { module: QUEUE_MODULE, netdev: this.name, index: 0, counters, fd, state: this.sharedState };
  }

  /** Its name: renamed or moved, it is found. */
  protected override device(): string {
    return this.native.tapInfo(this.control).name;
  }

  protected override async release(): Promise<void> {
    await Promise.all(this.#fds.map((fd) => closeAsync(fd)));
  }

  /** All options or none: when the kernel refuses one, those that it took before are put back. */
  #apply(before: Link, options: TapOptions): void {
    if (options.mtu !== undefined) this.checkMtu(options.mtu, before);
    const change: LinkChange = {
      mtu: options.mtu,
      address: options.mac,
      flags: options.up ? IFF_UP : 0,
      flagMask: IFF_UP,
    };
    try {
      this.change(before, change, `cannot configure ${this.title}`);
      if (options.persistent !== undefined) this.native.setPersistent(this.control, options.persistent);
    } catch (error) {
      const back: LinkChange = {
        mtu: before.mtu,
        address: before.address,
        flags: before.flags,
        flagMask: IFF_UP,
      };
      try {
        this.change(before, back, `cannot restore ${this.title}`);
      } catch {
        // The first error says more than that the way back is blocked as well.
      }
      throw kernelError(error, `cannot make ${this.title} persistent or not`);
    }
  }
}

/** The link of the device behind `fd`. ENODEV when somebody deleted it. */
function readTap(native: TapControl, fd: number, title: string): Link {
  try {
    return readLink(native, fd, native.tapInfo(fd).name);
  } catch (error) {
    throw kernelError(error, `cannot read the state of ${title}`);
  }
}
