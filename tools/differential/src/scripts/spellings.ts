/** Commands with every option in every place, with too few and too many arguments, and with arguments of every spelling. */

import fc from 'fast-check';

const KEY = 'in_port(1),eth(),eth_type(0x0800),ipv4(frag=no)';
const PACKET =
  'in_port(1),eth(src=50:54:00:00:00:09,dst=50:54:00:00:00:0a),eth_type(0x0800),ipv4(src=10.0.0.2,dst=10.0.0.1,proto=17,tos=0,ttl=64,frag=no),udp(src=1000,dst=53)';
const DP = 'dummy@ovs-dummy';

const option = fc.constantFrom(
  ...['-m', '--more', '-s', '--statistics', '--names', '--no-names', '--clear', '--may-create'],
  ...[
    '-ms',
    '-mx',
    '-x',
    '--foo',
    '--names=1',
    '--',
    '-',
    '-h',
    '--help',
    '-V',
    '--timeout=5',
    '--read-only',
  ],
);

const commands = fc.constantFrom(
  ['dpctl/show'],
  ['dpctl/show', DP],
  ['dpctl/dump-flows'],
  ['dpctl/dump-flows', DP],
  ['dpctl/dump-dps'],
  ['dpctl/get-flow', 'ufid:0'],
  ['dpctl/del-flow', 'in_port(9),eth(),eth_type(0x1234)'],
  ['dpctl/mod-flow', 'in_port(9),eth(),eth_type(0x1234)', '2'],
  ['dpctl/parse-actions', '1,2'],
  ['dpctl/normalize-actions', KEY, '2,1'],
  ['dpctl/offload-stats-show'],
  ['dpctl/cache-get-size'],
);

const withOption = fc
  .tuple(commands, option, fc.boolean())
  .map(([[name = '', ...args], word, behind]) => (behind ? [name, ...args, word] : [name, word, ...args]));

const counted = fc
  .tuple(
    fc.constantFrom(
      ...['show', 'dump-flows', 'dump-dps', 'add-flow', 'mod-flow', 'del-flow', 'del-flows', 'add-flows'],
      ...['mod-flows', 'get-flow', 'add-dp', 'del-dp', 'add-if', 'del-if', 'set-if', 'parse-actions'],
      ...['normalize-actions', 'offload-stats-show', 'cache-get-size', 'cache-set-size', 'help', 'bogus'],
    ),
    fc.array(fc.constantFrom('x0', 'x1', ''), { maxLength: 7 }),
  )
  .map(([name, words]) => [`dpctl/${name}`, ...words]);

const selection = fc.constantFrom(
  ...['type=all', 'type=ovs', 'type=tc', 'type=dpdk', 'type=offloaded', 'type=non-offloaded', 'type='],
  ...['type=partially-offloaded', 'type=ovs,foo', 'type=ovs,', 'type=,ovs', 'type=tc,ovs', 'type=OVS'],
  ...['pmd=-1', 'pmd=0', 'pmd=', 'pmd=4294967295', 'pmd=4294967296', 'pmd=1x', 'pmd', 'type', 'filter'],
  ...['filter=ip', 'filter=arp', 'filter==5', 'filter=ip;tcp', 'filter=tcp()', 'filter=,ip', 'filter=ip '],
  ...['filter=dl_type(0x800)', 'filter=priority=5', 'filter=eth', 'FILTER=ip', 'x', DP],
);
const dump = fc
  .array(selection, { minLength: 1, maxLength: 3 })
  .map((words) => ['dpctl/dump-flows', ...words]);

const ports = fc.constantFrom(
  ...['p1=7', 'b=2', 'p1=x', 'p1=0x10', '=5', 'abcdefghijklmnopqrst=5', 'p1=5x', 'p1=-1', 'p1=', 'x', 'p2=4'],
);
const normalize = fc
  .tuple(
    fc.constantFrom(KEY, KEY.replace('(1)', '(p1)')),
    fc.constantFrom('3', 'p1,3,b', 'p2', 'foo'),
    fc.array(ports, { maxLength: 3 }),
  )
  .map(([key, actions, names]) => ['dpctl/normalize-actions', key, actions, ...names]);

/** Words of netdev-dummy/receive. `--len` without a number ends Open vSwitch. */
const received = fc.constantFrom(
  [PACKET],
  [PACKET, '--len', 'x'],
  [PACKET, '--len', '-1'],
  [PACKET, '--len', '100x'],
  [PACKET, '--len', '0x64'],
  [PACKET, '--len', '1518'],
  [PACKET, '--len', '65535'],
  ['--len', '100', PACKET],
  ['--qid', '0'],
  ['--qid', '0x0'],
  ['--qid', '-1'],
  ['--qid', ''],
  ['--qid'],
  ['--foo'],
  ['foo'],
  [''],
  ['FFFFFFFFFFFF001122334455 88CC'],
  ['ffffffffffff00112233445588c'],
  ['0xffffffffffff00112233445588cc'],
);
const receive = fc
  .tuple(
    fc.constantFrom('p1', 'p1', 'p1', 'p2', 'nosuch', '1', ''),
    fc.array(received, { minLength: 1, maxLength: 2 }),
  )
  .map(([port, words]) => ['netdev-dummy/receive', port, ...words.flat()]);

const other = fc.constantFrom(
  ['dpctl/cache-get-size', 'nosuch'],
  ['dpctl/cache-get-size', 'dummy@nosuch'],
  ['dpctl/cache-get-size', DP],
  ['dpctl/cache-set-size', DP, 'masks-cache', '5'],
  ['dpctl/cache-set-size', DP, 'masks-cache', 'x'],
  ['dpctl/cache-set-size', 'dummy@nosuch', 'x', '5'],
  ['dpctl/offload-stats-show', DP],
  ['dpctl/offload-stats-show', 'dummy@nosuch'],
  ['time/warp', '10x'],
  ['time/warp', '1.5'],
  ['time/warp', '100', '0'],
  ['time/warp', 'x', '10'],
);

export const spellingArbitrary: fc.Arbitrary<readonly string[]> = fc.oneof(
  { weight: 4, arbitrary: withOption },
  { weight: 2, arbitrary: counted },
  { weight: 3, arbitrary: dump },
  { weight: 2, arbitrary: normalize },
  { weight: 3, arbitrary: receive },
  { weight: 1, arbitrary: other },
);
