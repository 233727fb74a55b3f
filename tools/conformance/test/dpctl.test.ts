/** Sessions with the daemon: what is compared, and which differences rules explain. */

import { describe, expect, it } from 'vitest';
import { whyNoAppctl } from '../src/appctl.js';
import { checkDpctlRecord } from '../src/dpctl.js';
import { DPCTL_DEVIATIONS } from '../src/dpctl-deviations.js';

const FLOW = 'in_port(1),eth(),eth_type(0x0800),ipv4(frag=no)';
const NARROWER = 'in_port(1),eth(),eth_type(0x0800),ipv4(src=10.0.0.2,frag=no)';
const ERROR = 'ovs-appctl: ovs-vswitchd: server returned an error\n';

const step = (cmd: string[], exit = 0, stdout = '', stderr = '', more = {}) => ({
  cmd,
  exit,
  stdout,
  stderr,
  ...more,
});
const dumped = (...flows: string[]): string =>
  `flow-dump from the main thread:\n${flows.map((flow) => `${flow}\n`).join('')}`;
const line = (key: string, actions: string): string =>
  `recirc_id(0),${key}, packets:0, bytes:0, used:never, actions:${actions}`;

describe.skipIf(whyNoAppctl() !== undefined)('a session through ovs-appctl', () => {
  it('passes as recorded: files, packets, errors, and dumps in any order', async () => {
    const steps = [
      { cmd: ['@file', 'f.txt', `in_port(2),eth(),eth_type(0x88cc) drop\n${FLOW} 2\n`] },
      step(['dpctl/add-flows', '@RT@/f.txt']),
      step(
        ['dpctl/add-flows', '@RT@/none'],
        0,
        'ovs-vswitchd: Opening file "@RT@/none" failed (No such file or directory)\n',
      ),
      step(['dpctl/add-flow', FLOW, '3'], 2, '', `ovs-vswitchd: updating flow table (File exists)\n${ERROR}`),
      step(
        ['dpctl/dump-flows'],
        0,
        dumped(line(FLOW, '2'), line('in_port(2),eth(),eth_type(0x88cc)', 'drop')),
        '',
        { sorted: true },
      ),
      step(['netdev-dummy/receive', 'p2', 'ffffffffffff0011223344556677']),
      { cmd: ['@pcap', 'p1'], packets: [] },
      step(['time/warp', '10'], 0, 'warped\n'),
    ];
    expect(await checkDpctlRecord({ steps })).toEqual([]);
  });

  it('says where it differs', async () => {
    const steps = [
      step(['dpctl/dump-dps'], 0, 'dummy@other\n'),
      { cmd: ['@pcap', 'p1'], packets: ['00'] },
      step(['dpctl/nosuch'], 0),
    ];
    expect(await checkDpctlRecord({ steps })).toEqual([
      'steps[0].stdout:1\n  want "dummy@other"\n  have "dummy@ovs-dummy"',
      'steps[1].packets\n  want "00"\n  have ""',
      'steps[2].exit: want 0, have 2',
      expect.stringMatching(/^steps\[2\]\.stderr\n {2}want ""\n {2}have .*is not a valid command/),
    ]);
  });
});

/** The rules that explain a difference of step `index`. */
function rules(steps: object[], index: number, want: unknown, have: unknown): string[] {
  const difference = `steps[${index}].stdout:1\n  want ${JSON.stringify(want)}\n  have ${JSON.stringify(have)}`;
  return DPCTL_DEVIATIONS.filter((rule) => rule.explains('dpctl.jsonl', { steps }, difference)).map(
    ({ id }) => id,
  );
}

