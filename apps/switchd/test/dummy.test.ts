/** `switchd --dummy`: the names that Open vSwitch's dummies have, packets by hand, and a clock by hand. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UnixctlClient } from '@etherloom/cli';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { DaemonBench } from './daemon-bench.js';

const CONFIG = {
  datapaths: [
    {
      name: 'ovs-dummy',
      type: 'dummy',
      client: 'none',
      ports: [
        { name: 'p1', type: 'dummy', number: 1 },
        { name: 'p2', type: 'dummy', number: 2, options: { n_rxq: 2 } },
        { name: 'br0', type: 'internal', number: 100 },
      ],
    },
  ],
};
const PING =
  'in_port(1),eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a),eth_type(0x0800),ipv4(src=10.0.0.2,dst=10.0.0.1,proto=1,tos=0,ttl=64,frag=no),icmp(type=8,code=0)';
const HEX = 'ffffffffffff0011223344556677';

let bench: DaemonBench;
let client: UnixctlClient;

beforeEach(async () => {
  bench = new DaemonBench();
  const file = join(bench.root, 'switch.json');
  writeFileSync(file, JSON.stringify(CONFIG));
  const { child } = await bench.running('--dummy', '--config', file);
  client = await UnixctlClient.connect(join(bench.runDir, `switchd.${child.pid}.ctl`));
});
afterEach(async () => {
  client.close();
  await bench.close();
});

const ask = async (method: string, ...params: string[]): Promise<string> =>
  String(await client.transact(method, params));

describe('switchd --dummy', () => {
  it('calls internal ports dummy-internal', async () => {
    expect(await ask('dpctl/show')).toBe(
      'dummy@ovs-dummy:\n' +
        '  lookups: hit:0 missed:0 lost:0\n' +
        '  flows: 0\n' +
        '  port 0: ovs-dummy (dummy-internal)\n' +
        '  port 1: p1 (dummy)\n' +
        '  port 2: p2 (dummy: n_rxq=2)\n' +
        '  port 100: br0 (dummy-internal)\n',
    );
    await ask('dpctl/add-if', 'dummy@ovs-dummy', 'i1,type=internal');
    await ask('dpctl/set-if', 'dummy@ovs-dummy', 'i1,type=dummy-internal');
    await expect(ask('dpctl/set-if', 'dummy@ovs-dummy', 'i1,type=internal')).rejects.toThrow(
      "ovs-vswitchd: i1: can't change type from dummy-internal to internal\n",
    );
  });

  it('takes packets by hand and shows what became of them before the command returns', async () => {
    await ask('dpctl/add-flow', 'in_port(1),eth(),eth_type(0x0800),ipv4(frag=no)', '2,100');
    await ask('netdev-dummy/receive', 'p1', PING, '--len', '120', HEX, PING);
    // Without a client, what no flow takes is lost.
    expect(await ask('dpctl/show')).toContain('lookups: hit:2 missed:1 lost:1\n');
    const [long = '', short = ''] = (await ask('netdev-dummy/transmitted', 'p2')).split('\n');
    expect([long.length, short.length]).toEqual([240, 212]);
    expect(await ask('netdev-dummy/transmitted', 'p2')).toBe('');
    expect((await ask('netdev-dummy/transmitted', 'br0')).split('\n')[1]).toBe(short);
    await ask('netdev-dummy/receive', 'p2', '--qid', '1', HEX);
    expect(await ask('dpctl/show')).toContain('missed:2 lost:2\n');
  });

  it.each([
    [['netdev-dummy/receive', 'nosuch', HEX], 'no such dummy netdev\n'],
    [['netdev-dummy/receive', 'p1', 'ff', HEX], 'syntax error at ff\n'],
    [
      ['netdev-dummy/receive', 'p1', 'in_port(1),eth(src=02:00:00:00:00:01/ff:00:00:00:00:00)'],
      'syntax error at eth(',
    ],
    [['netdev-dummy/receive', 'p1', '--qid', '1', HEX], 'bad rx queue id.\n'],
    [['netdev-dummy/receive', 'p1', PING, '--len', '59'], 'too small packet len\n'],
    [['netdev-dummy/set-admin-state', 'p1', 'sideways'], 'Invalid Admin State\n'],
    [['netdev-dummy/set-admin-state', 'nosuch', 'up'], 'Unknown Dummy Interface\n'],
    [['time/warp', '-5'], 'invalid MSECS\n'],
    [['time/warp', '1000000000', '1'], 'more than 100000 steps; give longer ones\n'],
  ])('refuses %j', async ([method = '', ...params], message) => {
    await expect(ask(method, ...params)).rejects.toThrow(message);
    expect(await ask('dpctl/show')).toContain('missed:0');
  });

  it('numbers ports by their names, where such a number is free', async () => {
    await ask(
      'dpctl/add-dp',
      'dummy@d1',
      'a7,type=dummy',
      'br5,type=dummy',
      'b7x,type=dummy',
      'c,type=dummy',
    );
    expect(await ask('dpctl/show', 'dummy@d1')).toContain(
      '  port 1: b7x (dummy)\n  port 2: c (dummy)\n  port 7: a7 (dummy)\n  port 105: br5 (dummy)\n',
    );
  });

  it('gives a port another number, and all else stays', async () => {
    await ask('netdev-dummy/receive', 'p2', '--qid', '1', HEX);
    expect(await ask('dpif-dummy/change-port-number', 'ovs-dummy', 'p2', '9')).toBe('');
    expect(await ask('dpctl/show', '-s', 'dummy@ovs-dummy')).toContain(
      '  port 9: p2 (dummy: n_rxq=2)\n    RX packets:1 ',
    );
    await ask('dpctl/add-flow', 'in_port(9),eth(),eth_type(0x6677)', '1');
    await ask('netdev-dummy/receive', 'p2', 'ffffffffffff0011223344556677');
    expect(await ask('netdev-dummy/transmitted', 'p1')).not.toBe('');
  });

  it.each([
    ['nosuch', 'p1', '7', 'unknown datapath or not a dummy\n'],
    ['ovs-dummy', 'nosuch', '7', 'unknown port\n'],
    ['ovs-dummy', 'p1', 'x', 'bad port number\n'],
    ['ovs-dummy', 'p1', '0', 'bad port number\n'],
    ['ovs-dummy', 'p1', '2', 'port number already in use\n'],
  ])('gives no other number to %s %s %s', async (datapath, port, number, message) => {
    await expect(ask('dpif-dummy/change-port-number', datapath, port, number)).rejects.toThrow(message);
    expect(await ask('dpctl/show')).toContain('  port 1: p1 (dummy)\n');
  });

  it('takes the packets in front of one that it refuses', async () => {
    await expect(ask('netdev-dummy/receive', 'p1', HEX, 'ff')).rejects.toThrow('syntax error at ff\n');
    expect(await ask('dpctl/show')).toContain('missed:1 lost:1\n');
  });

  it('stops and warps the clock of flow statistics', async () => {
    await ask('time/stop');
    await ask('dpctl/add-flow', 'in_port(1),eth(),eth_type(0x0800),ipv4(frag=no)', 'drop');
    await ask('netdev-dummy/receive', 'p1', PING);
    expect(await ask('dpctl/dump-flows')).toContain('used:0.000s');
    expect(await ask('time/warp', '1500')).toBe('warped\n');
    expect(await ask('time/warp', '60000', '1000')).toBe('warped\n');
    expect(await ask('dpctl/dump-flows')).toContain('used:61.500s');
  });

  it('takes ports down and up', async () => {
    expect(await ask('netdev-dummy/set-admin-state', 'down')).toBe('OK\n');
    await ask('netdev-dummy/receive', 'p1', HEX);
    expect(await ask('dpctl/show')).toContain('missed:0');
    await ask('netdev-dummy/set-admin-state', 'p1', 'up');
    await ask('netdev-dummy/receive', 'p1', HEX);
    expect(await ask('dpctl/show')).toContain('missed:1');
  });

  it('has no client on datapaths made over the control socket either', async () => {
    await ask('dpctl/add-dp', 'dummy@d1', 'x1,type=dummy', 'x2,type=dummy');
    await ask('netdev-dummy/receive', 'x1', HEX);
    expect(await ask('netdev-dummy/transmitted', 'x2')).toBe('');
    expect(await ask('dpctl/show', 'dummy@d1')).toContain('missed:1 lost:1');
    await expect(ask('fdb/show', 'd1')).rejects.toThrow('no such bridge\n');
    await ask('dpctl/del-dp', 'dummy@d1');
    expect(await ask('dpctl/dump-dps')).toBe('dummy@ovs-dummy\n');
  });
});
