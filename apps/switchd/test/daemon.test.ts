/** switchd as a process: starting, being asked, stopping, and refusing without leaving anything behind. */

import { spawn, spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '@etherloom/testkit';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DaemonBench, SWITCHD } from './daemon-bench.js';

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 50));

let bench: DaemonBench;
beforeEach(() => {
  bench = new DaemonBench();
});
afterEach(() => bench.close());

const DUMMY = ['--datapath', 'dummy@br0', '--port', 'p1,type=dummy', '--port', 'p2,type=dummy,port_no=7'];

/** Writes a config file and returns its path. */
function config(text: string): string {
  const file = join(bench.root, 'switch.yaml');
  writeFileSync(file, text);
  return file;
}

describe('a running switchd', () => {
  it('has its files in a directory for its user alone, answers, and is gone after SIGTERM', async () => {
    const daemon = await bench.running(...DUMMY);
    const { pid } = daemon.child;
    expect(readdirSync(bench.runDir).sort()).toEqual([`switchd.${pid}.ctl`, 'switchd.log', 'switchd.pid']);
    expect(statSync(bench.runDir).mode & 0o777).toBe(0o700);
    expect(statSync(join(bench.runDir, `switchd.${pid}.ctl`)).mode & 0o077).toBe(0);
    const { stdout } = await bench.etherloom('show');
    expect(stdout).toContain('dummy@br0:\n');
    expect(stdout).toContain('  port 1: p1 (dummy)\n  port 7: p2 (dummy)\n');
    expect(await daemon.stop()).toMatchObject({ code: 0, stderr: '' });
    expect(readdirSync(bench.runDir)).toEqual(['switchd.log']);
  });

  it('takes SIGINT and the command exit as well', async () => {
    const daemon = await bench.running(...DUMMY);
    expect((await daemon.stop('SIGINT')).code).toBe(0);
    const another = await bench.running(...DUMMY);
    expect(await bench.etherloom('exit')).toEqual({ code: 0, stdout: '', stderr: '' });
    // When the command returns, the directory is free for the next daemon.
    await bench.running('--no-config');
    expect((await another.ended).code).toBe(0);
  });

  it('runs on when nobody can read what it says', async () => {
    const full = openSync('/dev/full', 'w');
    const argv = [SWITCHD, '--run-dir', bench.runDir, '--no-config', '--log-stderr'];
    const child = spawn(process.execPath, argv, { stdio: ['ignore', full, full] });
    closeSync(full);
    const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
    try {
      while ((await bench.etherloom('dump-dps')).code !== 0) await pause();
      expect(await bench.etherloom('exit')).toMatchObject({ code: 0 });
      expect(await ended).toBe(0);
    } finally {
      child.kill('SIGKILL');
    }
  });

  it('has learning switches on datapaths that are made over the control socket', async () => {
    await bench.running('--no-config');
    expect((await bench.etherloom('dump-dps', '--json')).stdout).toBe('{\n  "datapaths": []\n}\n');
    expect(await bench.etherloom('add-dp', 'dummy@br1', 'p1,type=dummy')).toMatchObject({
      code: 0,
      stderr: '',
    });
    expect(await bench.etherloom('add-if', 'br1', 'p2,type=dummy')).toMatchObject({ code: 0 });
    expect((await bench.etherloom('fdb')).stdout).toBe(' port  VLAN  MAC                Age\n');
    expect(JSON.parse((await bench.etherloom('fdb', 'br1', '--json')).stdout)).toEqual({
      datapath: 'dummy@br1',
      entries: [],
    });
    expect(await bench.etherloom('del-dp', 'br1')).toMatchObject({ code: 0 });
    expect((await bench.etherloom('show')).stdout).toBe('');
    // A port that does not work leaves no datapath behind.
    expect(await bench.etherloom('add-dp', 'dummy@br1', 'p1,type=dummy', 'p2,type=nosuch')).toMatchObject({
      code: 2,
      stderr:
        'etherloom: unknown netdev type "nosuch"; registered types: afpacket, afxdp, dummy, system, tap\n',
    });
    expect((await bench.etherloom('dump-dps')).stdout).toBe('');
    // Its name and its devices are free again.
    expect(await bench.etherloom('add-dp', 'dummy@br1', 'p1,type=dummy')).toMatchObject({
      code: 0,
      stderr: '',
    });
  });

  it('says in one sentence what is wrong with a command', async () => {
    await bench.running(...DUMMY);
    const wrong = async (...argv: string[]) => {
      const { code, stdout, stderr } = await bench.etherloom(...argv);
      expect(stdout).toBe('');
      expect(stderr).toMatch(/^etherloom: [^\n]+\n$/);
      return `${code} ${stderr.slice('etherloom: '.length, -1)}`;
    };
    expect(await wrong('add-flow', 'in_prt(1)', '2')).toMatch(/^2 the flow "in_prt\(1\)" cannot be read: /);
    expect(await wrong('del-flow', 'in_port(1),eth(),eth_type(0x1234)')).toMatch(
      /^2 no flow has exactly the key /,
    );
    expect(await wrong('add-if', 'br0', 'p1,type=dummy')).toMatch(/^2 .*p1/);
    expect(await wrong('show', 'br9')).toBe('2 no datapath is called "br9"; there are dummy@br0');
    expect(await wrong('shw')).toMatch(/^1 there is no command "shw"; the commands are show, fdb, /);
    expect(await wrong('add-flow', 'x')).toBe(
      '1 "add-flow" command requires at least 2 arguments: etherloom add-flow [DATAPATH] FLOW ACTIONS',
    );
    expect(await wrong('show', '--clear')).toBe(
      '1 "show" has no option --clear; "etherloom help show" lists its options',
    );
    expect(await wrong('show', '--bad')).toBe(
      '1 Unknown option \'--bad\'; "etherloom --help" lists the options',
    );
  });

  it('refuses a second one in its directory, and goes on', async () => {
    const daemon = await bench.running(...DUMMY);
    const second = await bench.start('--no-config').ended;
    expect(second.code).toBe(1);
    expect(second.stderr).toBe(
      `switchd: switchd runs in ${bench.runDir} already (process ${daemon.child.pid}); stop it with "etherloom exit --run-dir ${bench.runDir}" or choose another --run-dir\n`,
    );
    expect((await bench.etherloom('dump-dps')).stdout).toBe('dummy@br0\n');
  });

  it('cleans up after one that was killed', async () => {
    const killed = await bench.running(...DUMMY);
    await killed.stop('SIGKILL');
    expect(readdirSync(bench.runDir)).toHaveLength(3);
    expect(await bench.etherloom('show')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('no switchd listens at'),
    });
    const next = await bench.running(...DUMMY);
    expect(readdirSync(bench.runDir).sort()).toEqual([
      `switchd.${next.child.pid}.ctl`,
      'switchd.log',
      'switchd.pid',
    ]);
  });
});

