/** The other end of a veth pair: whether it leaves VLAN tags to its device, which not every XDP program sees. */

import { closeSync, openSync, readdirSync, readlinkSync } from 'node:fs';
import { type ControlBinding, isSystemError } from './binding.js';
import { leavesTags } from './ethtool.js';
import { type Link, readLink } from './link.js';
import { attributes, exchange, messageType, NLMSG_HDRLEN, Request } from './rtnetlink.js';

const RTM_NEWNSID = 88;
const RTM_GETNSID = 90;
const NETNSA_NSID = 1;
const NETNSA_FD = 3;
/** struct rtgenmsg, padded. */
const RTGENMSG_LEN = 4;

/**
 * One sentence with the command to run, when the peer of veth `link` sends packets with VLAN tags beside the packet.
 * Undefined when all is well, or nothing can be known.
 */
export function tagWarning(
  native: ControlBinding,
  control: number,
  link: Link,
  netns: string | undefined,
): string | undefined {
  if (link.kind !== 'veth' || link.peer === undefined || link.peer === 0) return undefined;
  const home = netns === undefined ? '' : inNamespace(netns);
  if (link.peerNetnsid === undefined) return warn(native, control, link, home);
  for (const { path, prefix } of namespaces()) {
    if (namespaceId(native, control, path) !== link.peerNetnsid) continue;
    let theirs: number;
    try {
      theirs = native.openControl(path);
    } catch (error) {
      if (isSystemError(error)) return undefined;
      throw error;
    }
    try {
      return warn(native, theirs, link, prefix);
    } finally {
      closeSync(theirs);
    }
  }
  return undefined;
}

function warn(native: ControlBinding, control: number, link: Link, prefix: string): string | undefined {
  try {
    const peer = readLink(native, control, link.peer ?? 0).name;
    if (!leavesTags(native, control, peer)) return undefined;
    return `the peer "${peer}" leaves VLAN tags to its device, and AF_XDP loses them here: run "${prefix}ethtool -K ${peer} txvlan off", or use type afpacket`;
  } catch (error) {
    // It went away meanwhile.
    if (isSystemError(error)) return undefined;
    throw error;
  }
}

const inNamespace = (netns: string): string =>
  netns.startsWith('/') ? `nsenter --net=${netns} ` : `ip netns exec ${netns} `;

/** Network namespaces that can be found: those with a name, then those of processes; each once. */
function* namespaces(): Generator<{ readonly path: string; readonly prefix: string }> {
  for (const name of list('/run/netns')) {
    yield { path: `/run/netns/${name}`, prefix: `ip netns exec ${name} ` };
  }
  const seen = new Set<string>();
  for (const pid of list('/proc')) {
    if (!/^[0-9]+$/.test(pid)) continue;
    const path = `/proc/${pid}/ns/net`;
    let which: string;
    try {
      which = readlinkSync(path);
    } catch {
      continue;
    }
    if (seen.has(which)) continue;
    seen.add(which);
    yield { path, prefix: `nsenter --net=${path} ` };
  }
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** The id that the namespace of `control` has for the namespace file `path`. */
function namespaceId(native: ControlBinding, control: number, path: string): number | undefined {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return undefined;
  }
  try {
    const reply = exchange(native, control, new Request(RTM_GETNSID, 0, RTGENMSG_LEN).addU32(NETNSA_FD, fd));
    if (messageType(reply) !== RTM_NEWNSID) return undefined;
    return attributes(reply, NLMSG_HDRLEN + RTGENMSG_LEN)
      .get(NETNSA_NSID)
      ?.getInt32(0, true);
  } catch (error) {
    if (isSystemError(error)) return undefined;
    throw error;
  } finally {
    closeSync(fd);
  }
}
