/** A datapath on poll-mode threads with its ports, and what it counted since its first packet. */

import { type Dpif, DpifRegistry, NetdevRegistry, PORT_NONE } from '@etherloom/core';
import { createUserspaceProvider, type PmdEvent } from '@etherloom/dpif-userspace';
import { createNetdevProviders } from '@etherloom/netdev-tap';
import type { Netns } from '@etherloom/testkit';
import { Client } from './client.js';
import { Devices } from './devices.js';
import { randomOf } from './random.js';

export const FRAMES = 4096;
const LARGE_FRAMES = 32;
/** How long packets may take to come to rest, and upcalls to be read, on a busy machine: milliseconds. */
const REST_MS = 20_000;

/** Ports that replay the capture. */
export const SOURCES = { s1: 1, s2: 2, s3: 3, bomb: 15 } as const;
/** Added and deleted under traffic; they drop nothing. */
export const COMING = [16, 17, 18, 19] as const;
/** No port has it. */
export const NOWHERE = 99;
/** Sinks that stay, by what is special about them. */
const SINKS = [
  ['plain', 10, 'dummy', { capture: '0' }],
  ['small', 11, 'dummy', { capture: '0', mtu: '576' }],
  ['down', 12, 'dummy', { capture: '0', up: 'false' }],
  // The control thread looks at what it sends, and is slower than the threads.
  ['watched', 13, 'dummy', { capture: '100' }],
  ['far', 14, 'relay', { capture: '0' }],
] as const;
/** TAPs whose far ends a bridge joins: what goes out of one comes back through the other. */
const TAPS = { out: 20, back: 21 } as const;

/** A name that other runs on the machine have not. */
const tapName = (which: keyof typeof TAPS): string => `etl${process.pid % 100_000}${which[0]}`;

/** Sums since the first packet; see {@link Rig.count}. */
export interface Counts {
  readonly rx: number;
  readonly tx: number;
  readonly upcalls: number;
  readonly missUpcalls: number;
  readonly drops: Readonly<Record<string, number>>;
  readonly dropped: number;
  readonly hit: number;
  readonly missed: number;
  readonly lost: number;
}

export interface RigOptions {
  readonly threads: number;
  readonly handlers: number;
  readonly capture: string;
  readonly seed: number;
  /** Where TAPs go; none without. */
  readonly netns: Netns | undefined;
  /** How long packets may take to come to rest, in milliseconds. */
  readonly patience?: number;
}

export class Rig {
  readonly dpif: Dpif;
  readonly dpifs: DpifRegistry;
  readonly devices: Devices;
  readonly events: PmdEvent[];
  readonly client: Client;
  readonly coming = new Set<number>();
  /** Packets that flows copied to more places than one, beyond the first; packets that clients executed. */
  copies = 0;
  executed = 0;
  readonly #options: RigOptions;
  readonly #free: () => Promise<readonly (readonly [number, number])[]>;
  /** Drops of ports that are gone. */
  readonly #gone: Record<string, number> = {};

  static async start(options: RigOptions): Promise<Rig> {
    const devices = new Devices();
    const netdevs = new NetdevRegistry();
    for (const provider of devices.providers) netdevs.register(provider);
    for (const provider of createNetdevProviders()) {
      if (provider.type === 'tap') netdevs.register(devices.counted(provider));
    }
    const events: PmdEvent[] = [];
    const provider = createUserspaceProvider({
      type: 'dummy',
      netdevs,
      pmdThreads: options.threads,
      arena: { frames: FRAMES, largeFrames: LARGE_FRAMES },
      onPmdEvent: (event) => events.push(event),
    });
    const dpifs = new DpifRegistry();
    dpifs.register(provider);
    const dpif = await dpifs.create('soak', 'dummy');
    try {
      const client = new Client(dpif, randomOf(options.seed));
      await client.start(options.handlers);
      const free = async (): Promise<readonly (readonly [number, number])[]> =>
        (await provider.pmdReports('soak')).map(({ freeFrames, freeLargeFrames }) => [
          freeFrames,
          freeLargeFrames,
        ]);
      const rig = new Rig(options, dpif, dpifs, devices, events, client, free);
      await rig.#ports();
      return rig;
    } catch (error) {
      await dpif.delete();
      await dpif.close();
      throw error;
    }
  }

  private constructor(
    options: RigOptions,
    dpif: Dpif,
    dpifs: DpifRegistry,
    devices: Devices,
    events: PmdEvent[],
    client: Client,
    free: () => Promise<readonly (readonly [number, number])[]>,
  ) {
    this.#options = options;
    this.dpif = dpif;
    this.dpifs = dpifs;
    this.devices = devices;
    this.events = events;
    this.client = client;
    this.#free = free;
  }

  get hasTaps(): boolean {
    return this.#options.netns !== undefined;
  }

  get crashes(): number {
    return this.events.filter(({ type }) => type === 'crashed').length;
  }

  // --- ports

