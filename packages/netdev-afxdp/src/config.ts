/** Options of devices: what users may write, checked before the kernel sees any of it. */

import { DpifError, type NetdevConfig } from '@etherloom/core';
import { namespacePath } from '@etherloom/netdev-linux';

/** How the device's driver runs an AF_XDP socket; `auto` takes the first of the others, in this order, that works. */
export const MODES = ['auto', 'zerocopy', 'native', 'generic'] as const;
export type AfxdpMode = (typeof MODES)[number];

/** Most queue pairs of a device. */
const MAX_QUEUES = 64;

/** Options of every kernel device. */
export interface DeviceOptions {
  /** Namespace as the user wrote it: a name under /run/netns or an absolute path. */
  readonly netns: string | undefined;
  readonly up: boolean;
}

export interface AfxdpOptions extends DeviceOptions {
  readonly queues: number;
  readonly mode: AfxdpMode;
}

/** Parses the options of AF_XDP device `name`. EINVAL names the first bad one. */
export function parseAfxdpOptions(name: string, config: NetdevConfig): AfxdpOptions {
  const common = parseOptions(`AF_XDP device "${name}"`, config, ['mode', 'netns', 'queues', 'up']);
  const { queues = '1', mode = 'auto' } = config;
  if (!/^[1-9][0-9]?$/.test(queues) || Number(queues) > MAX_QUEUES) {
    throw new DpifError('EINVAL', `queues=${queues}: give a whole number from 1 to ${MAX_QUEUES}`);
  }
  const known = MODES.find((candidate) => candidate === mode);
  if (known === undefined) throw new DpifError('EINVAL', `mode=${mode}: give one of ${MODES.join(', ')}`);
  return { ...common, queues: Number(queues), mode: known };
}

/** Parses the options of AF_PACKET device `name`. EINVAL names the first bad one. */
export function parsePacketOptions(name: string, config: NetdevConfig): DeviceOptions {
  return parseOptions(`AF_PACKET device "${name}"`, config, ['netns', 'up']);
}

function parseOptions(device: string, config: NetdevConfig, options: readonly string[]): DeviceOptions {
  for (const option of Object.keys(config)) {
    if (options.includes(option)) continue;
    throw new DpifError(
      'EINVAL',
      `${device} has no option "${option}": the options are ${options.join(', ')}`,
    );
  }
  const { netns, up = 'true' } = config;
  if (netns !== undefined) namespacePath(netns);
  if (up !== 'true' && up !== 'false') throw new DpifError('EINVAL', `up=${up}: give true or false`);
  return { netns, up: up === 'true' };
}
