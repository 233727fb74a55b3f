/** Options that users may write, refused before anything is opened. Needs no privileges. */

import { type ErrnoCode, isDpifError } from '@etherloom/core';
import { openFds } from '@etherloom/testkit';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseOptions } from '../src/config.js';
import { provider } from './harness.js';

function codeOf(action: () => unknown): ErrnoCode | 'fine' {
  try {
    action();
    return 'fine';
  } catch (error) {
    if (isDpifError(error)) return error.code;
    throw error;
  }
}

test('options are parsed, and bad ones named', () => {
  expect(parseOptions('t', {})).toEqual({ offload: true, queues: 1, up: true });
  expect(
    parseOptions('t', {
      netns: 'blue',
      mac: '02:AB:00:00:00:01',
      mtu: '9000',
      offload: 'off',
      persistent: 'true',
      queues: '4',
      up: 'false',
    }),
  ).toEqual({
    netns: 'blue',
    mac: '02:ab:00:00:00:01',
    mtu: 9000,
    offload: false,
    persistent: true,
    queues: 4,
    up: false,
  });
  const bad: [string, string][] = [
    ['colour', 'blue'],
    ['mac', '02:00:00:00:00'],
    ['mac', '01:00:00:00:00:01'],
    ['mac', '00:00:00:00:00:00'],
    ['mtu', '1e3'],
    ['mtu', '0'],
    ['netns', ''],
    ['netns', 'a/b'],
    ['netns', '..'],
    ['offload', 'tso'],
    ['persistent', 'yes'],
    ['queues', '0'],
    ['queues', '257'],
    ['up', ''],
  ];
  for (const [option, text] of bad) {
    expect([option, text, codeOf(() => parseOptions('t', { [option]: text }))]).toEqual([
      option,
      text,
      'EINVAL',
    ]);
  }
});

test('whatever is written as an option is parsed or refused with EINVAL', () => {
  const option = fc.constantFrom(
    'mac',
    'mtu',
    'netns',
    'persistent',
    'queues',
    'up',
    '__proto__',
    'constructor',
  );
  fc.assert(
    fc.property(fc.dictionary(option, fc.string()), (config) => {
      expect(['fine', 'EINVAL']).toContain(codeOf(() => parseOptions('t', config)));
    }),
  );
});

test('a refused open leaves no descriptor', async () => {
  const before = openFds();
  await expect(provider.open('no/name', {})).rejects.toMatchObject({ code: 'EINVAL' });
  await expect(provider.open('etl-cfg', { speed: '10' })).rejects.toMatchObject({
    code: 'EINVAL',
    message: expect.stringContaining('the options are mac, mtu, netns, offload, persistent, queues, up'),
  });
  expect(openFds()).toBe(before);
});
