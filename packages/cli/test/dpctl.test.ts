/** The dpctl commands on a datapath of dummy ports: Open vSwitch's layouts, its error texts, and our sentences. */

import { ethernet, ipv4, tcp } from '@etherloom/testkit';
import { beforeEach, describe, expect, it } from 'vitest';
import { formatDatapath, parseInterface } from '../src/index.js';
import { DP, FLOW, Rig } from './rig.js';

let rig: Rig;
let dpctl: Rig['dpctl'];
let text: Rig['text'];
let failure: Rig['failure'];
beforeEach(async () => {
  rig = await Rig.create();
  ({ dpctl, text, failure } = rig);
});

describe('datapaths and ports', () => {
  it('are shown in the layout of Open vSwitch', async () => {
    await dpctl('add-if', DP, 'p9,type=dummy,port_no=9,mtu=1400,mac=02:00:00:00:00:09');
    const shown = await dpctl('show', DP);
    expect(shown.text).toBe(
      'dummy@br0:\n' +
        '  lookups: hit:0 missed:0 lost:0\n' +
        '  flows: 0\n' +
        '  port 0: br0 (internal)\n' +
        '  port 1: p1 (dummy)\n' +
        '  port 2: p2 (dummy)\n' +
        '  port 9: p9 (dummy: mac=02:00:00:00:00:09, mtu=1400)\n',
    );
    expect(shown.json).toMatchObject({
      datapaths: [
        { name: DP, flows: 0, ports: [{ number: 0 }, { number: 1 }, { number: 2 }, { name: 'p9' }] },
      ],
    });
    expect(await text('show', '-s')).toContain(
      '    UPCALL packets:? errors:?\n  port 1: p1 (dummy)\n    RX packets:0 errors:',
    );
  });

  it('come and go by name or number, and one bad interface does not stop the others', async () => {
    const { ovs } = await failure(
      'add-if',
      DP,
      'a,type=dummy,port_no=2',
      'b,type=none',
      'c,type=dummy,x=1,x=2',
      'd,type=dummy',
    );
    expect(ovs).toBe(
      'vs: adding a to dummy@br0 failed (Device or resource busy)\n' +
        'vs: b: failed to open network device (Address family not supported by protocol)\n' +
        'vs: duplicate "x" option\n' +
        'vs: c: failed to open network device (Invalid argument)\n',
    );
    expect(await text('show', DP)).toContain('port 3: d (dummy)\n');
    await dpctl('del-if', DP, 'd', '2');
    expect(await text('show', DP)).not.toMatch(/port [23]/);
    // Nothing of the refused ones stayed open.
    for (const name of ['a', 'b', 'c']) expect(rig.dummies.device(name)).toBeUndefined();
  });

  it('are chosen by arguments in front of, and behind, which there may be more', async () => {
    await dpctl('add-flow', FLOW, '2');
    const flow = expect.stringContaining('actions:2\n');
    // Two words of which the first is no datapath mean the only one; selections count from the end, each kind once.
    expect(await text('dump-flows', 'x', 'y')).toEqual(flow);
    expect(await text('dump-flows', 'filter=arp', DP)).toEqual(flow);
    expect(await text('dump-flows', DP, 'filter=arp', 'filter=ip')).toEqual(flow);
    expect(await text('dump-flows', 'pmd=4294967295')).toEqual(flow);
    expect(await text('dump-flows', 'type=ovs,')).toEqual(flow);
    expect(await text('dump-flows', 'type=')).toBe('');
    expect(await text('cache-get-size')).toBe('dummy@br0:\n');
    const named = await text(
      'normalize-actions',
      FLOW.replace('in_port(1)', 'in_port(b)'),
      'b,a',
      'a=1',
      'b=2',
    );
    expect(named).toMatch(/^input flow: in_port\(2\),.*\nno vlan: no mpls: 1,2\n$/);
    expect(await text('add-flows', '-')).toBe('');
  });

  it('take new options by set-if', async () => {
    await dpctl('set-if', DP, 'p1,mtu=1400');
    expect(await text('show', DP)).toContain('port 1: p1 (dummy: mtu=1400)\n');
    await dpctl('set-if', DP, 'p1,mtu=');
    expect(await text('show', DP)).toContain('port 1: p1 (dummy)\n');
  });

  it.each([
    [['add-dp', DP], 'vs: add_dp (File exists)\n', 'datapath dummy@br0 exists already'],
    [['del-dp', 'dummy@no'], 'vs: opening datapath (No such device)\n', 'there is no datapath dummy@no'],
    [
      ['show', 'dummy@no'],
      'vs: opening datapath dummy@no failed (No such device)\n',
      'there is no datapath dummy@no',
    ],
    [
      ['show', 'no@br0'],
      'vs: opening datapath no@br0 failed (Address family not supported by protocol)\n',
      'registered types: dummy',
    ],
    [['add-if', DP, 'p1,type=dummy'], 'vs: adding p1 to dummy@br0 failed (File exists)\n', 'p1'],
    [
      ['add-if', DP, 'x,type=dummy,port_no=abc'],
      'vs: adding x to dummy@br0 failed (Device or resource busy)\n',
      '"port_no=abc" is not a port number',
    ],
    [['del-if', DP, 'nope'], 'vs: no port named nope\n', 'dummy@br0 has no port called "nope"'],
    [
      ['del-if', DP, 'br0'],
      'vs: deleting port br0 from dummy@br0 failed (Invalid argument)\n',
      'port 0 is the local port',
    ],
    [['del-if', DP, '77'], 'vs: deleting port 77 from dummy@br0 failed (No such device)\n', '77'],
    [
      ['set-if', DP, 'p1,type=tap'],
      "vs: p1: can't change type from dummy to tap\n",
      'delete the port and add it again',
    ],
    [
      ['set-if', DP, 'p1,port_no=5'],
      "vs: p1: can't change port number from 1 to 5\n",
      'delete the port and add it again',
    ],
    [
      ['dump-flows', 'br0'],
      'vs: datapath not found (Invalid argument)\n',
      'no datapath is called "br0"; there are dummy@br0',
    ],
    [['show', '--foo'], 'Unrecognized option --foo\n', 'unknown option --foo'],
    [['show', '--', DP], 'Unrecognized option --\n', 'unknown option --'],
    [
      ['del-if', DP, ''],
      'vs: deleting port  from dummy@br0 failed (Invalid argument)\n',
      'port 0 is the local port',
    ],
    [
      ['set-if', DP, 'p1,port_no=-1'],
      "vs: p1: can't change port number from 1 to -1\n",
      'delete the port and add it again',
    ],
    [['set-if', DP, ','], 'vs: , is not a valid network device name\n', '"," names no interface'],
    [
      ['dump-flows', 'type=ovs,foo'],
      'vs: Failed to parse type (foo) (Invalid argument)\n',
      'the unknown type "foo"',
    ],
    [['normalize-actions', FLOW, '2', 'p1=x'], 'vs: p1=x: expected NAME=NUMBER\n', 'write NAME=NUMBER'],
    [
      ['cache-set-size', DP, 'masks-cache', 'x'],
      'vs: size is malformed (Invalid argument)\n',
      '"x" is no size',
    ],
    [
      ['cache-set-size', DP, 'masks-cache', '5'],
      'vs: Setting caches not supported (Operation not supported)\n',
      'the cache "masks-cache" cannot be set',
    ],
    [
      ['offload-stats-show', 'dummy@no'],
      'vs: datapath not found (Invalid argument)\n',
      'no datapath is called "dummy@no"',
    ],
    [
      ['ct-get-nconns'],
      'vs: nconns could not be retrieved (Operation not supported)\n',
      'the datapath has no connection tracking',
    ],
    [
      ['add-flow', 'x'],
      '"dpctl/add-flow" command requires at least 2 arguments\n',
      'add-flow [dp] flow actions',
    ],
    [['dump-dps', 'x'], '"dpctl/dump-dps" command takes at most 0 arguments\n', 'dump-dps'],
  ])('%j fails as in Open vSwitch, and says why in a sentence', async ([name, ...argv], ovs, sentence) => {
    const failed = await failure(String(name), ...argv);
    expect(failed.ovs).toBe(ovs);
    expect(failed.sentence).toContain(sentence);
    expect(failed.sentence).not.toContain('\n');
  });

  it('need a name when there are none or several', async () => {
    await dpctl('add-dp', 'dummy@br1');
    expect(await text('dump-dps')).toBe('dummy@br0\ndummy@br1\n');
    expect((await failure('del-flows')).ovs).toBe(
      'vs: multiple datapaths, specify one\nvs: datapath not found (Invalid argument)\n',
    );
    for (const name of [DP, 'dummy@br1']) await dpctl('del-dp', name);
    expect(await failure('del-flows')).toMatchObject({
      ovs: 'vs: no datapaths exist\nvs: datapath not found (Invalid argument)\n',
      sentence: 'no datapath exists; "add-dp" makes one',
    });
    expect(await text('show')).toBe('');
  });
});

