/**
 * What is to be known of an interface before it is made a port. It is only looked at: an XDP program that is put on it for a
 * trial would take its traffic, and with many network cards the link, for a moment.
 */

import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { basename, join } from 'node:path';
import type { Check } from './check.js';

const FOLDER = '/sys/class/net';
const ARPHRD_ETHER = '1';
/** Longest MTU whose frames fit one buffer of AF_XDP here. */
const ONE_BUFFER = 1774;

export function interfaceChecks(name: string): Check[] {
  const group = `interface ${name}`;
  const folder = join(FOLDER, name);
  const valid = name !== '' && !name.includes('/') && name !== '.' && name !== '..';
  if (!valid || !existsSync(folder)) {
    const there = readdirSync(FOLDER).join(', ');
    return [
      {
        group,
        name: 'exists',
        result: 'fail',
        detail: 'there is no such interface in this network namespace',
        advice: `the interfaces are ${there}; for another namespace run "ip netns exec NAME etherloom doctor ${name}"`,
      },
    ];
  }
  const read = (file: string): string | undefined => attribute(join(folder, file));
  const checks: Check[] = [];
  const add = (check: Omit<Check, 'group'>): unknown => checks.push({ group, ...check });
  const loopback = (Number(read('flags') ?? 0) & 8) !== 0;
  if (read('type') !== ARPHRD_ETHER || loopback) {
    add({
      name: 'kind',
      result: 'fail',
      detail: 'not an Ethernet device: it cannot be a port',
      advice: 'give another',
    });
    return checks;
  }
  const driver = link(join(folder, 'device/driver'));
  const virtual = driver === undefined;
  add({
    name: 'driver',
    result: 'ok',
    detail: driver ?? 'a virtual device (veth pairs run AF_XDP in native mode)',
  });
  const kind = /^DEVTYPE=(.*)$/m.exec(read('uevent') ?? '')?.[1];
  if (virtual && kind !== undefined) {
    add({
      name: 'VLAN tags',
      result: 'warn',
      detail: `a ${kind} has the outer tag beside the packet, where type afxdp loses it`,
      advice: 'use type afpacket if there are tags',
    });
  }
  const queues = readdirSync(join(folder, 'queues')).filter((queue) => queue.startsWith('rx-')).length;
  add({
    name: 'queues',
    result: queues === 1 ? 'ok' : 'warn',
    detail: `${queues} for receiving`,
    ...(queues === 1
      ? {}
      : {
          advice: `type afxdp serves the first unless told otherwise: add it with queues=${queues}, or run "ethtool -L ${name} combined 1"`,
        }),
  });
  const mtu = Number(read('mtu'));
  const long = mtu > ONE_BUFFER;
  add({
    name: 'MTU',
    result: long ? 'warn' : 'ok',
    detail: String(mtu),
    ...(long
      ? {
          advice:
            'type afxdp takes Linux 6.6 for packets of that length, and a driver that knows XDP with several buffers',
        }
      : {}),
  });
  const state = read('operstate') ?? 'unknown';
  // And "lowerlayerdown": of a veth pair, the other end.
  const down = state.endsWith('down');
  add({
    name: 'link',
    result: down ? 'warn' : 'ok',
    detail: state,
    ...(down ? { advice: virtual ? 'set it and its other end up' : 'set it up and see to its cable' } : {}),
  });
  const master = link(join(folder, 'master'));
  if (master !== undefined) {
    add({
      name: 'user',
      result: 'fail',
      detail: `it belongs to "${master}", which takes what it receives`,
      advice: `run "ip link set ${name} nomaster"`,
    });
  }
  const addresses = (networkInterfaces()[name] ?? [])
    .filter(({ scopeid }) => !scopeid)
    .map(({ address }) => address);
  if (addresses.length > 0) {
    add({
      name: 'addresses',
      result: 'warn',
      detail: `${addresses.join(', ')}: this host is not reached there any more once the interface is a port`,
      advice: "move them to the datapath's own device, which has its name",
    });
  }
  return checks;
}

function attribute(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1').trim();
  } catch {
    return undefined;
  }
}

function link(path: string): string | undefined {
  try {
    return basename(readlinkSync(path));
  } catch {
    return undefined;
  }
}
