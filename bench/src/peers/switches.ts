/** Switches to compare with over devices of the kernel: each is a folder of bench/peers, and the script that starts it. */

import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Contestant } from '../io/contestant.js';

const OVS = '/usr/sbin/ovs-vswitchd';

const present = (): undefined => undefined;

/** Runs `script` of bench/peers; `args` stand before the ports. */
function starter(script: string, ...args: readonly string[]): Contestant['start'] {
  const path = fileURLToPath(new URL(`../../peers/${script}`, import.meta.url));
  return async (home, ports, dir, core) => {
    await home.run(path, [dir, String(core), ...args, ...ports], { timeout: 60_000 });
  };
}

function missingOvs(): string | undefined {
  const install = (): boolean => {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    const args = ['install', '-y', '--no-install-recommends', 'openvswitch-switch'];
    return spawnSync('apt-get', args, { stdio: 'ignore', env }).status === 0 && existsSync(OVS);
  };
  if (existsSync(OVS) || install()) return undefined;
  if (spawnSync('apt-get', ['update'], { stdio: 'ignore' }).status === 0 && install()) return undefined;
  return 'apt-get could not install openvswitch-switch';
}

export const cAfxdp: Contestant = {
  name: 'C AF_XDP',
  kind: 'veth',
  wantsChecksums: true,
  takesFrames: true,
  missing: present,
  start: starter('start-c.sh', 'c-afxdp'),
};

export const cTap: Contestant = {
  name: 'C TAP',
  kind: 'tap',
  takesFrames: true,
  missing: present,
  start: starter('start-c.sh', 'c-tap'),
};

export const ovsAfxdp: Contestant = {
  name: 'OVS AF_XDP',
  kind: 'veth',
  wantsChecksums: true,
  takesFrames: true,
  missing: missingOvs,
  start: starter('ovs-userspace/start.sh', 'afxdp'),
};

export const ovsTap: Contestant = {
  name: 'OVS TAP',
  kind: 'tap',
  takesFrames: true,
  missing: missingOvs,
  start: starter('ovs-userspace/start.sh', 'tap'),
};

/** Its ports are veth pairs, and XDP frames reach it only where the driver's own polling is on. */
export const linuxBridge: Contestant = {
  name: 'Linux bridge',
  kind: 'veth',
  takesFrames: false,
  missing: present,
  start: starter('linux-bridge/start.sh'),
};
