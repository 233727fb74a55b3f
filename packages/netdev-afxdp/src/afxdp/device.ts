/** The control half of an AF_XDP device: the XDP program, modes, queues, statistics. Control thread only. */

import { closeSync } from 'node:fs';
import { release } from 'node:os';
import {
  DpifError,
  errnoCode,
  MAX_PACKET,
  type Netdev,
  type NetdevCapabilities,
  type NetdevConfig,
  type NetdevStats,
  OFFLOAD_CSUM_PARTIAL,
  OFFLOAD_GSO_ECN,
  OFFLOAD_GSO_TCP4,
  OFFLOAD_GSO_TCP6,
} from '@etherloom/core';
import { checkName, isSystemError, kernelError, type Link, type SystemError } from '@etherloom/netdev-linux';
import { SenderFeatures } from '../beside.js';
import { type ControlBinding, controlBinding, type XskBinding, xskBinding } from '../binding.js';
import { type AfxdpOptions, parseAfxdpOptions } from '../config.js';
import { receiveQueues } from '../ethtool.js';
import { findLink, KernelNetdev, type OpenedDevice, openControl, type Refusal } from '../netdev.js';
import { STATE_SOCKETS, STATE_ZEROCOPY } from '../state.hot.js';
import {
  XDP_RX_DROPPED,
  XDP_RX_INVALID,
  XDP_RX_RING_FULL,
  XDP_STATISTICS,
  XDP_TX_INVALID,
  type XskDescriptor,
} from './xsk.hot.js';

/** Seen from src (under test) as from dist: threads without a TypeScript loader need the built module. */
const QUEUE_MODULE = new URL('../../dist/afxdp/queue.js', import.meta.url).href;

/** XDP_FLAGS_* of linux/if_link.h: who runs the program. */
const FLAGS = { native: 1 << 2, generic: 1 << 1 } as const;
export type Attach = keyof typeof FLAGS;

/** What may be left undone on received packets: nothing by a wire, checksums by a veth peer, more by a kernel that merges. */
const MERGED = OFFLOAD_CSUM_PARTIAL | OFFLOAD_GSO_TCP4 | OFFLOAD_GSO_TCP6 | OFFLOAD_GSO_ECN;

interface Program {
  readonly attach: Attach;
  /** Whether it puts VLAN tags back that are beside the packet. */
  readonly tags: boolean;
  readonly map: number;
  readonly link: number;
  readonly refused: readonly Refusal[];
}

/**
 * Opens device `name` for users of provider `type`, and attaches the XDP program. `auto` is what mode=auto tries, best first.
 * On failure nothing is left behind.
 */
export async function openAfxdp(
  name: string,
  config: NetdevConfig,
  type = 'afxdp',
  auto: readonly Attach[] = ['native', 'generic'],
): Promise<Netdev> {
  checkName(name);
  const options = parseAfxdpOptions(name, config);
  const native = controlBinding();
  const control = openControl(native, options.netns);
  let program: Program | undefined;
  try {
    const link = findLink(native, control, name, options.netns);
    const queues = checkQueues(native, control, link, options.queues);
    program = attachProgram(native, control, link, options, auto);
    return new AfxdpNetdev({ native, name, type, control, link, options }, program, queues);
  } catch (error) {
    if (program !== undefined) detach(program);
    closeSync(control);
    throw error;
  }
}

/** Receive queues in use. EINVAL when `wanted` are more. */
function checkQueues(native: ControlBinding, control: number, link: Link, wanted: number): number {
  const queues = receiveQueues(native, control, link.name) ?? link.rxQueues;
  if (wanted <= queues) return queues;
  throw new DpifError(
    'EINVAL',
    `queues=${wanted}, but "${link.name}" uses ${queues}: give at most ${queues}, or let it use more ("ethtool -L ${link.name} rx ${wanted} tx ${wanted}", or "combined ${wanted}")`,
  );
}

/** Attaches the program in the best mode that the options allow. */
function attachProgram(
  native: ControlBinding,
  control: number,
  link: Link,
  options: AfxdpOptions,
  auto: readonly Attach[],
): Program {
  const refused: Refusal[] = [];
  const only: Attach = options.mode === 'generic' ? 'generic' : 'native';
  for (const attach of options.mode === 'auto' ? auto : [only]) {
    try {
      const {
        map,
        link: held,
        tags,
      } = native.attachXdp(control, link.ifindex, FLAGS[attach], options.queues);
      return { attach, map, link: held, tags: tags === 1, refused };
    } catch (error) {
      if (!isSystemError(error)) throw error;
      const fatal = explain(error, link);
      if (fatal !== undefined) throw fatal;
      refused.push({ mode: attach, reason: reason(error, link, attach) });
    }
  }
  const reasons = refused.map((refusal) => `${refusal.mode}: ${refusal.reason}`).join('; ');
  const advice = options.mode === 'auto' ? 'use type afpacket' : 'give mode=auto or mode=generic';
  throw new DpifError('EOPNOTSUPP', `"${link.name}" cannot run an XDP program (${reasons}): ${advice}`);
}

