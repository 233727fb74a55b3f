/** Options of TAP devices: what users may write, checked before the kernel sees any of it. */

import { DpifError, type NetdevConfig } from '@etherloom/core';
import { namespacePath, parseEtheraddr } from '@etherloom/netdev-linux';

/** MAX_TAP_QUEUES of the tun driver. */
const MAX_QUEUES = 256;

const OPTIONS = ['mac', 'mtu', 'netns', 'offload', 'persistent', 'queues', 'up'] as const;

/** Options as parsed; absent members leave the device as it is. */
export interface TapOptions {
  /** Namespace as the user wrote it: a name under /run/netns or an absolute path. */
  readonly netns: string | undefined;
  /** Lower case, colons. */
  readonly mac: string | undefined;
  readonly mtu: number | undefined;
  readonly offload: boolean;
  readonly persistent: boolean | undefined;
  readonly queues: number;
  readonly up: boolean;
}

/** Parses the options of device `name`. EINVAL names the first bad one. */
export function parseOptions(name: string, config: NetdevConfig): TapOptions {
  for (const option of Object.keys(config)) {
    if (!OPTIONS.some((known) => known === option)) {
      const known = OPTIONS.join(', ');
      throw new DpifError(
        'EINVAL',
        `TAP device "${name}" has no option "${option}": the options are ${known}`,
      );
    }
  }
  const { netns, mac, mtu, queues } = config;
  if (netns !== undefined) namespacePath(netns);
  return {
    netns,
    mac: mac === undefined ? undefined : parseEtheraddr(mac),
    mtu: mtu === undefined ? undefined : wholeNumber('mtu', mtu, 1, 0x7fff_ffff),
    offload: truth('offload', config.offload) ?? true,
    persistent: truth('persistent', config.persistent),
    queues: queues === undefined ? 1 : wholeNumber('queues', queues, 1, MAX_QUEUES),
    up: truth('up', config.up) ?? true,
  };
}

function wholeNumber(option: string, text: string, low: number, high: number): number {
  const value = Number(text);
  if (!/^[0-9]{1,10}$/.test(text) || value < low || value > high) {
    throw new DpifError('EINVAL', `${option}=${text}: give a whole number from ${low} to ${high}`);
  }
  return value;
}

function truth(option: string, text: string | undefined): boolean | undefined {
  switch (text) {
    case undefined:
      return undefined;
    case 'true':
    case 'on':
      return true;
    case 'false':
    case 'off':
      return false;
    default:
      throw new DpifError('EINVAL', `${option}=${text}: give true or false (or on or off)`);
  }
}
