/** `trace` as people call it: what it prints, where packets come from, and what it says of those that are none. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DpifRegistry, NetdevRegistry, pcapHeader, pcapRecords } from '@etherloom/core';
import { createUserspaceProvider } from '@etherloom/dpif-userspace';
import { DummyProvider } from '@etherloom/netdev-dummy';
import { beforeEach, describe, expect, it } from 'vitest';
import { changedAttributes } from '../src/dpctl/key-changes.js';
import { type DpctlContext, etherloom } from '../src/index.js';
import { Rig } from './rig.js';

let context: DpctlContext;

async function cli(...argv: string[]): Promise<{ code: number; out: string; error: string }> {
  let [out, error] = ['', ''];
  const streams = {
    out: (text: string) => {
      out += text;
    },
    error: (text: string) => {
      error += text;
    },
    screen: { terminal: false, colour: false },
  };
  return { code: await etherloom(argv, streams, context), out, error };
}

beforeEach(async () => {
  const netdevs = new NetdevRegistry();
  netdevs.register(new DummyProvider());
  const dpifs = new DpifRegistry();
  const options = { netdevs, portTypes: { internal: 'dummy' }, arena: { frames: 256, largeFrames: 4 } };
  dpifs.register(createUserspaceProvider({ ...options, type: 'netdev' }));
  context = { dpifs, netdevs };
  await cli('add-dp', 'br0', 'p1,type=dummy', 'p2,type=dummy');
  await cli(
    'add-flow',
    'in_port(p1),eth(),eth_type(0x0800),ipv4(frag=no)',
    'set(ipv4(ttl=9)),push_vlan(vid=5,pcp=0),p2',
  );
});

/** An IPv4 packet without payload: 34 bytes, TTL 64. */
const HEX = `020000000002 020000000001 0800 4500 0014 0000 0000 40fd ${'66cb'} 0a000001 0a000002`;

it('tells the way of a packet, and its end in text and hexadecimal', async () => {
  const { code, out, error } = await cli('trace', 'br0', HEX, '--port', 'p1');
  expect(error).toBe('');
  expect(code).toBe(0);
  expect(out).toBe(
    [
      'packet: 34 bytes',
      'key: in_port(1),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=253,tos=0,ttl=64,frag=no)',
      'lookup: mask 1 of 1 has a flow: recirc_id(0),in_port(1),eth(),eth_type(0x0800),ipv4(frag=no)',
      'actions: set(ipv4(ttl=9)),push_vlan(vid=5,pcp=0),2',
      '  set(ipv4(ttl=9))',
      '    ipv4(ttl=64) -> ipv4(ttl=9)',
      '  push_vlan(vid=5,pcp=0)',
      '    + eth_type(0x8100)',
      '    + vlan(vid=5,pcp=0)',
      '    34 -> 38 bytes',
      '  2',
      '    leaves by port 2 (p2): 38 bytes',
      'result:',
      '  leaves by port 2 (p2): 38 bytes',
      '    in_port(1),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x8100),vlan(vid=5,pcp=0),encap(eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=253,tos=0,ttl=9,frag=no))',
      '    0000  02 00 00 00 00 02 02 00 00 00 00 01 81 00 00 05',
      '    0010  08 00 45 00 00 14 00 00 00 00 09 fd 9d cb 0a 00',
      '    0020  00 01 0a 00 00 02',
      '',
    ].join('\n'),
  );
});

