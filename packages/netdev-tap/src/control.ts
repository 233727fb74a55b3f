/** The control half of a TAP device: opening, options, link state, statistics. Control thread only. */

import { close as closeFd } from 'node:fs';
import { promisify } from 'node:util';
import {
  DpifError,
  type ErrnoCode,
  errnoCode,
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
} from '@etherloom/core';
import {
  changeLink,
  checkName,
  IFF_LOOPBACK,
  IFF_LOWER_UP,
  IFF_PROMISC,
  IFF_UP,
  isSystemError,
  kernelError,
  type Link,
  type LinkChange,
  namespaceError,
  namespacePath,
  parseEtheraddr,
  readLink,
} from '@etherloom/netdev-linux';
import { type TapControl, tapControl } from './binding.js';
import { parseOptions, type TapOptions } from './config.js';
import { enableOffloads, NO_OFFLOADS } from './offload.js';
import { STATE_CLOSED, STATE_MTU, STATE_WORDS, type TapQueueDescriptor } from './queue.hot.js';

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

class TapNetdev implements Netdev {
  readonly name: string;
  readonly type = 'tap';
  readonly capabilities: NetdevCapabilities;
  readonly #native: TapControl;
  readonly #fds: readonly number[];
  /** Any descriptor serves control; the first. */
  readonly #fd: number;
  readonly #netns: string | undefined;
  readonly #sharedState = new SharedArrayBuffer(STATE_WORDS * Int32Array.BYTES_PER_ELEMENT);
  readonly #state = new Int32Array(this.#sharedState);
  /** One per queue, then one per transmit half: QUEUE_COUNTERS doubles. */
  readonly #counters: SharedArrayBuffer[];
  /** The link when the device was opened: a persistent device has counted before. */
  readonly #opened: Link;
  /** Whether the kernel may leave checksums and segmentation to us; fixed while open. */
  readonly #offload: boolean;
  /** Whether somebody chose the address; the kernel's own choice is not an option in effect. */
  #macChosen: boolean;
  #closing: Promise<void> | undefined;

