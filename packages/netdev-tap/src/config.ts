/** Names and options of TAP devices: what users may write, checked before the kernel sees any of it. */

import { DpifError, type NetdevConfig } from '@etherloom/core';

/** IFNAMSIZ of linux/if.h less the terminating zero. */
const MAX_NAME_BYTES = 15;
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

/** Rejects what the kernel would refuse as a device name, or would take for a pattern ('%'). ENAMETOOLONG, EINVAL. */
export function checkName(name: string): void {
  if (Buffer.byteLength(name) > MAX_NAME_BYTES) {
    throw new DpifError(
      'ENAMETOOLONG',
      `device name "${name}" has ${Buffer.byteLength(name)} bytes: Linux allows ${MAX_NAME_BYTES}, choose a shorter one`,
    );
  }
  if (name === '' || name === '.' || name === '..' || /[\s/:%\0]/.test(name)) {
    throw new DpifError(
      'EINVAL',
      `"${name}" cannot name a device: give 1 to ${MAX_NAME_BYTES} bytes without space, "/", ":" or "%", not "." or ".."`,
    );
  }
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