describe('a switchd that cannot start', () => {
  const ports = (...lines: string[]): string =>
    `datapaths:\n  - name: br0\n    type: dummy\n    ports:\n${lines.map((line) => `      - ${line}\n`).join('')}`;

  it.each([
    [
      'a setting with a bad value',
      ports('{ name: p1, type: dummy, number: none }'),
      /line 5: "datapaths\[0\]\.ports\[0\]\.number" is "none", but should be a number$/,
    ],
    [
      'a name used twice',
      ports('{ name: p1, type: dummy }', '{ name: p1, type: dummy }'),
      /line 6: .*"p1" is taken by a port of datapath "br0" already/,
    ],
    [
      'a port that cannot be opened',
      ports('{ name: p1, type: dummy }', '{ name: p2, type: dummy, options: { mtu: 3 } }'),
      /datapath dummy@br0 cannot be set up: .*mtu/,
    ],
    [
      'a port of unknown type',
      ports('{ name: p1, type: nosuch }'),
      /datapath dummy@br0 cannot be set up: unknown netdev type "nosuch"/,
    ],
    [
      'a datapath of unknown type',
      'datapaths: [{ name: br0, type: nosuch }]',
      /unknown datapath type "nosuch"/,
    ],
    ['a driver that is not there', 'drivers: [nosuch-driver]', /driver "nosuch-driver" cannot be loaded/],
  ])('because of %s says so in one sentence and leaves nothing', async (_what, text, sentence) => {
    const { code, stdout, stderr } = await bench.start('--config', config(text)).ended;
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^switchd: [^\n]+\n$/);
    expect(stderr.trimEnd()).toMatch(sentence);
    expect(existsSync(join(bench.root, 'run'))).toBe(false);
  });

  it('because of its run directory says so too', async () => {
    const refused = async (...argv: string[]): Promise<string> => {
      const { code, stderr } = await bench.start('--no-config', ...argv).ended;
      expect(stderr).toMatch(/^switchd: [^\n]+\n$/);
      return `${code} ${stderr}`;
    };
    expect(await refused('--run-dir', join(bench.root, 'x'.repeat(120)))).toMatch(
      /^1 .*too long for the path of a socket/,
    );
    const file = config('');
    expect(await refused('--run-dir', join(file, 'run'))).toMatch(/^1 .*cannot be made \(ENOTDIR\)/);
    // Nothing can be made in there, and the system says so as if it were not there itself.
    expect(await refused('--run-dir', '/proc/etherloom')).toMatch(/^1 .*cannot be made \(ENOENT\)/);
    mkdirSync(join(bench.runDir, 'switchd.log'), { recursive: true });
    expect(await refused()).toMatch(/^1 .*the log .*switchd\.log cannot be written/);
    expect(readdirSync(bench.runDir)).toEqual(['switchd.log']);
  });

  it('leaves a directory alone that was there before', async () => {
    mkdirSync(bench.runDir, { recursive: true });
    writeFileSync(join(bench.runDir, 'mine'), '');
    expect((await bench.start('--datapath', 'br0@', '--port', 'x,type=none').ended).code).toBe(1);
    expect(readdirSync(bench.runDir)).toEqual(['mine']);
  });
});