  constructor(native: TapControl, name: string, fds: readonly number[], options: TapOptions) {
    this.#native = native;
    this.name = name;
    this.#fds = fds;
    this.#fd = fds[0]!;
    this.#netns = options.netns;
    this.#counters = fds.map(newCounters);
    this.#offload = options.offload;
    this.capabilities = {
      rxQueues: fds.length,
      txQueues: fds.length,
      maxFrame: MAX_PACKET,
      ...(options.offload ? enableOffloads(native, this.#fd, name) : NO_OFFLOADS),
    };
    this.#apply(options);
    this.#macChosen = options.mac !== undefined;
    this.#opened = this.#link();
  }

  async getConfig(): Promise<NetdevConfig> {
    const link = this.#link();
    const config: Record<string, string> = {};
    if (this.#macChosen) config.mac = link.address;
    if (link.mtu !== DEFAULT_MTU) config.mtu = String(link.mtu);
    if (this.#netns !== undefined) config.netns = this.#netns;
    if (!this.#offload) config.offload = 'false';
    if (this.#native.tapInfo(this.#fd).persistent) config.persistent = 'true';
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
    this.#apply({ ...options, persistent: options.persistent ?? false });
    this.#macChosen = options.mac !== undefined;
  }

  async getMtu(): Promise<number> {
    return this.#link().mtu;
  }

  async setMtu(mtu: number): Promise<void> {
    const link = this.#link();
    this.#checkMtu(mtu, link);
    this.#change(link, { mtu }, `cannot set MTU ${mtu} of TAP device "${this.name}"`);
  }

  async getEtheraddr(): Promise<string> {
    return this.#link().address;
  }

  async setEtheraddr(address: string): Promise<void> {
    const checked = parseEtheraddr(address);
    this.#change(
      this.#link(),
      { address: checked },
      `cannot give TAP device "${this.name}" the address ${checked}`,
    );
    this.#macChosen = true;
  }

  /** The kernel counts from its side: what it sends is what we receive. It has no further counters for a TAP. */
  async getStats(): Promise<NetdevStats> {
    const { counters: now } = this.#link();
    const { counters: before } = this.#opened;
    const queues = this.#counters.map((counters) => new Float64Array(counters));
    const sum = (counter: number): number => queues.reduce((total, queue) => total + queue[counter]!, 0);
    return {
      rxPackets: sum(QUEUE_RX_PACKETS),
      txPackets: sum(QUEUE_TX_PACKETS),
      rxBytes: sum(QUEUE_RX_BYTES),
      txBytes: sum(QUEUE_TX_BYTES),
      rxErrors: now.txErrors - before.txErrors,
      txErrors: now.rxErrors - before.rxErrors,
      rxDropped: now.txDropped - before.txDropped,
      txDropped: now.rxDropped - before.rxDropped,
    };
  }

  async getCarrier(): Promise<boolean> {
    return (this.#link().flags & IFF_LOWER_UP) !== 0;
  }

  async getCarrierResets(): Promise<number> {
    return this.#link().carrierChanges - this.#opened.carrierChanges;
  }

  /** Nothing: the speed that the kernel states for a TAP (10 Mbit/s) limits nothing. */
  async getFeatures(): Promise<NetdevFeatures> {
    this.#link();
    return {};
  }

  async getFlags(): Promise<NetdevFlags> {
    const { flags } = this.#link();
    return {
      up: (flags & IFF_UP) !== 0,
      promisc: (flags & IFF_PROMISC) !== 0,
      loopback: (flags & IFF_LOOPBACK) !== 0,
    };
  }

  /** EOPNOTSUPP for `loopback: true`: a TAP cannot. */
  async setFlags(flags: Partial<NetdevFlags>): Promise<void> {
    if (flags.loopback === true) {
      throw new DpifError(
        'EOPNOTSUPP',
        `TAP device "${this.name}" cannot loop frames back: leave that flag off`,
      );
    }
    const wanted = (flags.up === true ? IFF_UP : 0) | (flags.promisc === true ? IFF_PROMISC : 0);
    const mask = (flags.up === undefined ? 0 : IFF_UP) | (flags.promisc === undefined ? 0 : IFF_PROMISC);
    const link = this.#link();
    this.#change(
      link,
      { flags: wanted, flagMask: mask },
      `cannot change the flags of TAP device "${this.name}"`,
    );
  }

  async getIfindex(): Promise<number> {
    return this.#link().ifindex;
  }

  /** What the kernel refused of the offloads, and why. */
  async getStatus(): Promise<Readonly<Record<string, string>>> {
    const { refused = [] } = this.capabilities;
    if (refused.length === 0) return {};
    return { refused: refused.map(({ mode, reason }) => `${mode}: ${reason}`).join('; ') };
  }

  queueDescriptor(index: number): TapQueueDescriptor {
    const fd = this.#fds[index];
    const counters = this.#counters[index];
    if (fd === undefined || counters === undefined) {
      throw new DpifError(
        'EINVAL',
        `TAP device "${this.name}" has no queue ${index}: it has ${this.#fds.length}`,
      );
    }
    return { module: QUEUE_MODULE, netdev: this.name, index, counters, fd, state: this.#sharedState };
  }

  /** write(2) takes frames from any thread. Halves are dealt to the descriptors in turn. */
  transmitDescriptor(): TapQueueDescriptor {
    const counters = newCounters();
    const fd = this.#fds[this.#counters.length % this.#fds.length]!;
    this.#counters.push(counters);
    return { module: QUEUE_MODULE, netdev: this.name, index: 0, counters, fd, state: this.#sharedState };
  }

  close(): Promise<void> {
    if (this.#closing === undefined) {
      this.#state[STATE_CLOSED] = 1;
      this.#closing = Promise.all(this.#fds.map((fd) => closeAsync(fd))).then(() => undefined);
    }
    return this.#closing;
  }

  /** Reads the link, and tells the queues the MTU that it has by now, whoever set it. Renamed or moved, it is found. */
  #link(): Link {
    if (this.#closing !== undefined) {
      throw new DpifError('ENODEV', `TAP device "${this.name}" is closed: open it again`);
    }
    try {
      const link = readLink(this.#native, this.#fd, this.#native.tapInfo(this.#fd).name);
      this.#state[STATE_MTU] = link.mtu;
      return link;
    } catch (error) {
      throw kernelError(error, `cannot read the state of TAP device "${this.name}"`);
    }
  }

  #change(link: Link, change: LinkChange, what: string): void {
    try {
      changeLink(this.#native, this.#fd, link.ifindex, change);
    } catch (error) {
      throw kernelError(error, what);
    }
    if (change.mtu !== undefined) this.#state[STATE_MTU] = change.mtu;
  }

  #checkMtu(mtu: number, link: Link): void {
    if (Number.isInteger(mtu) && mtu >= link.minMtu && mtu <= link.maxMtu) return;
    throw new DpifError(
      'EINVAL',
      `MTU ${mtu} does not suit TAP device "${this.name}": give ${link.minMtu} to ${link.maxMtu}`,
    );
  }

  /** All options or none: when the kernel refuses one, those that it took before are put back. */
  #apply(options: TapOptions): void {
    const before = this.#link();
    if (options.mtu !== undefined) this.#checkMtu(options.mtu, before);
    const change: LinkChange = {
      mtu: options.mtu,
      address: options.mac,
      flags: options.up ? IFF_UP : 0,
      flagMask: IFF_UP,
    };
    try {
      this.#change(before, change, `cannot configure TAP device "${this.name}"`);
      if (options.persistent !== undefined) this.#native.setPersistent(this.#fd, options.persistent);
    } catch (error) {
      const back: LinkChange = {
        mtu: before.mtu,
        address: before.address,
        flags: before.flags,
        flagMask: IFF_UP,
      };
      try {
        this.#change(before, back, `cannot restore TAP device "${this.name}"`);
      } catch {
        // The first error says more than that the way back is blocked as well.
      }
      throw kernelError(error, `cannot make TAP device "${this.name}" persistent or not`);
    }
  }
}

function newCounters(): SharedArrayBuffer {
  return new SharedArrayBuffer(QUEUE_COUNTERS * Float64Array.BYTES_PER_ELEMENT);
}