describe('deviations of sessions', () => {
  const show = [step(['dpctl/show'])];
  const lookups = (hit: number, missed: number, lost: number): string =>
    `  lookups: hit:${hit} missed:${missed} lost:${lost}`;

  it('count misses as dpif.h does, and nothing else in that line', () => {
    expect(rules(show, 0, lookups(1, 0, 2), lookups(1, 2, 2))).toEqual(['missed-and-lost']);
    for (const have of [lookups(2, 2, 2), lookups(1, 1, 2), lookups(1, 2, 1), lookups(1, 2, 3)]) {
      expect(rules(show, 0, lookups(1, 0, 2), have)).toEqual([]);
    }
    // Lost action upcalls are no misses.
    const upcalls = [step(['dpctl/add-flow', FLOW, 'userspace(pid=0),2']), ...show];
    expect(rules(upcalls, 1, lookups(2, 0, 0), lookups(2, 0, 2))).toEqual([]);
  });

  it('leave the payload of later fragments alone, and only that', () => {
    const packet = (fragment: string, ports: string): string =>
      `1011121314150001020304050800450000201234${fragment}4011000023080229ac100014${ports}00138268656c6c6f`;
    const [want, have] = [packet('20b9', '00510063'), packet('20b9', '005119e8')];
    expect(rules(show, 0, want, have)).toEqual(['later-fragment-rewrite']);
    expect(rules(show, 0, packet('4000', '00510063'), packet('4000', '005119e8'))).toEqual([]);
    expect(rules(show, 0, want.replace('ac100014', 'ac100015'), have)).toEqual([]);
    expect(rules(show, 0, want, `${have}00`)).toEqual([]);
  });

  it('begin where Open vSwitch takes what we refuse or the other way round, not before', () => {
    const overlapping = [
      step(['dpctl/add-flow', FLOW, '2']),
      step(['dpctl/add-flow', NARROWER, '3']),
      ...show,
    ];
    expect(rules(overlapping, 0, 'a', 'b')).toEqual([]);
    expect(rules(overlapping, 2, 'a', 'b')).toEqual(['overlap-refused']);
    // The wider one is gone by then, or the narrower one was refused there too.
    const after = [overlapping[0]!, step(['dpctl/del-flow', FLOW]), ...overlapping.slice(1)];
    expect(rules(after, 3, 'a', 'b')).toEqual([]);
    expect(
      rules([overlapping[0]!, step(['dpctl/add-flow', NARROWER, '3'], 2), ...show], 2, 'a', 'b'),
    ).toEqual([]);

    const exists = 'ovs-vswitchd: updating flow table (File exists)\n';
    expect(rules([step(['dpctl/mod-flow', '--may-create', FLOW, '2'], 2, '', exists)], 0, 'a', 'b')).toEqual([
      'create-or-modify-works',
    ]);
    expect(rules([step(['dpctl/mod-flow', FLOW, '2'], 2, '', exists)], 0, 'a', 'b')).toEqual([]);

    const most = '"dpctl/mod-flow" command takes at most 3 arguments\n';
    expect(
      rules([step(['dpctl/mod-flow', '--may-create', 'dp', FLOW, '2'], 2, '', most)], 0, 'a', 'b'),
    ).toEqual(['options-are-no-arguments']);
    expect(rules([step(['dpctl/mod-flow', 'x', 'dp', FLOW, '2'], 2, '', most)], 0, 'a', 'b')).toEqual([]);

    const refused = 'ovs-vswitchd: parsing actions (Invalid argument)\n';
    expect(rules([step(['dpctl/add-flow', FLOW, 'p2'], 2, '', refused)], 0, 'a', 'b')).toEqual([
      'reads-what-is-printed',
    ]);
    expect(rules([step(['dpctl/add-flow', FLOW, 'foo('], 2, '', refused)], 0, 'a', 'b')).toEqual([]);

    expect(rules([step(['dpctl/add-flow', '', '2'])], 0, 'a', 'b')).toEqual(['flow-belongs-to-a-port']);
    expect(rules([step(['dpctl/add-flow', FLOW, '2'])], 0, 'a', 'b')).toEqual([]);
  });

  const put = (actions: string, exit = 0): object => step(['dpctl/add-flow', FLOW, actions], exit);

  it('tell what a line or a packet must look like', () => {
    const nd = 'in_port(1),eth(),eth_type(0x86dd),ipv6(frag=no), packets:1, bytes:86, used:0.000s';
    expect(rules(show, 0, `${nd}, flags:S, actions:2`, `${nd}, actions:2`)).toEqual([
      'tcp-flags-of-tcp-only',
    ]);
    expect(rules(show, 0, `${nd}, flags:P, actions:2`, `${nd}, actions:2`)).toEqual([]);
    const tcp = nd.replace('frag=no', 'proto=6,frag=no');
    expect(rules(show, 0, `${tcp}, flags:S, actions:2`, `${tcp}, actions:2`)).toEqual([]);

    // UDP over IPv4, 47 bytes from the IP header on; the length and the checksum of UDP are filled in.
    const udp = (more: string, rest = '00'): string =>
      `50540000000950540000000a08004503002f000000004011af0f0a000001c0a8010319e803e8${more}${rest.repeat(19)}`;
    expect(rules(show, 0, udp('002e1629'), udp('001b163c'))).toEqual(['filled-udp-length']);
    const cut = (packet: string): string => packet.slice(0, -20);
    expect(rules(show, 0, cut(udp('002e1629')), cut(udp('001b163c')))).toEqual(['filled-udp-length']);
    expect(rules(show, 0, udp('001b163c'), udp('002e1629'))).toEqual([]);
    expect(rules(show, 0, udp('002e1629'), udp('001b163c', '01'))).toEqual([]);

    const port = (options: string): string => `  port 1: a1 (dummy${options})`;
    expect(rules(show, 0, port(''), port(': n_rxq=2'))).toEqual(['options-shown']);
    expect(rules(show, 0, port(': ifindex=5'), port(': ifindex=5, pcap=x'))).toEqual(['options-shown']);
    expect(rules(show, 0, port(': ifindex=5'), port(''))).toEqual([]);
    expect(rules(show, 0, port(''), port(': n_rxq=2').replace('a1', 'a2'))).toEqual([]);
    const failed = 'ovs-vswitchd: adding a1 to dummy@d1 failed (File exists)\n';
    const again = [step(['dpctl/add-if', 'dummy@d1', 'a1,type=dummy'], 2, '', failed), ...show];
    expect(rules(again, 1, port(': ifindex=5'), port(''))).toEqual(['failed-add-changes-nothing']);

    const sent = { cmd: ['@pcap', 'p2'], packets: ['aa', 'aa', 'bb', 'bb'] };
    expect(rules([put('2,3,2'), sent], 1, 'aa', 'bb')).toEqual(['copies-by-the-burst']);
    expect(rules([put('2,3,2'), sent], 1, 'aa', 'cc')).toEqual([]);
    expect(rules([put('2,3'), sent], 1, 'aa', 'bb')).toEqual([]);

    const vlan = (tpid: string): string => `vlan(tpid=0x${tpid},vid=5,pcp=0): no mpls: 2`;
    expect(rules(show, 0, vlan('a888'), vlan('88a8'))).toEqual(['tpid-byte-order']);
    expect(rules(show, 0, vlan('a888'), vlan('9100'))).toEqual([]);

    const parsing = (error: string): string => `ovs-vswitchd: parsing actions (${error})`;
    for (const error of ['Unknown error -31', 'End of file']) {
      expect(rules(show, 0, parsing(error), parsing('Invalid argument'))).toEqual(['negative-errno']);
    }
    expect(rules(show, 0, parsing('No such device'), parsing('Invalid argument'))).toEqual([]);
    expect(rules(show, 0, ERROR, `why\n${ERROR}`)).toEqual(['says-why']);
    expect(rules(show, 0, `why\n${ERROR}`, ERROR)).toEqual([]);
  });

  it('know what datapaths of ours lack, and what they refuse', () => {
    expect(rules([put('ct(commit),2')], 0, 'a', 'b')).toEqual(['no-connection-tracking']);
    expect(rules([put('ct_clear,2')], 0, 'a', 'b')).toEqual([]);
    expect(rules([put('trunc(40),77,2')], 0, 'a', 'b')).toEqual(['trunc-is-for-one-output']);
    const pushed = [put('clone(push_nsh(mdtype=1,np=3,spi=5,si=6),3),3'), ...show];
    expect(rules(pushed, 1, '00', '00 ff')).toEqual(['one-bad-packet']);
    expect(rules(pushed, 1, '', 'ff')).toEqual(['one-bad-packet']);
    expect(rules(pushed, 1, '00', 'ff')).toEqual([]);
    expect(rules(pushed, 1, '00 ff', 'ff')).toEqual([]);
    const sent = (count: number): string => `    TX packets:${count} errors:0 dropped:0 aborted:0 carrier:0`;
    expect(rules(pushed, 1, sent(1), sent(2))).toEqual(['one-bad-packet']);
    expect(rules(pushed, 1, sent(2), sent(1))).toEqual([]);
    expect(rules(pushed, 1, '  flows: 1', '  flows: 2')).toEqual([]);
    const tagged = 'in_port(1),eth_type(0x8100),vlan(vid=1,pcp=0),encap(eth_type(0x88cc))';
    expect(rules([step(['dpctl/add-flow', tagged, '2'])], 0, 'a', 'b')).toEqual(['tags-need-ethernet']);
    expect(rules([put('trunc(40),3,2')], 0, 'a', 'b')).toEqual([]);
    for (const set of [
      'tcp_flags(syn)',
      'vlan(vid=1,pcp=0)',
      'icmp(type=8)',
      'icmp(type=8,code=1/0xf)',
      'tunnel(dst=1.1.1.1)',
    ]) {
      expect(rules([put(`2,set(${set})`)], 0, 'a', 'b')).toEqual(['refuses-what-aborts']);
    }
    for (const set of ['icmp(type=8,code=0)', 'tunnel(dst=1.1.1.1,flags(key))', 'tcp(src=1)']) {
      expect(rules([put(`2,set(${set})`)], 0, 'a', 'b')).toEqual([]);
    }
    const add = (text: string, stderr = ''): object =>
      step(['dpctl/add-if', 'dummy@d1', text], stderr === '' ? 0 : 2, '', stderr);
    expect(rules([add('x,type=dummy,foo=1')], 0, 'a', 'b')).toEqual(['unknown-options']);
    expect(rules([add('x,type=dummy,foo=1', 'ovs-vswitchd: x: failed to open\n')], 0, 'a', 'b')).toEqual([]);
    expect(rules([add('x,type=dummy,ifindex=1')], 0, 'a', 'b')).toEqual([]);
    expect(rules([add('x,type=dummy,ifindex=-5')], 0, 'a', 'b')).toEqual(['unknown-options']);
    for (const large of ['x,type=dummy,port_no=65535', 'x,type=dummy,port_no=-2', 'p70000,type=dummy']) {
      expect(rules([add(large)], 0, 'a', 'b')).toEqual(['port-number-limit']);
    }
    for (const fine of ['x,type=dummy,port_no=65534', 'x,type=dummy,port_no=-1', 'p7,type=dummy']) {
      expect(rules([add(fine)], 0, 'a', 'b')).toEqual([]);
    }
    for (const name of ['sixteen-letters-', 'a b', 'a/b', '.']) {
      expect(rules([add(`${name},type=dummy`)], 0, 'a', 'b')).toEqual(['names-of-interfaces']);
    }
    const twice = [add('x,type=dummy'), step(['dpctl/add-dp', 'dummy@x'])];
    expect(rules(twice, 1, 'a', 'b')).toEqual(['names-are-unique']);
    expect(rules([step(['dpctl/add-dp', 'dummy@p1'])], 0, 'a', 'b')).toEqual(['names-are-unique']);
    const gone = step(['dpctl/del-if', 'dummy@d1', 'x']);
    expect(rules([twice[0]!, gone, twice[1]!], 2, 'a', 'b')).toEqual([]);
    const filled = (length: string): object => step(['netdev-dummy/receive', 'p1', FLOW, '--len', length]);
    expect(rules([filled('65536'), ...show], 1, 'a', 'b')).toEqual(['largest-packet']);
    expect(rules([filled('65535'), ...show], 1, 'a', 'b')).toEqual([]);
    const state = (word: string): object => step(['netdev-dummy/set-admin-state', 'p1', word]);
    expect(rules([state('down'), ...show], 1, 'a', 'b')).toEqual(['down-is-down']);
    expect(rules([state('up'), ...show], 1, 'a', 'b')).toEqual([]);
    const file = (datapath: string): object => step(['dpctl/add-flows', datapath, '@RT@/f.txt']);
    expect(rules([file('dummy@nosuch')], 0, 'a', 'b')).toEqual(['unknown-datapath-refused']);
    expect(rules([file('dummy@ovs-dummy')], 0, 'a', 'b')).toEqual([]);
  });

  it('see the flows of files, too', () => {
    const steps = [
      { cmd: ['@file', 'f.txt', `# flows\nadd ${FLOW} 2\nnonsense\n`] },
      step(['dpctl/add-flows', '@RT@/f.txt']),
      step(['dpctl/add-flow', NARROWER, '3']),
    ];
    expect(rules(steps, 2, 'a', 'b')).toEqual(['overlap-refused']);
    expect(rules(steps.slice(1), 1, 'a', 'b')).toEqual([]);
  });
});