  async #ports(): Promise<void> {
    const { dpif } = this;
    for (const [name, portNo, type, config] of SINKS) await dpif.portAdd({ name, type, config }, portNo);
    for (const name of ['s1', 's2', 's3', 'bomb'] as const) await this.addSource(name);
    const { netns } = this.#options;
    if (netns === undefined) return;
    // Nothing else shall come from there.
    await netns.run('sysctl', [
      '-qw',
      'net.ipv6.conf.all.disable_ipv6=1',
      'net.ipv6.conf.default.disable_ipv6=1',
    ]);
    await netns.ip('link', 'add', 'br0', 'type', 'bridge');
    await netns.ip('link', 'set', 'br0', 'up');
    for (const which of ['out', 'back'] as const) {
      const name = tapName(which);
      await dpif.portAdd({ name, type: 'tap', config: { netns: netns.name } }, TAPS[which]);
      await netns.ip('link', 'set', name, 'master', 'br0', 'up');
    }
  }

  /** Adds a source, at rest. */
  async addSource(name: keyof typeof SOURCES): Promise<void> {
    const config = { replay: this.#options.capture, replay_loops: '0', capture: '0', up: 'false' };
    const type = name === 'bomb' ? 'fragile' : 'dummy';
    const queues = name === 's1' ? '2' : '1';
    await this.dpif.portAdd({ name, type, config: { ...config, n_rxq: queues } }, SOURCES[name]);
  }

  async addComing(portNo: number): Promise<void> {
    await this.dpif.portAdd({ name: `coming${portNo}`, type: 'dummy', config: { capture: '0' } }, portNo);
    this.coming.add(portNo);
  }

  /** Deletes a port whose drop counters rest, and keeps them. */
  async delPort(portNo: number): Promise<void> {
    for (const [reason, count] of Object.entries(await this.dpif.portGetDrops(portNo))) {
      this.#gone[reason] = (this.#gone[reason] ?? 0) + count;
    }
    await this.dpif.portDel(portNo);
    this.coming.delete(portNo);
  }

  // --- traffic

  async setSource(name: string, up: boolean): Promise<void> {
    await this.devices.dummy(name).setFlags({ up });
  }

  async traffic(up: boolean): Promise<void> {
    for (const name of Object.keys(SOURCES)) {
      if (await this.dpif.portExists(name)) await this.setSource(name, up);
    }
  }

  /** Waits until no counter moves any more and all waiting upcalls were read, or the time is up; returns the counters. */
  async rest(done: (counts: Counts) => boolean): Promise<Counts> {
    const end = performance.now() + (this.#options.patience ?? REST_MS);
    let before = await this.count();
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      const counts = await this.count();
      const still = JSON.stringify(counts) === JSON.stringify(before);
      if ((still && done(counts)) || performance.now() > end) return counts;
      before = counts;
    }
  }

  /** Waits until all threads run; a device that was to break and had no occasion does not break any more. */
  async whole(): Promise<void> {
    this.devices.calm();
    const end = performance.now() + REST_MS;
    while (this.#isDown()) {
      if (performance.now() > end) {
        const last = this.events.slice(-5).map(({ message }) => message);
        throw new Error(
          `a poll-mode thread that crashed was not replaced; the last events: ${last.join('; ')}`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** Whether a thread is not replaced yet. One that crashes before it has all ports back is replaced once for both times. */
  #isDown(): boolean {
    const last = new Map<number, PmdEvent['type']>();
    for (const { type, thread } of this.events) if (type !== 'failed') last.set(thread, type);
    return [...last.values()].includes('crashed');
  }

  async count(): Promise<Counts> {
    const { dpif, client } = this;
    const drops: Record<string, number> = { ...this.#gone };
    let dropped = 0;
    const ports = [PORT_NONE];
    for await (const { portNo } of dpif.portDump()) ports.push(portNo);
    for (const portNo of ports) {
      for (const [reason, count] of Object.entries(await dpif.portGetDrops(portNo))) {
        drops[reason] = (drops[reason] ?? 0) + count;
      }
    }
    for (const count of Object.values(drops)) dropped += count;
    const { hit, missed, lost } = await dpif.getDpStats();
    const { misses: missUpcalls, upcalls } = client;
    return { ...(await this.devices.totals()), upcalls, missUpcalls, drops, dropped, hit, missed, lost };
  }

  /** Packets in (received, executed, copied) less packets out (sent, passed up, dropped): 0 when none was lost. */
  imbalance({ rx, tx, upcalls, dropped }: Counts): number {
    return rx + this.executed + this.copies - tx - upcalls - dropped;
  }

  // --- the end

  /** Removes all ports; returns what packet buffers are missing then, by thread. */
  async clear(): Promise<readonly string[]> {
    const { dpif } = this;
    await this.traffic(false);
    const ports: number[] = [];
    for await (const { portNo } of dpif.portDump()) if (portNo !== 0) ports.push(portNo);
    for (const portNo of ports) await dpif.portDel(portNo);
    const end = performance.now() + REST_MS;
    for (;;) {
      const free = await this.#free();
      const missing = free.flatMap(([small, large], thread) =>
        small === FRAMES && large === LARGE_FRAMES
          ? []
          : [
              `thread ${thread} has ${small} of ${FRAMES} packet buffers free and ${large} of ${LARGE_FRAMES} large ones`,
            ],
      );
      if (missing.length === 0 || performance.now() > end) return missing;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async close(): Promise<void> {
    await this.client.stop();
    await this.dpif.delete();
    await this.dpif.close();
  }
}
