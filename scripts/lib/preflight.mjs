/** What the lab and the privileged tests need of the machine. */

import { spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';

/** One sentence about what is missing and what to do, or undefined. */
export function missingForLab() {
  if (process.platform !== 'linux')
    return `This is ${process.platform}: TAP devices and namespaces need Linux; use a Linux machine.`;
  if (process.getuid() !== 0)
    return 'Not root: TAP devices and network namespaces need it; run the command as root.';
  try {
    closeSync(openSync('/dev/net/tun', 'r+'));
  } catch (error) {
    return `/dev/net/tun cannot be opened (${error.code}): load the tun module, or pass the device into the container.`;
  }
  const ip = spawnSync('ip', ['netns', 'list'], { encoding: 'utf8' });
  if (ip.error !== undefined) return 'The program "ip" is missing: install the package iproute2.';
  if (ip.status !== 0)
    return `"ip netns" does not work (${ip.stderr.trim()}): give the container CAP_SYS_ADMIN and CAP_NET_ADMIN.`;
  return undefined;
}
