/** `etherloom doctor`: what it says of a machine that has everything, of one that lacks something, and of interfaces. */

import { fileURLToPath } from 'node:url';
import { Netns, requirePrivileges, run } from '@etherloom/testkit';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { missing } from '../../../packages/netdev-afxdp/test/harness.js';
import { DaemonBench } from './daemon-bench.js';

const SWITCHD = fileURLToPath(new URL('../bin/switchd.js', import.meta.url));
const lacking = await missing('afxdp', {}, 'cc');

interface Checked {
  readonly ok: boolean;
  readonly checks: readonly {
    group: string;
    name: string;
    result: string;
    detail: string;
    advice?: string;
  }[];
}

let bench: DaemonBench;
let host: Netns | undefined;
beforeEach(() => {
  bench = new DaemonBench();
  vi.stubEnv('ETHERLOOM_SWITCHD', SWITCHD);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await bench.close();
  await host?.remove();
  host = undefined;
});

it('tries every driver and leaves nothing behind', async (context) => {
  requirePrivileges(context, 'tun', 'netns');
  if (lacking !== undefined) context.skip(lacking);
  const { code, stdout } = await bench.etherloom('doctor', '--json');
  const { ok, checks }: Checked = JSON.parse(stdout);
  expect([code, ok, checks.filter(({ result }) => result === 'fail')]).toEqual([0, true, []]);
  const drivers = checks.filter(({ group }) => group === 'drivers');
  expect(drivers.map(({ name, result }) => `${name}: ${result}`)).toEqual([
    'tap: ok',
    'afpacket: ok',
    'afxdp, generic: ok',
    'afxdp, native: ok',
    'afxdp, zerocopy: note',
  ]);
  expect(await run('ip', ['-o', 'link'])).not.toMatch(/: etl(0|1|tap)[@:]/);
}, 120_000);

it('says what a process without privileges lacks, and what to do', async (context) => {
  requirePrivileges(context, 'root', 'netns');
  const without = ['--bounding-set=-net_admin,-net_raw,-bpf,-sys_admin,-ipc_lock', process.execPath, SWITCHD];
  // It exits with 1, which `run` takes for a failure: the shell makes up for that.
  const script = 'ulimit -l 64; setpriv "$@" --doctor; test $? = 1';
  const { ok, checks }: Checked = JSON.parse(
    await run('sh', ['-c', script, 'sh', ...without], { timeout: 60_000 }),
  );
  expect(ok).toBe(false);
  const failed = new Map(
    checks.filter(({ result }) => result === 'fail').map((check) => [check.name, check]),
  );
  expect([...failed.keys()]).toEqual([
    'CAP_NET_ADMIN',
    'CAP_NET_RAW',
    'CAP_BPF',
    'CAP_SYS_ADMIN',
    'locked memory',
    'trials',
  ]);
  for (const { advice } of failed.values()) expect(advice).toMatch(/root|CAP_IPC_LOCK/);
  // The command that failed is nobody's business.
  expect(failed.get('trials')?.detail).toBe(
    'no driver could be tried: a network namespace cannot be made (unshare: unshare failed: Operation not permitted)',
  );
}, 120_000);

it('says that /dev/net/tun is missing or another file, and that there is no unshare', async (context) => {
  requirePrivileges(context, 'root', 'netns', 'tun');
  const doctored = async (change: string): Promise<Map<string, string>> => {
    const script = `${change}; "$@"; test $? = 1`;
    const said = await run(
      'unshare',
      ['-m', 'sh', '-c', script, 'sh', process.execPath, SWITCHD, '--doctor'],
      {
        timeout: 60_000,
      },
    );
    const { checks }: Checked = JSON.parse(said);
    const failed = checks.filter(({ result }) => result === 'fail');
    return new Map(failed.map(({ name, detail, advice = '' }) => [name, `${detail} -> ${advice}`]));
  };
  const none = await doctored('mount -t tmpfs none /dev/net');
  expect([...none.keys()]).toEqual(['/dev/net/tun', 'tap']);
  expect(none.get('/dev/net/tun')).toBe(
    'is missing -> run "modprobe tun", or give that device to the container',
  );
  const other = await doctored('mount --bind /dev/null /dev/net/tun');
  expect([...other.keys()]).toEqual(['/dev/net/tun', 'tap']);
  expect(other.get('tap')).toMatch(/^\/dev\/net\/tun is another file .*: remove it and run "modprobe tun"/);
  const without = await doctored('export PATH=/nonexistent');
  expect([...without]).toEqual([
    [
      'trials',
      'no driver could be tried: there is no program "unshare" -> install it (Debian package util-linux)',
    ],
  ]);
}, 120_000);

it('looks at interfaces, as a table', async (context) => {
  requirePrivileges(context, 'root', 'netns');
  host = await Netns.create();
  await host.ip(
    'link',
    'add',
    'veth9',
    'mtu',
    '9000',
    'numrxqueues',
    '2',
    'type',
    'veth',
    'peer',
    'name',
    'far9',
  );
  await host.ip('link', 'add', 'bridge9', 'type', 'bridge');
  await host.ip('link', 'set', 'veth9', 'master', 'bridge9');
  await host.ip('addr', 'add', '10.9.9.9/24', 'dev', 'veth9');
  for (const end of ['veth9', 'far9']) await host.ip('link', 'set', end, 'up');
  const script = '"$@"; test $? = 1';
  const doctor = [process.execPath, SWITCHD, '--doctor', 'veth9', 'bridge9', 'lo', 'none9'];
  const said = await host.run('sh', ['-c', script, 'sh', ...doctor], { timeout: 60_000 });
  const { checks }: Checked = JSON.parse(said);
  const about = (name: string): string[] =>
    checks
      .filter(({ group }) => group === `interface ${name}`)
      .map((check) => `${check.name}: ${check.result}`);
  expect(about('veth9')).toEqual([
    'driver: ok',
    'queues: warn',
    'MTU: warn',
    'link: ok',
    'user: fail',
    'addresses: warn',
  ]);
  expect(about('bridge9')).toContain('VLAN tags: warn');
  expect(about('lo')).toEqual(['kind: fail']);
  expect(about('none9')).toEqual(['exists: fail']);
  const { code, stdout, stderr } = await bench.etherloom('doctor', 'lo');
  expect(code).toBe(1);
  expect(stdout).toMatch(/^machine\n {2}ok {4}node +v\d+/);
  expect(stdout).toMatch(
    /\ninterface lo\n {2}fail {2}kind +not an Ethernet device: .*\n +-> give another\n$/,
  );
  expect(stderr).toMatch(/^etherloom: (one check|\d+ checks) failed\n$/);
}, 120_000);

it('without switchd says where it looked', async () => {
  vi.stubEnv('ETHERLOOM_SWITCHD', '/nonexistent/switchd');
  const { code, stderr } = await bench.etherloom('doctor');
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /^etherloom: the program "\/nonexistent\/switchd" cannot be found.*ETHERLOOM_SWITCHD.*\n$/,
  );
});
