/** Names of devices and namespaces, and Ethernet addresses: what users may write, checked before the kernel sees any of it. */

import { DpifError } from '@etherloom/core';

/** IFNAMSIZ of linux/if.h less the terminating zero. */
const MAX_NAME_BYTES = 15;

/** Rejects what the kernel would refuse as a device's name, or would take for a pattern ('%'). ENAMETOOLONG, EINVAL. */
export function checkName(name: string): void {
  if (Buffer.byteLength(name) > MAX_NAME_BYTES) {
    throw new DpifError(
      'ENAMETOOLONG',
      `device name "${name}" has ${Buffer.byteLength(name)} bytes: Linux allows ${MAX_NAME_BYTES}, give a shorter one`,
    );
  }
  if (name === '' || name === '.' || name === '..' || /[\s/:%\0]/.test(name)) {
    throw new DpifError(
      'EINVAL',
      `"${name}" cannot name a device: give 1 to ${MAX_NAME_BYTES} bytes without space, "/", ":" or "%", not "." or ".."`,
    );
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