describe('etherloom as a program', () => {
  const program = fileURLToPath(new URL('../../../packages/cli/bin/etherloom.js', import.meta.url));

  it('watches a running switchd until it is interrupted', async () => {
    await bench.running(...DUMMY);
    const child = spawn(process.execPath, [program, '--run-dir', bench.runDir, 'monitor', '--json']);
    let out = '';
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString();
    });
    const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
    // Until it watches, nobody can tell when that is.
    for (let port = 10; out === ''; port++) {
      await bench.etherloom('add-if', 'br0', `p${port},type=dummy`);
      await pause();
    }
    child.kill('SIGINT');
    expect(await ended).toBe(0);
    expect(JSON.parse(out.split('\n')[0]!)).toMatchObject({
      event: 'port-added',
      datapath: 'dummy@br0',
      port: { type: 'dummy' },
    });
  });

  it('has tables on a terminal, in colours unless NO_COLOR is set, and none in a pipe', async (context) => {
    if (spawnSync('script', ['--version']).status !== 0)
      context.skip('needs script: install it (Debian package bsdutils)');
    await bench.running(...DUMMY);
    const command = `${process.execPath} ${program} --run-dir ${bench.runDir} show`;
    const onTerminal = (env: Record<string, string>): Promise<string> =>
      run('script', ['-qec', command, '/dev/null'], { env: { NO_COLOR: '', ...env } });
    const esc = String.fromCharCode(27);
    expect(await onTerminal({})).toContain(`${esc}[1mdummy@br0`);
    const plain = await onTerminal({ NO_COLOR: '1' });
    expect(plain).toContain('│');
    expect(plain).not.toContain(esc);
    expect(await run('sh', ['-c', `${command} | cat`])).toMatch(/^dummy@br0:\n {2}lookups: /);
    expect(await run('sh', ['-c', `${command} | head -1`])).toBe('dummy@br0:\n');
  });
});

describe('etherloom without a daemon', () => {
  it('says how to start one', async () => {
    expect(await bench.etherloom('show')).toEqual({
      code: 1,
      stdout: '',
      stderr: `etherloom: no switchd is running in ${bench.runDir} (there is no switchd.pid); start one with "switchd --datapath br0 --port tap0,type=tap", or name its directory with --run-dir\n`,
    });
  });

  it('explains itself', async () => {
    const general = await bench.etherloom('--help');
    expect(general).toMatchObject({ code: 0, stderr: '' });
    for (const command of ['show', 'fdb', 'dump-flows', 'add-flow', 'del-if', 'add-dp', 'exit']) {
      expect(general.stdout).toContain(`\n  ${command} `);
      expect((await bench.etherloom(command, '--help')).stdout).toMatch(
        new RegExp(
          `^etherloom ${command}: .*\\n\\nUsage: etherloom ${command} .*Examples:\\n  etherloom ${command}`,
          's',
        ),
      );
    }
    expect(await bench.etherloom()).toMatchObject({ code: 1, stdout: general.stdout });
  });
});
