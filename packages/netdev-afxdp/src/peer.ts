/** The other end of a veth pair, in whichever namespace it is. */

import { closeSync, openSync, readdirSync, readlinkSync } from 'node:fs';
import {
  attributes,
  exchange,
  isSystemError,
  type Link,
  messageType,
  NLMSG_HDRLEN,
  Request,
  readLink,
} from '@etherloom/netdev-linux';
import type { ControlBinding } from './binding.js';

const RTM_NEWNSID = 88;
const RTM_GETNSID = 90;
const NETNSA_NSID = 1;
const NETNSA_FD = 3;
/** struct rtgenmsg, padded. */
const RTGENMSG_LEN = 4;

/** A device that was found: its name, the control socket that reaches it, and what goes before a command to be there. */
export interface Place {
  readonly control: number;
  readonly device: string;
  readonly prefix: string;
}

/** What goes before a command that is to run in the namespace of the option `netns`. */
export const inNamespace = (netns: string | undefined): string =>
  netns === undefined ? '' : netns.startsWith('/') ? `nsenter --net=${netns} ` : `ip netns exec ${netns} `;

/**
 * What `visit` makes of the peer of veth `link`, which it may only use until it returns: a control socket that stayed open
 * would keep the namespace of a container that ended. Undefined when the peer cannot be found, or `visit` failed with it.
 */
export function atPeer<Result>(
  native: ControlBinding,
  control: number,
  link: Link,
  netns: string | undefined,
  visit: (peer: Place) => Result,
): Result | undefined {
  const { peer, peerNetnsid } = link;
  if (link.kind !== 'veth' || peer === undefined || peer === 0) return undefined;
  const look = (there: number, prefix: string): Result =>
    visit({ control: there, device: readLink(native, there, peer).name, prefix });
  try {
    if (peerNetnsid === undefined) return look(control, inNamespace(netns));
    for (const { path, prefix } of namespaces()) {
      if (namespaceId(native, control, path) !== peerNetnsid) continue;
      const there = native.openControl(path);
      try {
        return look(there, prefix);
      } finally {
        closeSync(there);
      }
    }
    return undefined;
  } catch (error) {
    // It went away meanwhile, or its namespace is not for us.
    if (isSystemError(error)) return undefined;
    throw error;
  }
}

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