describe('flows', () => {
  it('are added, changed, dumped and deleted', async () => {
    await dpctl('add-flow', FLOW, '2');
    expect(await text('dump-flows', DP)).toBe(
      `flow-dump from the main thread:\nrecirc_id(0),${FLOW}, packets:0, bytes:0, used:never, actions:2\n`,
    );
    const packet = ethernet(
      {},
      ipv4({ src: '10.0.0.1', dst: '10.0.0.2' }, tcp({ src: 1, dst: 2, flags: 0x12 })),
    );
    rig.dummies.device('p1')!.inject(packet);
    for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
    rig.now += 1234;
    const statistics = `packets:1, bytes:${packet.length}, used:1.234s, flags:S.`;
    expect(await text('dump-flows')).toContain(`, ${statistics}, actions:2\n`);
    expect((await dpctl('dump-flows')).json).toEqual({
      flows: [
        {
          match: `recirc_id(0),${FLOW}`,
          packets: 1,
          bytes: packet.length,
          used: 1.234,
          tcpFlags: 0x12,
          actions: '2',
        },
      ],
    });
    expect(await text('mod-flow', '-s', DP, FLOW, 'p2,p1')).toBe(`${statistics}\n`);
    expect(await text('dump-flows', '--names')).toContain('in_port(p1),');
    expect(await text('dump-flows', '--names')).toContain('actions:p2,p1\n');
    expect(await text('dump-flows', '-m')).toMatch(/in_port\(p1\),.*ttl=0\/0.*, dp:ovs, actions:p2,p1\n/);
    await dpctl('mod-flow', '--clear', '--may-create', DP, FLOW, 'drop');
    expect(await text('dump-flows')).toContain('packets:0, bytes:0, used:never, actions:drop\n');
    expect(await text('del-flow', '--statistics', FLOW)).toBe('packets:0, bytes:0, used:never\n');
    expect(await text('dump-flows')).toBe('');
    await dpctl('mod-flow', '--may-create', FLOW, '2');
    await dpctl('del-flows');
    expect(await text('dump-flows')).toBe('');
  });

  it('can be named by what dump-flows -m prints', async () => {
    await dpctl(
      'add-flow',
      'in_port(p1),eth(src=02:00:00:00:00:01/ff:00:00:00:00:00),eth_type(0x1234)',
      'p2',
    );
    const line = (await text('dump-flows', '-m')).split('\n')[1]!;
    await dpctl('del-flow', line.slice(0, line.indexOf(', packets:')));
    expect(await text('dump-flows')).toBe('');
  });

  it.each([
    [['add-flow', FLOW, '2'], 'vs: updating flow table (File exists)\n', ''],
    [
      ['mod-flow', 'in_port(2),eth(),eth_type(0x1234)', '2'],
      'vs: updating flow table (No such file or directory)\n',
      '',
    ],
    [
      ['del-flow', 'in_port(2),eth(),eth_type(0x1234)'],
      'vs: deleting flow (No such file or directory)\nPerhaps you need to specify a UFID?\n',
      '"dump-flows -m" prints keys in full',
    ],
    [
      ['add-flow', 'in_port(1),in_prt(1)', '2'],
      'vs: parsing flow key (syntax error at in_prt(1)) (Invalid argument)\n',
      'the flow "in_port(1),in_prt(1)" cannot be read: ',
    ],
    [
      ['del-flow', 'foo(1)'],
      'vs: syntax error at foo(1) (Invalid argument)\n',
      'the flow "foo(1)" cannot be read: ',
    ],
    [
      ['add-flow', FLOW, 'foo'],
      'vs: parsing actions (Invalid argument)\n',
      'the actions "foo" cannot be read: ',
    ],
    [['add-flow', 'eth(),eth_type(0x1234)', '2'], 'vs: updating flow table (Invalid argument)\n', 'in_port'],
  ])('%j fails as in Open vSwitch, and says why in a sentence', async ([name, ...argv], ovs, sentence) => {
    await dpctl('add-flow', FLOW, '2');
    const failed = await failure(String(name), ...argv);
    expect(failed.ovs).toBe(ovs);
    expect(failed.sentence).toContain(sentence);
    expect((await dpctl('dump-flows')).json).toMatchObject({ flows: [{ actions: '2' }] });
  });
});

