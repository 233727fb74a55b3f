/** What the tests of this package share: veth pairs in namespaces of their own, queues, and what a machine may lack. */

import { closeSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import {
  type DpifError,
  DROP_REASON_COUNT,
  DROP_REASONS,
  FramePool,
  isDpifError,
  type Netdev,
  type NetdevConfig,
  type NetdevQueue,
  NetdevRegistry,
  PacketArena,
  PacketBatch,
} from '@etherloom/core';
import { ethernet, missingPrivileges, Netns, type Privilege, pattern, raw } from '@etherloom/testkit';
import { type ControlBinding, controlBinding } from '../src/binding.js';
import { featuresOn, setFeatures } from '../src/ethtool.js';
import { AfpacketProvider, AfxdpProvider, createNetdevProviders } from '../src/index.js';

/** Local experimental EtherType (IEEE 802): nothing but these tests uses it. */
const OUR_TYPE = 0x88b5;

/** A frame of `length` bytes whose payload depends on `seed`. */
export function frameOf(length: number, seed = 0): Uint8Array {
  return ethernet({}, raw(OUR_TYPE, pattern(length - 14, seed)));
}

/** A queue of a device, with memory of its own or shared with others. */
export class Port {
  readonly pool: FramePool;
  readonly queue: NetdevQueue;
  readonly drops = new Float64Array(DROP_REASON_COUNT);
  readonly batch = new PacketBatch();

  constructor(
    netdev: Netdev,
    pool = new FramePool(PacketArena.create({ frames: 512, largeFrames: 16 })),
    index = 0,
  ) {
    this.pool = pool;
    const provider = netdev.type === 'afpacket' ? new AfpacketProvider() : new AfxdpProvider();
    this.queue = provider.openQueue(netdev.queueDescriptor(index), { pool, drops: this.drops });
  }

  /** Sends copies of `frames` in bursts; returns how many the device took. */
  send(...frames: readonly Uint8Array[]): number {
    let sent = 0;
    for (let i = 0; i < frames.length; i += this.batch.capacity) {
      for (const frame of frames.slice(i, i + this.batch.capacity)) {
        const at = this.pool.allocFor(frame.length);
        this.pool.arena.bytes.set(frame, at);
        this.batch.push(at, frame.length);
      }
      sent += this.queue.txBurst(this.batch);
    }
    return sent;
  }

  /** One burst, as copies of the frames that are ours. */
  receive(): Uint8Array[] {
    const frames: Uint8Array[] = [];
    this.queue.rxBurst(this.batch);
    for (let i = 0; i < this.batch.count; i++) {
      const at = this.batch.data[i] ?? 0;
      const frame = this.pool.arena.bytes.slice(at, at + (this.batch.length[i] ?? 0));
      if (this.pool.arena.view.getUint16(at + 12) === OUR_TYPE) frames.push(frame);
      this.pool.release(at);
    }
    this.batch.count = 0;
    return frames;
  }

  /** Bursts until `wanted` frames of ours came; rejects after 5 s. */
  async receiveMany(wanted: number): Promise<Uint8Array[]> {
    const frames: Uint8Array[] = [];
    const deadline = Date.now() + 5000;
    while (frames.length < wanted) {
      frames.push(...this.receive());
      if (Date.now() > deadline) throw new Error(`${frames.length} of ${wanted} frames came within 5 s`);
      await turn();
    }
    return frames;
  }

  /** Drop counters that are not 0, by code. */
  dropped(): Record<string, number> {
    const named = DROP_REASONS.map(({ code }, i): [string, number] => [code, this.drops[i] ?? 0]);
    return Object.fromEntries(named.filter(([, count]) => count > 0));
  }
}

/** Throws unless every frame of the pool is back. */
export function assertWhole(pool: FramePool): void {
  const { arena, free, freeLarge } = pool;
  if (free === arena.frames && freeLarge === arena.largeFrames) return;
  throw new Error(
    `frames leaked: ${free} of ${arena.frames} and ${freeLarge} of ${arena.largeFrames} are left`,
  );
}

/** Features by which hosts leave to their device what AF_XDP loses in generic mode. */
export const SENDER_FEATURES = ['tx-vlan-hw-insert', 'tx-vlan-stag-hw-insert', 'tx-udp-segmentation'];

/** Those of {@link SENDER_FEATURES} that are on, as "ethtool -k" shows them. */
export function featuresOf(netns: Netns, device: string): string[] {
  return withControl(netns, (native, control) => featuresOn(native, control, device, SENDER_FEATURES));
}

/** What `ethtool -K DEVICE NAME on|off ...` does. */
export function switchFeatures(netns: Netns, device: string, names: readonly string[], on: boolean): void {
  withControl(netns, (native, control) => setFeatures(native, control, device, names, on));
}

function withControl<Result>(
  netns: Netns,
  body: (native: ControlBinding, control: number) => Result,
): Result {
  const native = controlBinding();
  const control = native.openControl(netns.path);
  try {
    return body(native, control);
  } finally {
    closeSync(control);
  }
}

export function registry(): NetdevRegistry {
  const made = new NetdevRegistry();
  for (const provider of createNetdevProviders()) made.register(provider);
  return made;
}

/**
 * A namespace with `pairs` veth pairs `v0`-`p0`, `v1`-`p1` ..., the `p` ends up and with that MTU, without IPv6's own
 * traffic.
 */
export async function vethNetns(pairs: number, mtu = 1500): Promise<Netns> {
  const netns = await Netns.create();
  try {
    await netns.run('sh', ['-c', 'echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6']);
    const numbers = Array.from({ length: pairs }, (_, i) => i);
    const lines = [
      ...numbers.map((i) => `link add v${i} type veth peer name p${i}`),
      ...numbers.map((i) => `link set p${i} mtu ${mtu} up`),
    ];
    await netns.run('ip', ['-batch', '-'], { input: `${lines.join('\n')}\n` });
    return netns;
  } catch (error) {
    await netns.remove();
    throw error;
  }
}

/** Runs `body` with such a namespace, and removes it whatever happens. */
export async function withVeths(pairs: number, body: (netns: Netns) => Promise<void>): Promise<void> {
  const netns = await vethNetns(pairs);
  try {
    await body(netns);
  } finally {
    await netns.remove();
  }
}

/**
 * Why devices of `type` cannot be opened here with `config`, found out by trying; undefined when they can. What else is
 * missing of `needs` comes first.
 */
export async function missing(
  type: string,
  config: NetdevConfig = {},
  ...needs: Privilege[]
): Promise<string | undefined> {
  const lacking = missingPrivileges(['netns', ...needs]);
  if (lacking !== undefined) return lacking;
  const netns = await vethNetns(1);
  try {
    const ref = await registry().open('v0', type, { ...config, netns: netns.name });
    await ref.release();
    return undefined;
  } catch (error) {
    if (isDpifError(error) && CANNOT.has(error.code)) return `needs ${type} devices: ${error.message}`;
    throw error;
  } finally {
    await netns.remove();
  }
}

const CANNOT = new Set<DpifError['code']>(['EPERM', 'EACCES', 'EOPNOTSUPP', 'EAFNOSUPPORT', 'ENOSYS']);
