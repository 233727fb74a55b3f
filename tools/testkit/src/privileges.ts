/**
 * What a test needs from the machine beyond Node, found out by trying, so that a test that cannot run is skipped by
 * name and with a reason, never passed in silence.
 */

import { execFileSync } from 'node:child_process';
import { accessSync, closeSync, constants, openSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

/** A thing that a test may need. Program names stand for that program on the PATH. */
export type Privilege = 'root' | 'net-admin' | 'tun' | 'netns' | Program;

/** Programs that tests may ask for, and the Debian package that brings each. */
const PROGRAMS = {
  ip: 'iproute2',
  tc: 'iproute2',
  ping: 'iputils-ping',
  iperf3: 'iperf3',
  tcpdump: 'tcpdump',
  cc: 'gcc',
  'ovs-appctl': 'openvswitch-switch',
  'ovs-vswitchd': 'openvswitch-switch',
} as const;
type Program = keyof typeof PROGRAMS;

/** Bit number of CAP_NET_ADMIN in the masks of /proc/PID/status (linux/capability.h). */
const CAP_NET_ADMIN = 12;

const known = new Map<Privilege, string | undefined>();

/**
 * One sentence per thing of `needs` that is missing here, joined by "; ", each with what to do about it; `undefined`
 * when all are there. Each is tried once per process.
 */
export function missingPrivileges(needs: readonly Privilege[]): string | undefined {
  const reasons: string[] = [];
  for (const need of needs) {
    if (!known.has(need)) known.set(need, attempt(need));
    const reason = known.get(need);
    if (reason !== undefined && !reasons.includes(reason)) reasons.push(reason);
  }
  return reasons.length === 0 ? undefined : reasons.join('; ');
}

/** The part of Vitest's test context that {@link requirePrivileges} uses. `skip` throws. */
export interface SkippableContext {
  skip(note?: string): never;
}

/**
 * Ends the running test as skipped when something of `needs` is missing; the reason is the skip's note, which the root
 * test runner counts and prints. Call it first in the test: `test('...', async (context) => { requirePrivileges(context, 'tun') ... })`.
 */
export function requirePrivileges(context: SkippableContext, ...needs: Privilege[]): void {
  const reason = missingPrivileges(needs);
  if (reason !== undefined) context.skip(reason);
}

function attempt(need: Privilege): string | undefined {
  switch (need) {
    case 'root':
      return process.getuid?.() === 0 ? undefined : 'needs user id 0: run as root';
    case 'net-admin':
      return hasNetAdmin() ? undefined : 'needs CAP_NET_ADMIN: run as root';
    case 'tun':
      return attempt('net-admin') ?? tunMissing();
    case 'netns':
      return attempt('root') ?? attempt('ip') ?? netnsMissing();
    default:
      return onPath(need)
        ? undefined
        : `needs the program "${need}": install it (Debian package ${PROGRAMS[need]})`;
  }
}

function hasNetAdmin(): boolean {
  try {
    const mask = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1] ?? '0';
    return ((BigInt(`0x${mask}`) >> BigInt(CAP_NET_ADMIN)) & 1n) === 1n;
  } catch {
    return false;
  }
}

function tunMissing(): string | undefined {
  try {
    // Opening alone creates no device.
    closeSync(openSync('/dev/net/tun', 'r+'));
    return undefined;
  } catch (error) {
    return `needs /dev/net/tun: load the tun module or pass the device to the container (${text(error)})`;
  }
}

function netnsMissing(): string | undefined {
  const name = `etl-probe-${process.pid}`;
  try {
    execFileSync('ip', ['netns', 'add', name], { stdio: 'pipe' });
    execFileSync('ip', ['netns', 'delete', name], { stdio: 'pipe' });
    return undefined;
  } catch (error) {
    return `needs network namespaces: run with CAP_SYS_ADMIN and a writable /run/netns (${text(error)})`;
  }
}

function onPath(program: string): boolean {
  const folders = (process.env.PATH ?? '').split(delimiter);
  return folders.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

function text(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.trim().replace(/\s+/g, ' ');
}
