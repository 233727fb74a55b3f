/** Names and options of devices: what users may write, checked before the kernel sees any of it. */

import { DpifError, type NetdevConfig } from '@etherloom/core';

/** How the device's driver runs an AF_XDP socket; `auto` takes the first of the others, in this order, that works. */
export const MODES = ['auto', 'zerocopy', 'native', 'generic'] as const;
export type AfxdpMode = (typeof MODES)[number];

/** Most queue pairs of a device. */
const MAX_QUEUES = 64;
/** IFNAMSIZ of linux/if.h less the terminating zero. */
const MAX_NAME_BYTES = 15;

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

/** Rejects what cannot be the name of a device. ENAMETOOLONG, EINVAL. */
export function checkName(name: string): void {
  if (Buffer.byteLength(name) > MAX_NAME_BYTES) {
    throw new DpifError(
      'ENAMETOOLONG',
      `device name "${name}" has ${Buffer.byteLength(name)} bytes: Linux allows ${MAX_NAME_BYTES}, give the name that "ip link" shows`,
    );
  }
  if (name === '' || name === '.' || name === '..' || /[\s/:\0]/.test(name)) {
    throw new DpifError('EINVAL', `"${name}" cannot be a device's name: give one that "ip link" shows`);
  }
}

/** The file of network namespace `netns`. EINVAL. */
export function namespacePath(netns: string): string {
  if (netns.startsWith('/') && !netns.includes('\0')) return netns;
  if (netns === '' || netns === '.' || netns === '..' || /[/\0]/.test(netns)) {
    throw new DpifError(
      'EINVAL',
      `netns="${netns}": give the name of a namespace ("ip netns list") or an absolute path`,
    );
  }
  return `/run/netns/${netns}`;
}

/** Checks a device's own Ethernet address and brings it to lower case. EINVAL. */
export function parseEtheraddr(text: string): string {
  const address = text.toLowerCase();
  const octets = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(address) ? address.split(':') : [];
  const first = Number.parseInt(octets[0] ?? '1', 16);
  if ((first & 1) === 1 || octets.every((octet) => octet === '00')) {
    throw new DpifError(
      'EINVAL',
      `"${text}" is no Ethernet address for a device: give aa:bb:cc:dd:ee:ff, not all zero, with the first octet even`,
    );
  }
  return address;
}
