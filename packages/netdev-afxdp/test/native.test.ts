/** The bindings by themselves: clean under sanitizers, and what they say to a process without privileges. */

import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Netns, requirePrivileges, run } from '@etherloom/testkit';
import { expect, it, type TestContext } from 'vitest';
import { missing, withVeths } from './harness.js';

const PACKAGE = fileURLToPath(new URL('..', import.meta.url));
const SCRIPT = fileURLToPath(new URL('../../../scripts/build-native.mjs', import.meta.url));
const INDEX = JSON.stringify(new URL('../dist/index.js', import.meta.url).href);
const CORE = JSON.stringify(new URL('../../core/dist/index.js', import.meta.url).href);
const reason = await missing('afxdp');

const onVeths = (pairs: number, body: (netns: Netns) => Promise<void>) => async (context: TestContext) => {
  if (reason !== undefined) context.skip(reason);
  await withVeths(pairs, body);
};

it('the bindings run clean under AddressSanitizer and UndefinedBehaviorSanitizer', async (context) => {
  requirePrivileges(context, 'cc');
  if (reason !== undefined) context.skip(reason);
  const libasan = (await run('cc', ['-print-file-name=libasan.so'])).trim();
  if (!libasan.startsWith('/')) context.skip('needs libasan: install it (Debian package libgcc-12-dev)');
  const folder = mkdtempSync(join(tmpdir(), 'etl-native-'));
  try {
    mkdirSync(join(folder, 'native'));
    writeFileSync(join(folder, 'package.json'), '{}');
    symlinkSync(join(PACKAGE, 'node_modules'), join(folder, 'node_modules'));
    const sources = readdirSync(join(PACKAGE, 'native')).filter((name) => /\.[ch]$/.test(name));
    for (const name of sources) copyFileSync(join(PACKAGE, 'native', name), join(folder, 'native', name));
    await run(process.execPath, [SCRIPT], { cwd: folder, env: { ETHERLOOM_SANITIZE: '1' }, timeout: 60_000 });
    await withVeths(2, async (netns) => {
      const child = fileURLToPath(new URL('sanitize-child.mjs', import.meta.url));
      // Node itself leaks at exit, by design.
      const env = { LD_PRELOAD: libasan, ASAN_OPTIONS: 'detect_leaks=0', NODE_OPTIONS: '' };
      for (const pair of ['v0', 'v1']) await netns.ip('link', 'set', pair, 'up');
      expect(
        await run(process.execPath, [child, join(folder, 'native'), netns.path, '0'], {
          env,
          timeout: 60_000,
        }),
      ).toBe('done\n');
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}, 180_000);

/** A module that opens device v0 and its queue in `netns`, and prints the error of whichever fails. */
const opener = (netns: Netns, before: string): string => `
  import { AfxdpProvider, AfpacketProvider } from ${INDEX};
  import { DROP_REASON_COUNT, FramePool, PacketArena } from ${CORE};
  const provider = new AfxdpProvider();
  ${before}
  try {
    const netdev = await provider.open('v0', { netns: ${JSON.stringify(netns.path)} });
    const pool = new FramePool(PacketArena.create());
    provider.openQueue(netdev.queueDescriptor(0), { pool, drops: new Float64Array(DROP_REASON_COUNT) });
    console.log('open');
  } catch (error) {
    console.log(error.code, error.message);
  }`;

const node = (script: string): string[] => [process.execPath, '--input-type=module', '-e', script];

it(
  'without privileges, and without locked memory, the error says what is missing',
  onVeths(1, async (netns) => {
    const env = { NODE_OPTIONS: '' };
    // A process that gave up its privileges cannot have them back; the binding is loaded before.
    const drop = `await provider.open('lo', {}).catch(() => 0);
      process.setgroups([]); process.setgid(65534); process.setuid(65534);`;
    const [command = '', ...args] = node(opener(netns, drop));
    expect(await run(command, args, { env })).toMatch(
      /^EPERM entering network namespace .* CAP_SYS_ADMIN\n$/,
    );

    const lacking = (...capabilities: string[]): string[] => [
      `--bounding-set=${capabilities.map((name) => `-${name}`).join(',')}`,
      ...node(opener(netns, '')),
    ];
    expect(await run('setpriv', lacking('net_admin', 'bpf'), { env })).toMatch(
      /^EPERM .*"v0".*CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF\n$/,
    );
    const limited = ['sh', '-c', 'ulimit -l 64; exec "$0" "$@"', 'setpriv', ...lacking('ipc_lock')];
    const [shell = '', ...rest] = limited;
    expect(await run(shell, rest, { env })).toMatch(
      /^ENOBUFS the packet arena of \d+ KiB cannot be locked into memory for "v0" \(the limit is 64 KiB\): raise it .*CAP_IPC_LOCK/,
    );
  }),
);

it(
  'type system falls back to a packet socket where AF_XDP cannot be had, and says so',
  onVeths(1, async (netns) => {
    const script = `
      import { SystemProvider } from ${INDEX};
      const provider = new SystemProvider();
      const device = await provider.open('v0', { queues: '1' });
      console.log(device.type, JSON.stringify(await device.getStatus()));
      await provider.open('v0', { mode: 'native' }).catch((error) => console.log(error.code));
      await device.close();`;
    const without = ['--bounding-set=-sys_admin,-bpf', ...node(script)];
    const [first = '', second = ''] = (
      await netns.run('setpriv', without, { env: { NODE_OPTIONS: '' } })
    ).split('\n');
    expect(first).toMatch(
      /^system \{"mode":"packet socket","refused":"afxdp: cannot put an XDP program on .*CAP_BPF"\}$/,
    );
    expect(second).toBe('EPERM');
  }),
);

it(
  'generic mode says what may get lost when the peer is where the process may not go',
  onVeths(1, async (netns) => {
    await withVeths(0, async (host) => {
      await netns.ip('link', 'set', 'p0', 'netns', host.name);
      const script = `
        import { AfxdpProvider } from ${INDEX};
        const device = await new AfxdpProvider().open('v0', { mode: 'generic' });
        console.log((await device.getStatus()).warning);
        await device.close();`;
      const args = ['--bounding-set=-sys_admin', ...node(script)];
      expect(await netns.run('setpriv', args, { env: { NODE_OPTIONS: '' } })).toMatch(
        /^the peer of "v0" is in .* cannot be entered .*run "ethtool -K DEVICE tx-vlan-hw-insert off .*" there, or use type afpacket\n$/,
      );
    });
  }),
);

it(
  'a process that is killed leaves no program, no promiscuous mode and no busy queue behind',
  onVeths(1, async (netns) => {
    const script = `${opener(
      netns,
      `provider.open = ((open) => async (...args) => {
      const netdev = await open.apply(provider, args);
      await netdev.setFlags({ promisc: true });
      return netdev;
    })(provider.open);`,
    )}\nsetInterval(() => 0, 1000);`;
    const child = netns.spawn(process.execPath, ['--input-type=module', '-e', script]);
    const said = await new Promise<string>((resolve) =>
      child.stdout?.once('data', (data) => resolve(String(data))),
    );
    expect(said).toBe('open\n');
    expect(await netns.ip('-d', 'link', 'show', 'v0')).toMatch(/xdp[\s\S]*promiscuity 1/);
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
    await expect.poll(() => netns.ip('-d', 'link', 'show', 'v0')).not.toMatch(/xdp/);
    expect(await netns.ip('-d', 'link', 'show', 'v0')).toMatch(/promiscuity 0/);
    const [command = '', ...args] = node(`${opener(netns, '')}\nprocess.exit(0);`);
    expect(await run(command, args, { env: { NODE_OPTIONS: '' } })).toBe('open\n');
  }),
);
