import { describe, expect, it } from 'vitest';
import type { DpifProvider } from '../../src/dpif/provider.js';
import { DpifRegistry, normalizeType, parseName } from '../../src/dpif/registry.js';
import { DpifError } from '../../src/errors.js';

/** A provider without datapaths: the registry's own rules need no more. */
const provider = (type: string, names: string[] = []): DpifProvider => ({
  type,
  enumerate: async () => names,
  open: async (name) => {
    throw new DpifError('ENODEV', `no datapath ${type}@${name}`);
  },
});

const code = (code: string) => expect.objectContaining({ code });

describe('DpifRegistry', () => {
  it('registers a type once, and not after it was blocked', () => {
    const registry = new DpifRegistry();
    registry.register(provider('netdev'));
    expect(() => registry.register(provider('netdev'))).toThrow(code('EEXIST'));
    registry.block('dummy');
    expect(() => registry.register(provider('dummy'))).toThrow(code('EINVAL'));
    registry.block('netdev');
    expect(registry.types()).toEqual(['netdev']);
    registry.unregister('netdev');
    expect(() => registry.unregister('netdev')).toThrow(code('EAFNOSUPPORT'));
    expect(() => registry.register(provider('netdev'))).toThrow(code('EINVAL'));
  });

  it('names datapaths of a known type only', async () => {
    const registry = new DpifRegistry();
    registry.register(provider('netdev', ['br1', 'br0']));
    expect(await registry.names('netdev')).toEqual(['br0', 'br1']);
    await expect(registry.names('')).rejects.toEqual(code('EAFNOSUPPORT'));
    await expect(registry.open('br0', 'nosuch')).rejects.toThrow(
      /unknown datapath type "nosuch"; registered types: netdev/,
    );
    await expect(registry.open('', 'netdev')).rejects.toEqual(code('EINVAL'));
  });

  it('does not count a failed open as use of the type', async () => {
    const registry = new DpifRegistry();
    registry.register(provider('netdev'));
    await expect(registry.open('br0', 'netdev')).rejects.toEqual(code('ENODEV'));
    registry.unregister('netdev');
  });
});

describe('names', () => {
  it.each([
    ['br0', 'system', 'br0'],
    ['netdev@br0', 'netdev', 'br0'],
    ['@br0', 'system', 'br0'],
    ['netdev@', 'netdev', ''],
    ['a@b@c', 'a', 'b@c'],
  ])('parses %s', (text, type, name) => {
    expect(parseName(text)).toEqual({ type, name });
  });

  it('takes system for no type', () => {
    expect([normalizeType(undefined), normalizeType(''), normalizeType('dummy')]).toEqual([
      'system',
      'system',
      'dummy',
    ]);
  });
});