function detach(program: Program): void {
  closeSync(program.link);
  closeSync(program.map);
}

/** An error that no other mode can mend. */
function explain(error: Error & SystemError, link: Link): DpifError | undefined {
  const code = errnoCode(error.errno);
  if (error.syscall === 'BPF_LINK_CREATE') {
    if (code === 'EBUSY' || code === 'EEXIST') {
      const which = link.xdpProgram === 0 ? '' : ` (id ${link.xdpProgram})`;
      return new DpifError(
        'EBUSY',
        `"${link.name}" has an XDP program of somebody else${which}: end the program that put it there, or run "ip link set dev ${link.name} xdp off"`,
        { cause: error },
      );
    }
    // What a driver cannot do; an old kernel lacks the whole call.
    if (code !== 'EPERM' && code !== 'ENODEV' && !isOld(error)) return undefined;
  }
  if (isOld(error)) {
    return new DpifError(
      'EOPNOTSUPP',
      `AF_XDP ports need Linux 5.10 or later with BPF and XDP sockets, this is ${release()} (${error.message}): use type afpacket, or another kernel`,
      { cause: error },
    );
  }
  if (code === 'EPERM' || code === 'EACCES') {
    return new DpifError(
      'EPERM',
      `cannot put an XDP program on "${link.name}" (${error.message}): it takes root, or the capabilities CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF`,
      { cause: error },
    );
  }
  return kernelError(error, `cannot put an XDP program on "${link.name}"`);
}

/** A kernel that lacks bpf(2), a map type or links answers EINVAL or ENOSYS; one that has them does not, here. */
function isOld(error: SystemError): boolean {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  const old = major < 5 || (major === 5 && minor < 10);
  return error.errno === 38 || (error.errno === 22 && (old || error.syscall !== 'BPF_LINK_CREATE'));
}

/** Why a mode was refused. */
function reason(error: SystemError, link: Link, attach: Attach): string {
  switch (errnoCode(error.errno)) {
    case 'EOPNOTSUPP':
      return attach === 'native' ? 'the driver of the device has no XDP' : 'the device takes no XDP program';
    case 'ERANGE':
      return `the MTU of the device or its peer is too large for the driver (the device has ${link.mtu})`;
    case 'ENOSPC':
      return 'the peer of the device transmits on more queues than the device receives on';
    default:
      return `errno ${error.errno} from ${error.syscall}; an MTU that is too large (the device has ${link.mtu}) or offloads such as LRO are common causes`;
  }
}

class AfxdpNetdev extends KernelNetdev {
  readonly #xsk: XskBinding;
  readonly #options: AfxdpOptions;
  readonly #program: Program;
  /** Receive queues that the device uses. */
  readonly #deviceQueues: number;
  readonly #rxOffloads: number;
  /** Where the program does not see what is beside packets. */
  readonly #senders: SenderFeatures | undefined;
  readonly #retired: readonly SharedArrayBuffer[];

