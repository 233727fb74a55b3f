/** Open vSwitch with DPDK as Debian has it: captures come from memory (net_pcap), packets go to net_null. */

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Contestant, Running } from '../replay/contestant.js';
import { Share, threadNamed } from '../replay/processor-time.js';
import { OUT, type Workload, writeFlows } from '../replay/workload.js';

const PACKAGES = [
  'openvswitch-switch-dpdk',
  'librte-net-pcap23',
  'librte-net-null23',
  'librte-mempool-ring23',
  'librte-vhost23',
];
const DAEMON = '/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk';
const FOLDER = fileURLToPath(new URL('../../peers/ovs-dpdk/', import.meta.url));

/** What `ovs-appctl` says about one interval of a poll-mode thread. */
const DURATION = /Measurement duration:\s+([\d.]+) s/;
const SENT = /Tx packets:\s+(\d+)/;

function run(command: string, ...args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', timeout: 120_000 });
  if (status === 0) return stdout;
  throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? stderr.trim()}`);
}

function missing(): string | undefined {
  const pmds = '/usr/lib/x86_64-linux-gnu/dpdk';
  const there = (): boolean => existsSync(DAEMON) && existsSync(pmds);
  if (process.getuid?.() !== 0) return 'it needs root, for huge pages and devices';
  if (there()) return undefined;
  const install = (): boolean =>
    spawnSync('apt-get', ['install', '-y', '--no-install-recommends', ...PACKAGES], {
      stdio: 'ignore',
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    }).status === 0 && there();
  if (install() || (spawnSync('apt-get', ['update'], { stdio: 'ignore' }).status === 0 && install()))
    return undefined;
  return `apt-get could not install ${PACKAGES[0]}`;
}

async function start(workload: Workload, folder: string, core: number, smc: boolean): Promise<Running> {
  const dir = join(folder, 'run');
  run('mkdir', dir);
  const stop = async (): Promise<void> => {
    spawnSync(join(FOLDER, 'stop.sh'), [dir]);
  };
  try {
    const control = run(
      join(FOLDER, 'start.sh'),
      dir,
      String(core),
      smc ? '1' : '0',
      ...workload.captures,
    ).trim();
    const appctl = (...args: readonly string[]): string => run('ovs-appctl', '-t', control, ...args);
    const ofctl = (...args: readonly string[]): string =>
      run('ovs-ofctl', args[0]!, `unix:${dir}/br0.mgmt`, ...args.slice(1));
    const ports = workload.captures.map((_, i) => `p${i + 1}`);
    const numbers = portNumbers(appctl('dpctl/show'));
    const inPorts = ports.map((port) => numbers.get(port)!);
    const out = numbers.get('out')!;

    // Flows that only send are what the OpenFlow rules say, or the switch would take them back when ports come up; what
    // else they do comes after that. The ports are down while flows are put: a miss would put another flow in their way.
    appctl('upcall/set-flow-limit', '3000000');
    for (const port of ports) {
      ofctl('add-flow', `in_port=${port},actions=output:out`);
      ofctl('mod-port', port, 'down');
    }
    appctl('dpctl/del-flows');
    const file = join(folder, 'flows');
    writeFlows(file, workload.flows, inPorts, out, OUT);
    appctl('dpctl/add-flows', file);
    for (const port of ports) ofctl('mod-port', port, 'up');
    await new Promise((resolve) => setTimeout(resolve, 1000));
    if (workload.flows.some(({ actions }) => actions !== OUT)) {
      writeFlows(file, workload.flows, inPorts, out);
      appctl('dpctl/mod-flows', file);
    }
    const pid = Number(readFileSync(join(dir, 'vswitchd.pid'), 'utf8'));
    const pmd = threadNamed(pid, 'pmd-c');
    process.kill(pid, 'SIGSTOP');
    return {
      // A poll-mode thread never rests: the process is stopped between measurements.
      async measure(ms) {
        process.kill(pid, 'SIGCONT');
        await new Promise((resolve) => setTimeout(resolve, 20));
        const share = new Share(pid, pmd);
        appctl('dpif-netdev/pmd-stats-clear');
        await new Promise((resolve) => setTimeout(resolve, ms));
        const report = appctl('dpif-netdev/pmd-perf-show');
        const busy = share.get();
        process.kill(pid, 'SIGSTOP');
        const [duration, sent] = [DURATION.exec(report), SENT.exec(report)];
        if (duration === null || sent === null || Number(sent[1]) === 0) {
          throw new Error(`Open vSwitch forwarded nothing:\n${report}`);
        }
        return (Number(duration[1]) * 1e9 * busy) / Number(sent[1]);
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Datapath port numbers by name, from what `dpctl/show` prints. */
function portNumbers(text: string): Map<string, number> {
  return new Map([...text.matchAll(/port (\d+): (\S+)/g)].map(([, number, name]) => [name!, Number(number)]));
}

export const ovsDpdk: Contestant = {
  name: 'OVS-DPDK',
  missing,
  start: (workload, folder, core) => start(workload, folder, core, false),
};

/** With the signature match cache, which is off by default. */
export const ovsDpdkSmc: Contestant = {
  name: 'OVS-DPDK, SMC',
  missing,
  start: (workload, folder, core) => start(workload, folder, core, true),
};
