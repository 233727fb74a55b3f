/** What the daemon says of itself: dpif/show, upcall/show, memory/show, and its log by vlog/*. */

import { readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { UnixctlClient } from '@etherloom/cli';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DaemonBench } from './daemon-bench.js';

const PORTS = ['--port', 'p2,type=dummy', '--port', 'p10,type=dummy,port_no=10,mtu=1400'];

let bench: DaemonBench;
let client: UnixctlClient;

beforeEach(async () => {
  bench = new DaemonBench();
  const { child } = await bench.running('--dummy', '--datapath', 'dummy@br0', ...PORTS);
  client = await UnixctlClient.connect(join(bench.runDir, `switchd.${child.pid}.ctl`));
});
afterEach(async () => {
  client.close();
  await bench.close();
});

const ask = async (method: string, ...params: string[]): Promise<string> =>
  String(await client.transact(method, params));

/** A frame between two stations goes through the learning switch, there and back. */
async function converse(): Promise<void> {
  await ask('netdev-dummy/receive', 'p2', '02000000000b02000000000a88b5');
  await ask('netdev-dummy/receive', 'p10', '02000000000a02000000000b88b5');
  // The switch answers upcalls a few turns after they came in.
  for (let attempt = 0; attempt < 100; attempt++) {
    if ((await ask('netdev-dummy/transmitted', 'p2')) !== '') return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error('the answer never left');
}

describe('status commands', () => {
  it('show datapaths as bridges', async () => {
    await converse();
    expect(await ask('dpif/show')).toBe(
      'dummy@br0: hit:0 missed:2\n' +
        '  br0:\n' +
        '    br0 65534/0: (dummy-internal)\n' +
        '    p10 10/10: (dummy: mtu=1400)\n' +
        '    p2 2/2: (dummy)\n',
    );
  });

  it('show clients and what takes memory', async () => {
    expect(await ask('memory/show')).toBe('handlers:1 ports:3\n');
    await converse();
    expect(await ask('memory/show')).toMatch(/^flows:[12] handlers:1 macs:2 ports:3\n$/);
    expect(await ask('upcall/show')).toMatch(
      /^dummy@br0:\n {2}flows {9}: \(current ([12])\) \(avg [012]\) \(max \d\) \(limit 200000\)\n {2}dump duration : \d+ms\n {2}ufid enabled : false\n\n {2}0: \(keys \1\)\n$/,
    );
  });
});

describe('what a datapath can do', () => {
  it('is found out without a trace in its flows', async () => {
    const text = await ask('dpif/show-dp-features', 'br0');
    const features = new Map(
      text.split('\n').map((line): [string, string] => [line.split(': ')[0]!, line.split(': ')[1]!]),
    );
    expect(features.get('Masked set action')).toBe('Yes');
    expect(features.get('Sample nesting')).toBe('10');
    expect(features.get('Max VLAN headers')).toBe('2');
    expect(features.get('CT orig tuple for IPv6')).toBe('Yes');
    // Taken in a flow, and then not done.
    expect(features.get('Optimized Balance TCP mode')).toBe('No');
    expect(await ask('dpctl/dump-flows')).toBe('');
    await expect(ask('dpif/show-dp-features', 'br1')).rejects.toThrow('no such bridge\n');
  });
});

describe('counters', () => {
  it('of events have totals and rates, and those that never happened are numbered', async () => {
    await converse();
    const lines = (await ask('coverage/show')).split('\n');
    expect(lines[0]).toMatch(
      /^Event coverage, avg rate over last: 5 seconds, last minute, last hour, {2}hash=[0-9a-f]{8}:$/,
    );
    expect(lines).toContainEqual(
      expect.stringMatching(
        /^datapath_miss {12}[ 0-9]{2}\d\.\d\/sec {5}\d\.\d{3}\/sec {8}\d\.\d{4}\/sec {3}total: 2$/,
      ),
    );
    expect(lines.at(-2)).toMatch(/^\d+ events never hit$/);
    expect(await ask('coverage/read-counter', 'datapath_miss')).toBe('2\n');
    expect(await ask('coverage/read-counter', 'datapath_drop_tx_full')).toBe('0\n');
    await expect(ask('coverage/read-counter', 'nosuch')).rejects.toThrow('No such counter\n');
    // What a datapath counted stays when it goes.
    await ask('dpctl/del-dp', 'dummy@br0');
    expect(await ask('coverage/read-counter', 'datapath_miss')).toBe('2\n');
  });

  it('of the main thread are cleared without touching those of the datapath', async () => {
    await converse();
    const line = async (name: string, ...args: string[]): Promise<string | undefined> =>
      (await ask('dpif-netdev/pmd-stats-show', ...args)).split('\n').find((text) => text.includes(name));
    expect(await line('main')).toBe('main thread:');
    expect(await line('packets received')).toBe('  packets received: 2');
    expect(await line('success upcall', 'br0')).toBe('  miss with success upcall: 2');
    expect(await ask('dpif-netdev/pmd-stats-show', '-pmd', '3')).toBe('');
    expect(await ask('dpif-netdev/pmd-perf-show')).toContain(
      '  Datapath passes:               2  (1.00 passes/pkt)\n',
    );
    await ask('dpif-netdev/pmd-stats-clear');
    expect(await line('packets received')).toBe('  packets received: 0');
    expect(await ask('dpctl/show')).toContain('missed:2');
    await ask('dpctl/add-dp', 'dummy@br1');
    await expect(ask('dpif-netdev/pmd-stats-show')).rejects.toThrow('please specify an existing datapath\n');
  });
});

describe('fdb', () => {
  it('takes static entries, which packets cannot move, and counts what happens', async () => {
    await ask('fdb/add', 'br0', 'p2', '0', '02:00:00:00:00:0A');
    await converse();
    await ask('netdev-dummy/receive', 'p10', '02000000000b02000000000a88b5');
    expect((await ask('fdb/show', 'br0')).split('\n').sort()).toEqual([
      '',
      '    2     0  02:00:00:00:00:0a  static',
      '   10     0  02:00:00:00:00:0b    0',
      ' port  VLAN  MAC                Age',
    ]);
    expect(await ask('fdb/stats-show')).toBe(
      'Statistics for bridge "br0":\n' +
        '  Current/maximum MAC entries in the table: 2/8192\n' +
        '  Current static MAC entries in the table : 1\n' +
        '  Total number of learned MAC entries     : 1\n' +
        '  Total number of expired MAC entries     : 0\n' +
        '  Total number of evicted MAC entries     : 0\n' +
        '  Total number of port moved MAC entries  : 0\n',
    );
    await ask('fdb/flush');
    expect((await ask('fdb/show')).split('\n')).toHaveLength(3);
    await ask('fdb/del', 'br0', '0', '02:00:00:00:00:0a');
    expect((await ask('fdb/show')).split('\n')).toHaveLength(2);
  });

  it.each([
    [['fdb/add', 'br9', 'p10', '0', '02:00:00:00:00:0a'], 'no such bridge'],
    [['fdb/add', 'br0', 'p9', '0', '02:00:00:00:00:0a'], 'no port named p9'],
    [['fdb/add', 'br0', 'p10', '4096', '02:00:00:00:00:0a'], 'bad VLAN 4096'],
    [['fdb/add', 'br0', 'p10', '0', '01:00:00:00:00:0a'], 'bad MAC address 01:00:00:00:00:0a'],
    [['fdb/del', 'br0', '0', '02:00:00:00:00:0a'], 'no entry for 02:00:00:00:00:0a in VLAN 0'],
  ])('refuses %j', async ([method = '', ...params], message) => {
    await expect(ask(method, ...params)).rejects.toThrow(message);
  });
});

describe('vlog', () => {
  const lines = (): string[] =>
    readFileSync(join(bench.runDir, 'switchd.log'), 'utf8').split('\n').slice(0, -1);

  it('lists and sets levels by destination', async () => {
    const row = async (): Promise<string | undefined> => (await ask('vlog/list')).split('\n')[2];
    expect(await row()).toBe('switchd            OFF        OFF       INFO');
    await ask('vlog/set', 'ANY:file:warn');
    expect(await row()).toBe('switchd            OFF        OFF       WARN');
    await ask('vlog/set', 'syslog:err');
    await ask('vlog/set', 'switchd');
    expect(await row()).toBe('switchd            OFF        OFF        DBG');
    const before = lines().length;
    await expect(ask('nosuch')).rejects.toThrow();
    expect(lines().length).toBe(before + 1);
    await ask('vlog/set', 'off');
    await expect(ask('nosuch')).rejects.toThrow();
    expect(lines().length).toBe(before + 1);
    for (const [spec, message] of [
      ['bogus', 'no destination, level, or module "bogus"'],
      ['file:console', 'cannot specify multiple destinations'],
      ['dbg:info', 'cannot specify multiple levels'],
    ]) {
      await expect(ask('vlog/set', 'dbg', spec!)).rejects.toThrow(message);
    }
    // Nothing of a command that is refused takes effect.
    expect(await row()).toBe('switchd            OFF        OFF        OFF');
  });

  it('reopens the file after it was moved away', async () => {
    await ask('vlog/set', 'dbg');
    const file = join(bench.runDir, 'switchd.log');
    renameSync(file, `${file}.1`);
    await ask('vlog/reopen');
    await expect(ask('nosuch')).rejects.toThrow();
    expect(lines()).toEqual([expect.stringContaining('nosuch')]);
  });
});
