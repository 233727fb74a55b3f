/** The contract of a driver that cannot open devices yet: options are checked, and the refusal says what to use. */

import { type NetdevConfig, NetdevRegistry } from '@etherloom/core';
import { readmeExamples } from '@etherloom/testkit';
import { expect, test } from 'vitest';
import { createNetdevProviders, parseOptions } from '../src/index.js';

test('options are parsed, and bad ones refused', async () => {
  expect(parseOptions('eth1', {})).toEqual({ queues: 1, mode: 'auto' });
  expect(parseOptions('eth1', { queues: '64', mode: 'zerocopy' })).toEqual({ queues: 64, mode: 'zerocopy' });
  const [provider] = createNetdevProviders();
  const bad: NetdevConfig[] = [
    { queues: '0' },
    { queues: '65' },
    { queues: '1e1' },
    { queues: '' },
    { mode: 'Native' },
    { mtu: '1500' },
  ];
  for (const config of bad) {
    await expect(provider?.open('eth1', config)).rejects.toMatchObject({ code: 'EINVAL' });
  }
});

test('a device is refused with what to use instead, and its name stays free', async () => {
  const registry = new NetdevRegistry();
  for (const provider of createNetdevProviders()) registry.register(provider);
  expect(registry.types()).toEqual(['afxdp']);
  await expect(registry.open('eth1', 'afxdp', { mode: 'generic' })).rejects.toMatchObject({
    code: 'EOPNOTSUPP',
    message: expect.stringMatching(/not available yet .* type "tap"/),
  });
  expect(await registry.find('eth1')).toBeUndefined();
});

for (const example of readmeExamples(new URL('../README.md', import.meta.url))) {
  test(example.name, () => example.run());
}