  constructor(opened: OpenedDevice<AfxdpOptions>, program: Program, deviceQueues: number) {
    super(opened, opened.options.queues);
    this.#xsk = xskBinding();
    this.#options = opened.options;
    this.#program = program;
    this.#deviceQueues = deviceQueues;
    const fromPeer = opened.link.kind === 'veth' ? OFFLOAD_CSUM_PARTIAL : 0;
    this.#rxOffloads = program.attach === 'generic' ? MERGED : fromPeer;
    this.#retired = this.counters.map(
      () => new SharedArrayBuffer(XDP_STATISTICS * Float64Array.BYTES_PER_ELEMENT),
    );
    if (!program.tags) {
      const { native, control, link, options } = opened;
      this.#senders = new SenderFeatures(native, control, link, options.netns, program.attach === 'generic');
    }
  }

  /** Whether zero-copy works shows when the first queue is opened. */
  get capabilities(): NetdevCapabilities {
    const { queues } = this.#options;
    return {
      rxQueues: queues,
      txQueues: queues,
      maxFrame: MAX_PACKET,
      // By the kernel, or by the queue itself.
      txOffloads: OFFLOAD_CSUM_PARTIAL,
      rxOffloads: this.#rxOffloads,
      mode: this.state[STATE_ZEROCOPY] === -1 ? 'zerocopy' : this.#program.attach,
      refused: [...this.#zerocopyRefused(), ...this.#program.refused],
    };
  }

  async getConfig(): Promise<NetdevConfig> {
    const config = this.commonConfig();
    if (this.#options.mode !== 'auto') config.mode = this.#options.mode;
    if (this.#options.queues > 1) config.queues = String(this.#options.queues);
    return config;
  }

  /** `mode`, `netns` and `queues` are fixed once a device is open. */
  async setConfig(config: NetdevConfig): Promise<void> {
    const options = parseAfxdpOptions(this.name, config);
    const { mode, netns, queues } = this.#options;
    if (options.mode !== mode || options.netns !== netns || options.queues !== queues) {
      throw new DpifError(
        'EINVAL',
        `mode, netns and queues of AF_XDP device "${this.name}" are fixed while it is open: remove the port and add it with the new ones`,
      );
    }
    this.applyOptions(options);
  }

  override async getStatus(): Promise<Readonly<Record<string, string>>> {
    const status: Record<string, string> = { ...(await super.getStatus()) };
    const link = this.link();
    const { queues } = this.#options;
    if (this.#deviceQueues > queues) {
      status.queues = `${queues} of the ${this.#deviceQueues} receive queues of the device are served; what comes in on the others goes to this host: give queues=${this.#deviceQueues}, or run "ethtool -L ${link.name} combined ${queues}"`;
    }
    return { ...status, ...this.#senders?.status(link) };
  }

  /** With what the sockets dropped: `rxDropped` for want of frames, `rxMissedErrors` since we were too slow. */
  override async getStats(): Promise<NetdevStats> {
    const stats = await super.getStats();
    const sockets = this.#socketStatistics();
    stats.rxDropped = (stats.rxDropped ?? 0) + sockets[XDP_RX_DROPPED]!;
    stats.rxErrors = (stats.rxErrors ?? 0) + sockets[XDP_RX_INVALID]!;
    stats.txErrors = (stats.txErrors ?? 0) + sockets[XDP_TX_INVALID]!;
    stats.rxMissedErrors = (stats.rxMissedErrors ?? 0) + sockets[XDP_RX_RING_FULL]!;
    return stats;
  }

  queueDescriptor(index: number): XskDescriptor {
    const counters = this.counters[index];
    const retired = this.#retired[index];
    if (counters === undefined || retired === undefined) {
      throw new DpifError(
        'EINVAL',
        `AF_XDP device "${this.name}" has no queue ${index}: it has ${this.counters.length}`,
      );
    }
    return {
      module: QUEUE_MODULE,
      netdev: this.name,
      index,
      counters,
      control: this.control,
      ifindex: this.ifindex,
      map: this.#program.map,
      binds: this.#binds(),
      unfinished: this.#rxOffloads,
      state: this.sharedState,
      retired,
    };
  }

  /** The end of the thread closed the socket; only that its number is not to be asked any more is left to do. */
  reclaimQueue(index: number): void {
    if (index < this.counters.length) this.state[STATE_SOCKETS + index] = 0;
  }

  protected detach(): void {
    this.#senders?.restore();
    detach(this.#program);
  }

  #binds(): readonly ('zerocopy' | 'copy')[] {
    if (this.#options.mode === 'zerocopy') return ['zerocopy'];
    return this.#options.mode === 'auto' && this.#program.attach === 'native'
      ? ['zerocopy', 'copy']
      : ['copy'];
  }

  #zerocopyRefused(): Refusal[] {
    const errno = this.state[STATE_ZEROCOPY]!;
    if (errno <= 0) return [];
    const why =
      errnoCode(errno) === 'EOPNOTSUPP'
        ? 'the driver of the device has no zero-copy AF_XDP'
        : `binding failed with errno ${errno}`;
    return [{ mode: 'zerocopy', reason: why }];
  }

  /** Sum over all queues and all sockets that they had; those of a queue that is being closed may be missing once. */
  #socketStatistics(): Float64Array {
    const total = new Float64Array(XDP_STATISTICS);
    const now = new Float64Array(XDP_STATISTICS);
    for (const [index, retired] of this.#retired.entries()) {
      const socket = this.state[STATE_SOCKETS + index]! - 1;
      now.fill(0);
      if (socket >= 0 && this.#xsk.statistics(socket, now) !== 0) now.fill(0);
      const closed = new Float64Array(retired);
      for (let i = 0; i < XDP_STATISTICS; i++) total[i]! += now[i]! + closed[i]!;
    }
    return total;
  }
}
