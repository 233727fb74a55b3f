/** The netdev suite finds broken drivers: each of these breaks one sentence of the contract, and one named case says so. */

import { AssertionError } from 'node:assert';
import { closeSync, openSync } from 'node:fs';
import type { Netdev, NetdevProvider, NetdevQueue, PacketBatch, QueueResources } from '@etherloom/core';
import { describe, expect, test } from 'vitest';
import { type DummyProvider, faults } from '../src/index.js';
import { dummySuite } from './suite.js';

type Changes<T> = { readonly [K in keyof T]?: T[K] };

/** `target` with some members replaced; the others run on `target` itself. */
function change<T extends object>(target: T, changes: Changes<T>): T {
  return new Proxy(target, {
    get(object, key) {
      if (Object.hasOwn(changes, key)) return Reflect.get(changes, key);
      const value: unknown = Reflect.get(object, key, object);
      return typeof value === 'function' ? value.bind(object) : value;
    },
  });
}

interface Mutation {
  netdev?(netdev: Netdev): Changes<Netdev>;
  queue?(queue: NetdevQueue, resources: QueueResources): Changes<NetdevQueue>;
}

function mutate(provider: NetdevProvider, mutation: Mutation): NetdevProvider {
  return {
    type: provider.type,
    open: async (name, config) => {
      const netdev = await provider.open(name, config);
      return change(netdev, mutation.netdev?.(netdev) ?? {});
    },
    openQueue: (descriptor, resources) => {
      const queue = provider.openQueue(descriptor, resources);
      return change(queue, mutation.queue?.(queue, resources) ?? {});
    },
  };
}

const mutants: Record<string, { finder: string; make: (provider: DummyProvider) => NetdevProvider }> = {};
const mutant = (
  name: string,
  finder: string,
  make: Mutation | ((provider: DummyProvider) => NetdevProvider),
): void => {
  mutants[name] = { finder, make: typeof make === 'function' ? make : (provider) => mutate(provider, make) };
};

mutant('loses every second frame', 'bursts of any number are received', (p) => faults(p, { drop: 0.5 }));
mutant('doubles frames', 'frames of 14 to 1,514 bytes are received', (p) => faults(p, { duplicate: 0.5 }));
mutant('damages frames', 'frames of 14 to 1,514 bytes are received', (p) => faults(p, { corrupt: 0.5 }));
mutant('overwrites the batch', 'a batch that holds packets', {
  queue: (queue) => ({
    rxBurst: (batch: PacketBatch) => {
      batch.count = 0;
      return queue.rxBurst(batch);
    },
  }),
});
mutant('counts packets that were there before', 'a batch that holds packets', {
  queue: (queue) => ({
    rxBurst: (batch: PacketBatch) => {
      queue.rxBurst(batch);
      return batch.count;
    },
  }),
});
mutant('keeps a reference to received frames', 'received packets have headroom, an owner', {
  queue: (queue, { pool }) => ({
    rxBurst: (batch: PacketBatch) => {
      const received = queue.rxBurst(batch);
      for (let i = batch.count - received; i < batch.count; i++) pool.retain(batch.data[i]!);
      return received;
    },
  }),
});
mutant('leaves the sent batch full', 'bursts of any number are sent', {
  queue: (queue) => ({
    txBurst: (batch: PacketBatch) => {
      const count = batch.count;
      const sent = queue.txBurst(batch);
      batch.count = count;
      return sent;
    },
  }),
});
mutant('does not release what it drops', 'a device that is down', {
  queue: (queue, { pool }) => ({
    txBurst: (batch: PacketBatch) => {
      const frames = [...batch.data.subarray(0, batch.count)];
      for (const frame of frames) pool.retain(frame);
      const sent = queue.txBurst(batch);
      for (const frame of frames.slice(0, sent)) pool.release(frame);
      return sent;
    },
  }),
});
mutant('does not count what it drops', 'a frame longer than the MTU', {
  queue: (queue, { drops }) => ({
    txBurst: (batch: PacketBatch) => {
      const sent = queue.txBurst(batch);
      drops.fill(0);
      return sent;
    },
  }),
});
mutant('ignores that it is down', 'a device that is down', {
  netdev: (netdev) => ({ setFlags: ({ up: _, ...others }) => netdev.setFlags(others) }),
});
mutant('sets flags that were not given', 'setFlags changes the flags given', {
  netdev: (netdev) => ({ setFlags: (flags) => netdev.setFlags({ promisc: false, ...flags }) }),
});
mutant('never wakes', 'whoever waits is woken', { queue: () => ({ setWake: () => undefined }) });
mutant('wakes twice', 'whoever waits is woken', {
  queue: (queue) => ({
    setWake: (wake: (() => void) | undefined) => {
      queue.setWake?.(() => {
        wake?.();
        wake?.();
      });
    },
  }),
});
mutant('has constant statistics', 'statistics are numbers', {
  netdev: () => ({ getStats: async () => ({ rxPackets: 0, txPackets: 0, rxBytes: 0, txBytes: 0 }) }),
});
mutant('has -1 for what it cannot count', 'statistics are numbers', {
  netdev: (netdev) => ({ getStats: async () => ({ ...(await netdev.getStats()), collisions: -1 }) }),
});
mutant('has a descriptor that cannot be sent', 'each queue has a descriptor', {
  netdev: (netdev) => ({
    queueDescriptor: (index: number) =>
      Object.assign({}, netdev.queueDescriptor(index), { callback: () => 0 }),
  }),
});
mutant('changes before it checks', 'a bad option to setConfig', {
  netdev: (netdev) => ({
    setConfig: async (config) => {
      await netdev.setMtu(1000);
      await netdev.setConfig(config);
    },
  }),
});
mutant('closes only once', 'closing is idempotent', {
  netdev: (netdev) => {
    let closed = false;
    return {
      close: async () => {
        if (closed) throw new Error('closed already');
        closed = true;
        await netdev.close();
      },
    };
  },
});
const leaked: number[] = [];
mutant('leaks a descriptor when opening fails', 'a bad option is EINVAL', (provider) => ({
  type: provider.type,
  open: (name, config) => {
    leaked.push(openSync('/dev/null', 'r'));
    return provider.open(name, config);
  },
  openQueue: (descriptor, resources) => provider.openQueue(descriptor, resources),
}));
mutant('throws plain errors', 'a bad option is EINVAL', (provider) => ({
  type: provider.type,
  open: (name, config) =>
    provider.open(name, config).catch((error: unknown) => {
      throw new Error(String(error));
    }),
  openQueue: (descriptor, resources) => provider.openQueue(descriptor, resources),
}));

// Side by side: a frame that never comes is waited for for 5 s.
describe.concurrent('the netdev suite finds a driver that', () => {
  test.each(Object.entries(mutants))('%s', async (_, { finder, make }) => {
    const cases = dummySuite(make);
    const [found, ...others] = cases.filter(({ name }) => name.startsWith(finder));
    expect(others).toEqual([]);
    const error = await found?.run().then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeDefined();
    // A driver that throws where it must not is found by what it throws.
    if (!(error instanceof AssertionError))
      expect(String(error)).toMatch(/closed already|could not be cloned/);
    for (const fd of leaked.splice(0)) closeSync(fd);
  });
});
