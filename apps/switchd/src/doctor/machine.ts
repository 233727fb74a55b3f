/** What the machine has of what the I/O drivers need: kernel, its configuration, capabilities, memory that can be locked. */

import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { gunzipSync } from 'node:zlib';
import type { Check } from './check.js';

/** What each Linux version brought, the oldest first. */
const KERNELS = [
  { version: '5.2', brings: 'TAP devices as they are used here' },
  { version: '5.10', brings: 'AF_XDP' },
  { version: '6.2', brings: 'UDP super-packets through TAP devices' },
  { version: '6.6', brings: 'jumbo frames over AF_XDP' },
  { version: '6.8', brings: 'VLAN tags that hosts leave to their device, over AF_XDP' },
] as const;
const OLDEST = 5.02;

/** Options of the kernel, and what does not work without. */
const OPTIONS = [
  { option: 'TUN', use: 'type tap' },
  { option: 'PACKET', use: 'type afpacket' },
  { option: 'XDP_SOCKETS', use: 'type afxdp' },
  { option: 'BPF_SYSCALL', use: 'type afxdp' },
] as const;

/** Bit numbers of linux/capability.h, and what takes each. */
const CAPABILITIES = [
  { bit: 12, name: 'CAP_NET_ADMIN', use: 'every kind of port' },
  { bit: 13, name: 'CAP_NET_RAW', use: 'types afpacket and afxdp' },
  { bit: 39, name: 'CAP_BPF', use: 'type afxdp' },
  { bit: 21, name: 'CAP_SYS_ADMIN', use: 'devices in other network namespaces (netns=...)' },
] as const;
const IPC_LOCK = 14;
const SYS_ADMIN = 21;
const BPF = 39;

/** The default arena of a datapath: what AF_XDP locks into memory, in bytes. */
const ARENA = 25 << 20;

const check = (rest: Omit<Check, 'group'>): Check => ({ group: 'machine', ...rest });

export function machineChecks(): Check[] {
  const capabilities = readCapabilities();
  return [
    check({ name: 'node', result: 'ok', detail: process.version }),
    kernelCheck(),
    ...optionChecks(),
    ...CAPABILITIES.map(({ bit, name, use }): Check => {
      const has = (n: number): boolean => ((capabilities >> BigInt(n)) & 1n) === 1n;
      if (has(bit) || (bit === BPF && has(SYS_ADMIN)))
        return check({ name, result: 'ok', detail: `for ${use}` });
      return check({
        name,
        result: 'fail',
        detail: `missing, and needed for ${use}`,
        advice: `run as root, or give the process ${name}`,
      });
    }),
    lockCheck(((capabilities >> BigInt(IPC_LOCK)) & 1n) === 1n),
    tunCheck(),
  ];
}

/** Major and minor as a number that compares: 6.18 is 6.18, 6.2 is 6.02. */
function comparable(version: string): number {
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  return major + minor / 100;
}

function kernelCheck(): Check {
  const version = release();
  const now = comparable(version);
  const lacks = KERNELS.filter(({ version: since }) => comparable(since) > now);
  const detail = `Linux ${version}`;
  if (lacks.length === 0) return check({ name: 'kernel', result: 'ok', detail });
  return check({
    name: 'kernel',
    result: now < OLDEST ? 'fail' : 'warn',
    detail: `${detail} lacks ${lacks.map(({ version: since, brings }) => `${brings} (${since})`).join(', ')}`,
    advice: 'use a newer kernel where that is needed',
  });
}

function optionChecks(): Check[] {
  const config = kernelConfig();
  if (config === undefined) {
    return [
      check({
        name: 'kernel configuration',
        result: 'note',
        detail: 'not to be found (/proc/config.gz, /boot): the trials below show what works',
      }),
    ];
  }
  return OPTIONS.map(({ option, use }): Check => {
    const value = new RegExp(`^CONFIG_${option}=([ym])$`, 'm').exec(config)?.[1];
    const name = `CONFIG_${option}`;
    if (value === 'y') return check({ name, result: 'ok', detail: 'built in' });
    if (value === 'm') return check({ name, result: 'ok', detail: 'a module' });
    const advice = 'use a kernel that has it';
    return check({ name, result: 'fail', detail: `missing, and needed for ${use}`, advice });
  });
}

function kernelConfig(): string | undefined {
  try {
    return gunzipSync(readFileSync('/proc/config.gz')).toString('latin1');
  } catch {
    try {
      return readFileSync(`/boot/config-${release()}`, 'latin1');
    } catch {
      return undefined;
    }
  }
}

function readCapabilities(): bigint {
  const mask = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1];
  return BigInt(`0x${mask ?? '0'}`);
}

function lockCheck(unlimited: boolean): Check {
  const name = 'locked memory';
  if (unlimited) return check({ name, result: 'ok', detail: 'unlimited (CAP_IPC_LOCK)' });
  const soft = /^Max locked memory +(\S+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1] ?? '0';
  if (soft === 'unlimited' || Number(soft) >= ARENA) return check({ name, result: 'ok', detail: soft });
  return check({
    name,
    result: 'fail',
    detail: `${Number(soft) / 1024} KiB, and type afxdp locks ${ARENA >> 20} MiB for a datapath`,
    advice: 'raise it ("ulimit -l unlimited", LimitMEMLOCK=infinity in a systemd unit), or give CAP_IPC_LOCK',
  });
}

/** Device number of /dev/net/tun (Linux, admin-guide/devices.txt): character device 10, 200. */
const TUN = (10 << 8) | 200;
const GET_TUN = 'run "modprobe tun", or give that device to the container';

function tunCheck(): Check {
  const name = '/dev/net/tun';
  const failed = (detail: string, advice: string): Check => check({ name, result: 'fail', detail, advice });
  try {
    // Opening alone makes no device.
    const fd = openSync(name, 'r+');
    const stats = fstatSync(fd);
    closeSync(fd);
    if (stats.isCharacterDevice() && stats.rdev === TUN) {
      return check({ name, result: 'ok', detail: 'can be opened' });
    }
    return failed('is another file, not the character device 10, 200', `remove it, and ${GET_TUN}`);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'EACCES' || code === 'EPERM') {
      return failed(
        'must not be opened by this process',
        'run as root, give the user access to it, or give that device to the container',
      );
    }
    if (code === 'ENOENT') return failed('is missing', GET_TUN);
    return failed(`cannot be opened (${String(code ?? error)})`, GET_TUN);
  }
}