it('takes packets as flows and out of capture files, and says the same as JSON', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'etherloom-trace-'));
  try {
    const file = join(directory, 'in.pcap');
    const data = Uint8Array.from(Buffer.from(HEX.replaceAll(' ', ''), 'hex'));
    const arp = Uint8Array.of(...data.subarray(0, 12), 0x88, 0xb5);
    const record = (bytes: Uint8Array, originalLength = bytes.length) => ({
      data: bytes,
      originalLength,
      seconds: 1,
      nanoseconds: 2,
    });
    const records = pcapRecords([record(arp), record(data), record(data, 99)], 'nanoseconds');
    writeFileSync(file, Buffer.concat([pcapHeader('nanoseconds'), records]));
    const json = JSON.parse((await cli('trace', '--pcap', `${file}:2`, '--port', '1', '--json')).out);
    expect(json).toMatchObject({
      lookup: {
        masks: { visited: 1, total: 1 },
        flow: { actions: 'set(ipv4(ttl=9)),push_vlan(vid=5,pcp=0),2' },
      },
      result: [{ type: 'output', port: 2, name: 'p2' }],
      truncated: false,
    });
    expect(Buffer.from(json.result[0].packet, 'hex').subarray(12, 16).toString('hex')).toBe('81000005');
    expect((await cli('trace', '--pcap', file, '--port', '1')).out).toContain('no flow matches');
    for (const [argv, message] of [
      [['--pcap', `${file}:4`], 'has 3 packets, counted from 1: none has number 4'],
      [['--pcap', `${file}:3`], 'was not captured whole (34 of 99 bytes)'],
      [['--pcap', join(directory, 'none')], 'cannot be read'],
    ] as const) {
      const outcome = await cli('trace', ...argv, '--port', '1');
      expect(outcome.code).toBe(2);
      expect(outcome.error).toContain(message);
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
  const { out } = await cli(
    'trace',
    'in_port(p1),eth(),eth_type(0x0800),ipv4(ttl=64,proto=17),udp()',
    '--names',
  );
  expect(out).toContain('in_port(p1)');
  expect(out).toContain('leaves by port 2 (p2): 110 bytes');
});

it.each([
  [['trace'], 1, 'trace needs a packet; give a flow, a packet in hexadecimal or --pcap FILE'],
  [['trace', HEX], 2, 'it is not said which port the packet comes from'],
  [['trace', HEX, '--port', 'p9'], 2, '"p9" is no port of netdev@br0'],
  [
    ['trace', 'eth(oops)', '--port', 'p1'],
    2,
    '"eth(oops)" is neither a packet in hexadecimal nor the flow of one',
  ],
  [['trace', 'br9', HEX], 2, 'no datapath is called "br9"'],
  [['trace', HEX, '--pcap', 'x'], 1, 'trace takes one packet, and here are two'],
] as const)('%j is refused', async (argv, code, message) => {
  const outcome = await cli(...argv);
  expect(outcome.error).toContain(message);
  expect(outcome.code).toBe(code);
});

it('is a dpctl command too', async () => {
  const rig = await Rig.create();
  await rig.dpctl('add-flow', 'dummy@br0', 'in_port(1),eth(),eth_type(0x88b5)', '2');
  const packet = '020000000002 020000000001 88b5';
  expect(await rig.text('trace', 'dummy@br0', packet, '1')).toContain('leaves by port 2 (p2): 14 bytes');
  expect(await rig.text('trace', packet, 'p2')).toContain('no flow matches');
  expect((await rig.failure('trace', 'br7', packet)).ovs).toContain('datapath not found');
});

describe('changes between keys', () => {
  it.each([
    [
      'eth_type(0x0800),ipv4(src=1.1.1.1,ttl=64)',
      'eth_type(0x0800),ipv4(src=1.1.1.1,ttl=9)',
      ['ipv4(ttl=64) -> ipv4(ttl=9)'],
    ],
    [
      'eth(a),eth_type(0x0800),ipv4()',
      'eth(a),eth_type(0x8100),vlan(vid=5),encap(eth_type(0x0800),ipv4())',
      ['+ eth_type(0x8100)', '+ vlan(vid=5)'],
    ],
    [
      'eth_type(0x8100),vlan(vid=5),encap(eth_type(0x0806))',
      'eth_type(0x0806)',
      ['- eth_type(0x8100)', '- vlan(vid=5)'],
    ],
    [
      'tunnel(tun_id=1,geneve({class=1,type=2}))',
      'tunnel(tun_id=2,geneve({class=1,type=2}))',
      ['tunnel(tun_id=1) -> tunnel(tun_id=2)'],
    ],
    ['a(1)', 'a(1)', []],
  ])('%s and %s', (before, after, changes) => {
    expect(changedAttributes(before, after)).toEqual(changes);
  });
});
