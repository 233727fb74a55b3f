/** What our dump prints is read by Open vSwitch's own parser of dumps, the Python class ODPFlow. */

import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EtherloomPeer } from '../src/peers/etherloom.js';
import { commandsOf, scriptArbitrary } from '../src/scripts/script.js';

/** Debian's package python3-openvswitch is for the system's Python, whatever else is called python3. */
const PYTHON = '/usr/bin/python3';

/** One line per line of standard input: "ok", or why it cannot be read or reads as something else. */
const PROGRAM = `
import sys
from ovs.flow.odp import ODPFlow
for line in sys.stdin.read().splitlines():
    try:
        flow = ODPFlow(line)
        kinds = [bool(part) for part in (flow.info, flow.match, flow.actions)]
        print("ok" if str(flow) == line and all(kinds) else "another flow: %s %s" % (flow, kinds))
    except Exception as error:
        print("%s: %s" % (type(error).__name__, error))
`;

const python = (program: string, input = '') =>
  spawnSync(PYTHON, ['-c', program], { input, encoding: 'utf8', maxBuffer: 64 << 20 });

const missing = python('import ovs.flow.odp').status !== 0;
const why = missing ? ' (skipped: python3-openvswitch is not installed)' : '';

/** What the class of 3.1 reads in no dump, Open vSwitch's own included: two tags, meters, tunnel ports by name. */
const UNKNOWN_TO_IT = [/encap\(.*encap\(/, /\bmeter\(/, /\btnl_pop\([a-z]/];

/** The lines that cannot be read, each with the reason. */
function unreadable(lines: readonly string[]): string[] {
  const { stdout, stderr } = python(PROGRAM, lines.join('\n'));
  const verdicts = stdout.split('\n').slice(0, -1);
  if (verdicts.length !== lines.length) throw new Error(`python3 gave up: ${stderr}`);
  return lines.flatMap((line, i) => (verdicts[i] === 'ok' ? [] : [`${line}\n  ${verdicts[i]}`]));
}

/** Keys and actions that scripts never have. */
const FLOWS: readonly (readonly [key: string, actions: string])[] = [
  ['skb_priority(5),skb_mark(0x6/0xf),recirc_id(9),dp_hash(0x1/0xf),in_port(1),eth(),eth_type(0x1234)', '2'],
  [
    'ct_state(+trk+est-new),ct_zone(5),ct_mark(0x1/0xff),ct_label(0x3/0xf),in_port(1),eth(),eth_type(0x0800),ipv4(frag=no)',
    'ct_clear,2',
  ],
  [
    'tunnel(tun_id=0x7,src=1.1.1.1,dst=2.2.2.2,ttl=64,flags(-df+csum+key)),in_port(1),eth(),eth_type(0x0806),arp()',
    'drop',
  ],
  [
    'in_port(2),eth(),eth_type(0x0800),ipv4(proto=6,frag=no),tcp(),tcp_flags(+syn-ack)',
    'set(tcp(dst=80)),1,3',
  ],
  [
    'in_port(2),eth(),eth_type(0x88a8),vlan(vid=5,pcp=1),encap(eth_type(0x8100),vlan(vid=6,pcp=2),encap(eth_type(0x0806),arp(op=1)))',
    'pop_vlan,pop_vlan,1',
  ],
  ['in_port(3),eth(),eth_type(0x8847),mpls(label=1,tc=0,ttl=64,bos=1)', 'set(mpls(ttl=63)),1'],
  ['in_port(3),packet_type(ns=1,id=0x800),eth_type(0x0800),ipv4(frag=no)', 'drop'],
  [
    'in_port(4),eth(),eth_type(0x0800),ipv4(src=10.0.0.0/255.0.0.0,frag=no)',
    'set(ipv4(src=1.2.3.4/255.255.0.0)),set(eth(dst=00:00:00:00:00:01)),userspace(pid=7,userdata(0102030405060708),tunnel_out_port=3),1',
  ],
  [
    'in_port(4),eth(),eth_type(0x86dd),ipv6(src=fe80::/ffff::,frag=no)',
    'clone(set(ipv6(hlimit=5)),1),sample(sample=50.0%,actions(2)),check_pkt_len(size=100,gt(1),le(3))',
  ],
  [
    'in_port(4),eth(),eth_type(0x88cc)',
    'ct(commit,zone=5,mark=0x1/0xf,label=0x3/0xf,nat(src=1.1.1.1-1.1.1.9:10-20)),recirc(0x7)',
  ],
  [
    'recirc_id(0x7),in_port(4),eth(),eth_type(0x88cc)',
    'push_vlan(vid=5,pcp=1),push_nsh(flags=0,ttl=63,mdtype=1,np=3,spi=0x5,si=6,c1=0x0,c2=0x0,c3=0x0,c4=0x0),trunc(100),meter(3),1',
  ],
];

describe(`ODPFlow${why}`, () => {
  it.skipIf(missing)('reads every line of a dump, and gives it back', async () => {
    const etherloom = await EtherloomPeer.start(2);
    const lines = new Set<string>();
    const dump = async (...options: string[]): Promise<void> => {
      const { stdout } = await etherloom.run(['dpctl/dump-flows', ...options, 'dummy@ovs-dummy'], false);
      for (const line of stdout.split('\n').slice(1, -1)) lines.add(line);
    };
    try {
      await etherloom.reset();
      for (const [key, actions] of FLOWS) {
        const { exit, stderr } = await etherloom.run(['dpctl/add-flow', key, actions], false);
        expect([key, exit, stderr]).toEqual([key, 0, '']);
      }
      await dump();
      await dump('-m');
      expect(lines.size).toBe(2 * FLOWS.length);
      for (const script of fc.sample(scriptArbitrary, { seed: 1, numRuns: 16 })) {
        await etherloom.reset();
        for (const cmd of commandsOf(script)) {
          if (cmd[0]?.startsWith('@') || cmd.some((word) => /@(?:OWN|RT)@/.test(word))) continue;
          await etherloom.run(cmd, false);
        }
        await dump();
        await dump('-m');
        await dump('--names');
      }
    } finally {
      await etherloom.stop();
    }
    expect(lines.size).toBeGreaterThan(100);
    const readable = [...lines].filter((line) => !UNKNOWN_TO_IT.some((unknown) => unknown.test(line)));
    expect(readable.length).toBeGreaterThan(lines.size * 0.8);
    expect(unreadable(readable)).toEqual([]);
  });
});
