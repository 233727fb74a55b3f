/** The devices of a soak. What they count is kept when they are closed, so that sums tell of all packets ever. */

import type { Netdev, NetdevProvider, NetdevStats } from '@etherloom/core';
import { type DummyNetdev, DummyProvider } from '@etherloom/netdev-dummy';
import { CALM, FRAGILE_MODULE } from './fragile-queue.js';

export interface DeviceCounts {
  rx: number;
  tx: number;
}

type Overrides = Partial<Record<string | symbol, unknown>>;

/** `target` with other members in place of some. */
function altered(target: Netdev, overrides: Overrides): Netdev {
  return new Proxy(target, {
    get(_, key) {
      if (Object.hasOwn(overrides, key)) return overrides[key];
      // Private members are the target's own.
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

export class Devices {
  /** What breaks next (fragile-queue.ts). */
  readonly #breaks = new Int32Array(new SharedArrayBuffer(4));
  readonly #open = new Map<string, Netdev>();
  readonly #gone: DeviceCounts = { rx: 0, tx: 0 };
  readonly #dummies: readonly DummyProvider[];
  /** Types "dummy", "relay" (one thread sends for all) and "fragile". */
  readonly providers: readonly NetdevProvider[];

  constructor() {
    const [dummy, relay, fragile] = ['dummy', 'relay', 'fragile'].map((type) => new DummyProvider(type));
    this.#dummies = [dummy!, relay!, fragile!];
    const breaks = this.#breaks.buffer;
    this.providers = [
      this.counted(dummy!, () => ({})),
      this.counted(relay!, () => ({ transmitDescriptor: undefined })),
      this.counted(fragile!, (netdev) => ({
        queueDescriptor: (index: number) => ({
          ...netdev.queueDescriptor(index),
          module: FRAGILE_MODULE,
          breaks,
        }),
        transmitDescriptor: () => ({ ...netdev.transmitDescriptor?.(), module: FRAGILE_MODULE, breaks }),
      })),
    ];
  }

  /** A provider whose devices take part in the sums. */
  counted(provider: NetdevProvider, overrides: (netdev: Netdev) => Overrides = () => ({})): NetdevProvider {
    return {
      type: provider.type,
      openQueue: (descriptor, resources) => provider.openQueue(descriptor, resources),
      open: async (name, config) => {
        const netdev = await provider.open(name, config);
        this.#open.set(name, netdev);
        return altered(netdev, { close: () => this.#close(name, netdev), ...overrides(netdev) });
      },
    };
  }

  dummy(name: string): DummyNetdev {
    for (const provider of this.#dummies) {
      const device = provider.device(name);
      if (device !== undefined) return device;
    }
    throw new Error(`there is no device ${name}`);
  }

  /** Frames that all devices received and sent since the beginning. */
  async totals(): Promise<DeviceCounts> {
    const sum = { ...this.#gone };
    for (const netdev of this.#open.values()) add(sum, await netdev.getStats());
    return sum;
  }

  /** By device, for those that are open. */
  async each(): Promise<Record<string, DeviceCounts>> {
    const counts: Record<string, DeviceCounts> = {};
    for (const [name, netdev] of this.#open) {
      counts[name] = { rx: 0, tx: 0 };
      add(counts[name], await netdev.getStats());
    }
    return counts;
  }

  /** A fragile device shall break once, at the next occasion: BREAK_RECEIVE or BREAK_SEND. */
  breakOnce(what: number): void {
    Atomics.store(this.#breaks, 0, what);
  }

  calm(): void {
    Atomics.store(this.#breaks, 0, CALM);
  }

  async #close(name: string, netdev: Netdev): Promise<void> {
    // Its queues are closed already, and nothing counts any more.
    add(this.#gone, await netdev.getStats());
    this.#open.delete(name);
    await netdev.close();
  }
}

function add(sum: DeviceCounts, { rxPackets = 0, txPackets = 0 }: NetdevStats): void {
  sum.rx += rxPackets;
  sum.tx += txPackets;
}