describe('interfaces as text', () => {
  it('may have commas to spare, no type, and options given again', () => {
    expect(parseInterface(',,p1,,mtu=9,type=a,up,port_no=3,mtu=7,type=b,')).toEqual({
      name: 'p1',
      type: 'b',
      portNo: '3',
      options: { mtu: '9', up: '' },
      duplicates: ['mtu'],
    });
    expect(parseInterface(',')).toEqual({ name: '', options: {}, duplicates: [] });
  });

  it('must have a name', async () => {
    expect((await failure('add-if', DP, ',', 'n9,type=dummy')).ovs).toBe(
      'vs: , is not a valid network device name\n',
    );
    expect(await text('show', DP)).toContain(': n9 (dummy)\n');
  });
});

describe('formatDatapath', () => {
  it('prints every line that a provider has numbers for, and "?" for what a device does not count', () => {
    const view = {
      name: 'x@y',
      lookups: { hit: 3, missed: 1, lost: 0 },
      flows: 2,
      masks: { hit: 6, total: 2 },
      cache: { hit: 1 },
      ports: [
        {
          number: 7,
          name: 'p',
          type: 'system',
          config: { a: 'b' },
          status: { mode: 'native', refused: 'zerocopy: no driver has it' },
          offloads: { rx: [], tx: ['csum', 'tso4'] },
          drops: {},
          stats: { rxPackets: 1, rxBytes: 1_288_490 },
        },
      ],
    };
    expect(formatDatapath(view, true)).toBe(
      'x@y:\n' +
        '  lookups: hit:3 missed:1 lost:0\n' +
        '  flows: 2\n' +
        '  masks: hit:6 total:2 hit/pkt:1.50\n' +
        '  cache: hit:1 hit-rate:25.00%\n' +
        '  port 7: p\n' +
        '    mode: native\n' +
        '    refused: zerocopy: no driver has it\n' +
        '    RX packets:1 errors:? dropped:? overruns:? frame:?\n' +
        '    TX packets:? errors:? dropped:? aborted:? carrier:?\n' +
        '    collisions:?\n' +
        '    RX bytes:1288490 (1.2 MiB)  TX bytes:?\n' +
        '    UPCALL packets:? errors:?\n' +
        '    offloads: RX none  TX csum,tso4\n',
    );
  });

  it.each([
    [1023, ''],
    [1024, ' (1.0 KiB)'],
    [4352, ' (4.2 KiB)'],
    [4864, ' (4.8 KiB)'],
    [4865, ' (4.8 KiB)'],
    [1_048_576, ' (1.0 MiB)'],
  ])('rounds as C does: %i bytes', (rxBytes, size) => {
    const port = { number: 1, name: 'p', type: 'dummy', config: {}, drops: {}, stats: { rxBytes } };
    const view = { name: 'x@y', lookups: { hit: 0, missed: 0, lost: 0 }, flows: 0, ports: [port] };
    expect(formatDatapath(view, true)).toContain(`    RX bytes:${rxBytes}${size}  TX bytes:?\n`);
  });
});
