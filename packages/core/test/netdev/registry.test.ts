import { describe, expect, it } from 'vitest';
import { DpifError } from '../../src/errors.js';
import type { Netdev, NetdevProvider } from '../../src/netdev/netdev.js';
import { NetdevRegistry } from '../../src/netdev/registry.js';

/** A provider whose devices do nothing but count how often they are open: sharing is the registry's own matter. */
function provider(type: string) {
  const open = new Set<string>();
  const closing: (() => void)[] = [];
  const made: NetdevProvider = {
    type,
    open: async (name) => {
      if (name === 'bad') throw new DpifError('ENODEV', 'no such device');
      if (open.has(name)) throw new Error(`${name} opened twice`);
      open.add(name);
      const device: Partial<Netdev> = {
        name,
        type,
        close: async () => {
          await new Promise<void>((resolve) => closing.push(resolve));
          open.delete(name);
        },
      };
      return device as Netdev;
    },
    openQueue: () => {
      throw new Error('no queues');
    },
  };
  const finishClosing = () => {
    for (const done of closing.splice(0)) done();
  };
  return { made, open, finishClosing };
}

const code = (code: string) => expect.objectContaining({ code });

describe('NetdevRegistry', () => {
  it('shares an open device and closes it with the last reference', async () => {
    const { made, open, finishClosing } = provider('dummy');
    const registry = new NetdevRegistry();
    registry.register(made);
    const [one, two] = await Promise.all([registry.open('p1', 'dummy'), registry.open('p1', 'dummy')]);
    expect(one.netdev).toBe(two.netdev);
    await one.release();
    await one.release();
    expect(open).toContain('p1');
    expect(await registry.find('p1')).toBe(two.netdev);
    await expect(registry.unregister('dummy')).rejects.toEqual(code('EBUSY'));
    const released = two.release();
    const again = registry.open('p1', 'dummy');
    finishClosing();
    await released;
    const third = await again;
    expect(third.netdev).not.toBe(two.netdev);
    expect(open).toContain('p1');
  });

  it('refuses another type for an open name, unknown types, and a second provider of a type', async () => {
    const registry = new NetdevRegistry();
    registry.register(provider('dummy').made);
    registry.register(provider('tap').made);
    await registry.open('p1', 'dummy');
    await expect(registry.open('p1', 'tap')).rejects.toThrow(/"p1" is open with type "dummy", not "tap"/);
    await expect(registry.open('p1', 'vhost')).rejects.toEqual(code('EEXIST'));
    await expect(registry.open('p2', 'vhost')).rejects.toThrow(/registered types: dummy, tap/);
    expect(() => registry.register(provider('tap').made)).toThrow(code('EEXIST'));
    await registry.unregister('tap');
    await expect(registry.unregister('tap')).rejects.toEqual(code('EAFNOSUPPORT'));
  });

  it('forgets a device whose opening failed', async () => {
    const registry = new NetdevRegistry();
    registry.register(provider('dummy').made);
    for (let i = 0; i < 2; i++) await expect(registry.open('bad', 'dummy')).rejects.toEqual(code('ENODEV'));
    expect(await registry.find('bad')).toBeUndefined();
  });
});
