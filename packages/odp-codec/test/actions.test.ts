/** The action codec by example: what reads, what prints, what is refused and where. */
import { describe, expect, test } from 'vitest';
import {
  ACTION_ATTR,
  ACTIONS,
  type Action,
  actionTable,
  decodeActions,
  encodeActions,
  formatActions,
  parseActions,
} from '../src/actions/index.js';
import { OdpError } from '../src/errors.js';
import type { ParseOptions } from '../src/text/options.js';

const AN_ACTION = 'an action such as 2, drop or push_vlan(';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));

function refusal(act: () => unknown): OdpError {
  try {
    act();
  } catch (error) {
    if (error instanceof OdpError) return error;
    throw error;
  }
  throw new Error('was not refused');
}

const GENEVE =
  'tnl_push(tnl_port(6),header(size=50,type=5,eth(dst=02:00:00:00:00:01,src=02:00:00:00:00:02,dl_type=0x0800),' +
  'ipv4(src=1.1.2.88,dst=1.1.2.92,proto=17,tos=0,ttl=64,frag=0x0),udp(src=0,dst=6081,csum=0x0),geneve(vni=1,';

const parseError = (text: string, options?: ParseOptions): OdpError =>
  refusal(() => parseActions(text, options));

describe('text', () => {
  test('reads and prints a list of actions', () => {
    const text =
      'push_vlan(vid=12,pcp=3),clone(set(eth(dst=02:00:00:00:00:01)),4),ct(commit,zone=5,nat(src=10.0.0.1)),2';
    const list = parseActions(text);
    expect(formatActions(list)).toBe(text);
    expect(hex(parseActions('1,push_vlan(vid=12,pcp=3)'))).toBe('0800010001000000' + '080004008100700c');
  });

  test('an empty list prints as drop, which reads as an explicit drop', () => {
    expect(formatActions(new Uint8Array(0))).toBe('drop');
    expect(hex(parseActions(''))).toBe('');
    expect(hex(parseActions('Drop'))).toBe('0800180000000000');
  });

  // Each is printed by Open vSwitch, which refuses to read it.
  test.each([
    ['recirc(0x1)', '0800070001000000'],
    ['hash(sym_l4(7))', '0c0008000100000007000000'],
    ['push_mpls(label=16,tc=1,ttl=64,bos=1,eth_type=0x8847)', '0c0009000001034088470000'],
    ['pop_mpls(eth_type=0x800)', '06000a0008000000'],
    ['push_eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02)', '10000e00020000000001020000000002'],
    ['pop_eth', '04000f00'],
    ['dec_ttl(le_1(3))', '1000170 00c000100 0800010003000000'],
    ['dec_ttl(le_1(drop))', '08001700 04000100'],
    ['clone(drop)', '04001400'],
    ['sample(sample=50.0%,actions(drop))', '10000600 0800010000000080 04000200'],
    ['1,drop', '0800010001000000 0800180000000000'],
    ['clone(drop,1)', '14001400 0800180000000000 0800010001000000'],
    [
      'push_nsh(flags=0,ttl=63,mdtype=2,np=1,spi=0x1,si=2,md2=0)',
      '14001100 10001c00 0c000100 003f0201 00000102',
    ],
  ])('reads %s, which Open vSwitch only prints', (text, wanted) => {
    expect(hex(parseActions(text))).toBe(wanted.replaceAll(' ', ''));
    expect(formatActions(parseActions(text))).toBe(text);
    expect(parseError(text, { strict: true }).code).toBe('EINVAL');
  });

  test.each([
    'set(nsh(flags=2,ttl=63,mdtype=1,np=3,spi=0x123456,si=254,c1=0x44332211,c2=0x5,c3=0x6,c4=0x7))',
    'set(nsh(ttl=0x2b/0xb5,spi=0xcf63b3/0x00e0ff9c,c1=0xedaaeb57/0xee794cca,c2=0x0,c3=0x0,c4=0x0))',
    'userspace(pid=7,slow_path(cfm,lldp,match))',
    'tnl_push(tnl_port(3),header(size=50,type=107,eth(dst=f8:bc:12:44:34:b6,src=aa:55:aa:55:00:00,dl_type=0x0800),ipv4(src=1.1.2.88,dst=1.1.2.92,proto=47,tos=0,ttl=64,frag=0x4000),erspan(ver=1,sid=0x7b,idx=0x3)),out_port(100))',
    'tnl_push(tnl_port(6),header(size=74,type=108,eth(dst=f8:bc:12:44:34:b7,src=aa:55:aa:55:00:00,dl_type=0x86dd),ipv6(src=2001:cafe::88,dst=2001:cafe::93,label=0,proto=47,tclass=0x0,hlimit=64),erspan(ver=2,sid=0x237,dir=1,hwid=0x27)),out_port(100))',
    'tnl_push(tnl_port(2),header(size=50,type=110,eth(dst=f8:bc:12:44:34:b6,src=aa:55:aa:55:00:00,dl_type=0x0800),ipv4(src=1.1.2.88,dst=1.1.2.92,proto=17,tos=0,ttl=64,frag=0x4000),udp(src=1,dst=2152,csum=0x0),gtpu(flags=0x30,msgtype=255,teid=0x1c8)),out_port(100))',
  ])('reads %s, too', (text) => {
    expect(formatActions(parseActions(text))).toBe(text);
    expect(parseError(text, { strict: true }).code).toBe('EINVAL');
  });

  test('a partial mask makes a set a masked one', () => {
    expect(hex(parseActions('set(tcp(src=80))'))).toBe('10000b000c000900' + '00500000' + 'ffff0000');
    expect(hex(parseActions('set(tcp(src=80,dst=81))'))).toBe('0c00030008000900' + '00500051');
  });

  test('the attribute of a set is never left out, and one of which nothing is set reads back', () => {
    const setEthType = '0c000b00' + '08000600' + '00000008';
    expect(hex(parseActions('set(eth_type(0/8))'))).toBe(setEthType);
    expect(hex(parseActions('set(eth_type(0/8))', { strict: true }))).toBe(setEthType);
    for (const name of ['ct_label', 'ct_mark', 'ct_zone']) {
      const nothing = parseActions(`set(${name}(0/0))`, { strict: true });
      expect(formatActions(nothing)).toBe(`set(${name}())`);
      expect(hex(parseActions(`set(${name}())`))).toBe(hex(nothing));
      expect(parseError(`set(${name}())`, { strict: true }).code).toBe('EINVAL');
    }
  });

  test('a psample cookie of zeros, which prints as 0, reads back', () => {
    const printed = formatActions(parseActions('psample(group=5,cookie=0x0000)'));
    expect(printed).toBe('psample(group=5,cookie=0)');
    expect(formatActions(parseActions(`sample(sample=50%,actions(${printed}))`))).toContain(printed);
    expect(parseError(printed, { strict: true }).code).toBe('EINVAL');
  });

  test('a meter is read by sscanf(3), to which 0x is a number', () => {
    for (const zero of ['0x', '-0X', ' 0'])
      expect(hex(parseActions(`meter(${zero})`))).toBe('0800130000000000');
    expect(hex(parseActions('meter(0xffffffffffffffffff)'))).toBe('08001300ffffffff');
  });

  test('ports go by name where the options know them', () => {
    const numbers = new Map([
      ['eth0', 3],
      ['gre_sys', 7],
    ]);
    const options = { portNumber: (name: string) => numbers.get(name) };
    const names = { portName: (no: number) => (no === 3 ? 'eth0' : no === 7 ? 'gre_sys' : undefined) };
    const text =
      'eth0,clone(eth0),tnl_pop(gre_sys),userspace(pid=1,ipfix(output_port=eth0),tunnel_out_port=gre_sys),9';
    expect(formatActions(parseActions(text, options), names)).toBe(text);
    expect(hex(parseActions('eth0 gre_sys', { ...options, strict: true }))).toBe(
      '08000100030000000800010007000000',
    );
    // Open vSwitch looks for a port called "eth0)".
    expect(parseError('clone(eth0)', { ...options, strict: true }).column).toBe(7);
    expect(parseError('eth1', options).expected).toBe(AN_ACTION);
  });

  test.each([
    ['foo', 1, AN_ACTION],
    ['1,2,trunc(x)', 11, 'a number'],
    ['push_vlan(vid=1,pco=2)', 19, "'p='"],
    ['pop_vlan1', 9, "',' or the end of the text"],
    ['ct(commit,zome=1)', 11, 'commit, force_commit, zone, mark, label, helper, timeout or nat'],
    ['clone(1', 8, AN_ACTION],
    ['sample(sample=101%,actions(1))', 15, 'a percentage from 0 to 100'],
    ['push_eth(src=1)', 14, 'an Ethernet address'],
    ['userspace(pid=1,slow_path(nope))', 27, 'reasons of a slow path'],
    [`${GENEVE}options({class=0x1,type=0x2/1})),out_port(1))`, 221, 'options without masks'],
  ])('%s goes wrong at column %i', (text, column, expected) => {
    const error = parseError(text);
    expect({ column: error.column, expected: error.expected }).toEqual({ column, expected });
    expect(error.message).toContain(`column ${column}`);
  });

  test('nests 31 levels deep, as Open vSwitch', () => {
    const nested = (depth: number, inner: string) => 'clone('.repeat(depth) + inner + ')'.repeat(depth);
    expect(formatActions(parseActions(nested(30, '1')))).toBe(nested(30, '1'));
    expect(parseError(nested(31, '1')).code).toBe('EINVAL');
    expect(formatActions(parseActions(nested(29, 'set(skb_mark(0x1))')))).toBe(
      nested(29, 'set(skb_mark(0x1))'),
    );
    expect(parseError(nested(30, 'set(skb_mark(0x1))')).code).toBe('EINVAL');
  });

  test('fits 65535 bytes', () => {
    const userdata = (length: number) => `userspace(pid=1,userdata(${'ab'.repeat(length)}),actions)`;
    expect(parseActions(userdata(65512)).length).toBe(65532);
    expect(parseError(userdata(65513)).code).toBe('E2BIG');
    expect(parseError(userdata(70000)).code).toBe('E2BIG');
    const sets = (count: number) => new Array<string>(count).fill('set(encap())').join(',');
    expect(parseActions(sets(8191)).length).toBe(65528);
    expect(parseError(sets(8192)).code).toBe('E2BIG');
    expect(parseError(`check_pkt_len(size=1,gt(${sets(8189)},pop_vlan),le(drop))`).code).toBe('E2BIG');
    expect(parseError(`set(encap(${new Array(4100).fill('skb_mark(1/2)').join()}))`).code).toBe('E2BIG');
  });
});

describe('bytes', () => {
  test.each([
    ['0700010061626300', 'bad length 3, expected 4 for: action1(61 62 63)'],
    ['04006300', 'bad length 0, expected -1 for: action99'],
    ['0800010001000000 0800', '1,***2 leftover bytes*** (0800)'],
    ['ff', '<empty>,***1 leftover bytes*** (ff)'],
    ['04000600', 'sample(error)'],
    ['10000c000c00060004000100 04000200', 'ct(nat(error: Only one of "src" or "dst" may be present.))'],
    ['14000c00 10000600 04000100 06000500 05000000', 'ct(nat(error: proto but no IP.))'],
  ])('%s prints as %s', (text, wanted) => {
    expect(formatActions(bytes(text))).toBe(wanted);
  });

  test('refuses to print what makes Open vSwitch abort', () => {
    expect(refusal(() => formatActions(bytes('04000300'))).message).toBe(
      'a set action must hold a key attribute',
    );
    expect(refusal(() => formatActions(bytes('0a0019000600010001000000'))).code).toBe('EINVAL');
  });

  test('follows nesting to a bound, without exhausting the stack', () => {
    const depth = 16000;
    const deep = new Uint8Array(depth * 4);
    const view = new DataView(deep.buffer);
    for (let i = 0; i < depth; i++) {
      view.setUint16(4 * i, 4 * (depth - i), true);
      view.setUint16(4 * i + 2, ACTION_ATTR.CLONE, true);
    }
    expect(refusal(() => formatActions(deep)).message).toContain('nested at most');
    expect(hex(encodeActions(decodeActions(deep)))).toBe(hex(deep));
  });
});

describe('model', () => {
  const examples: [string, Action][] = [
    ['3', { type: 'output', port: 3 }],
    [
      'set(ipv4(src=10.0.0.1/255.0.0.0,ttl=64))',
      {
        type: 'set_masked',
        key: { ipv4: { src: '10.0.0.1', dst: '0.0.0.0', proto: 0, tos: 0, ttl: 64, frag: 'no' } },
        mask: { ipv4: { src: '255.0.0.0', dst: '0.0.0.0', proto: 0, tos: 0, ttl: 255, frag: 'no' } },
      },
    ],
    ['push_vlan(vid=12,pcp=3)', { type: 'push_vlan', tpid: 0x8100, vid: 12, pcp: 3, cfi: 1 }],
    [
      'ct(commit,zone=5,mark=0x1/0xff,label=0x2,helper=ftp,nat(src=10.0.0.1-10.0.0.9:1-2,random))',
      {
        type: 'ct',
        commit: true,
        zone: 5,
        mark: { value: 1, mask: 255 },
        labels: { value: '0x2', mask: `0x${'f'.repeat(32)}` },
        helper: 'ftp',
        nat: { src: true, ipMin: '10.0.0.1', ipMax: '10.0.0.9', protoMin: 1, protoMax: 2, random: true },
      },
    ],
    [
      'userspace(pid=6,controller(reason=1,dont_send=1,continuation=0,recirc_id=4,rule_cookie=0x5555,controller_id=0,max_len=65535))',
      {
        type: 'userspace',
        pid: 6,
        userdata: {
          type: 'controller',
          dontSend: true,
          continuation: false,
          reason: 1,
          recircId: 4,
          ruleCookie: '0x5555',
          controllerId: 0,
          maxLen: 65535,
        },
      },
    ],
    [
      'check_pkt_len(size=200,gt(drop),le(clone(4)))',
      {
        type: 'check_pkt_len',
        size: 200,
        greater: [],
        lessEqual: [{ type: 'clone', actions: [{ type: 'output', port: 4 }] }],
      },
    ],
    ['psample(group=12,cookie=0x1020)', { type: 'psample', group: 12, cookie: '0x1020' }],
  ];

  test.each(examples)('of %s', (text, model) => {
    expect(decodeActions(parseActions(text))).toEqual([model]);
    expect(hex(encodeActions([model]))).toBe(hex(parseActions(text)));
  });

  test('keeps what it cannot name', () => {
    const odd = bytes('07000100616263 00 08006300deadbeef 0800068004000100');
    expect(decodeActions(odd)).toEqual([
      { type: 'raw', attr: 1, data: '0x616263' },
      { type: 'raw', attr: 99, data: '0xdeadbeef' },
      { type: 'raw', attr: 0x8006, data: '0x04000100' },
    ]);
    expect(hex(encodeActions(decodeActions(odd)))).toBe(hex(odd));
    expect(refusal(() => decodeActions(bytes('0800010001'))).code).toBe('EINVAL');
  });

  test.each([
    ['[{"type":"output"}]', 'output must be an integer from 0 to 4294967295, not undefined'],
    ['[{"type":"output","port":-1}]', 'output must be an integer from 0 to 4294967295, not -1'],
    [
      '[{"type":"output","port":{"toString":1}}]',
      'output must be an integer from 0 to 4294967295, not an object',
    ],
    ['[{"type":"fly"}]', "actions[0].type must be the type of an action, not 'fly'"],
    ['[{"type":"clone","actions":[1]}]', 'actions[0].actions[0] must be an action, not 1'],
    ['[{"type":"clone","actions":{}}]', 'actions[0].actions must be an array of actions, not an object'],
    ['[{"type":"ct","zon":1}]', 'property of ct must be commit'],
    ['[{"type":"ct","nat":{"ipMin":"1.2.3"}}]', "ipMin must be an IPv4 or IPv6 address, not '1.2.3'"],
    ['[{"type":"push_eth","src":"1:2","dst":""}]', "src must be an Ethernet address, not '1:2'"],
    ['[{"type":"set","key":{}}]', "key must be one key attribute, not 'none'"],
    [
      '[{"type":"raw","attr":1,"data":"12"}]',
      "data must be '0x' and an even number of hexadecimal digits, not '12'",
    ],
  ])('%s is refused', (json, message) => {
    expect(refusal(() => encodeActions(JSON.parse(json))).message).toContain(message);
  });

  test('is written whole wherever the memory of the writer has to grow', () => {
    const sets: Action[] = Array.from({ length: 400 }, (_, i) => ({ type: 'set', key: { skb_mark: i + 1 } }));
    for (let pops = 0; pops < 3; pops++) {
      const actions: Action[] = [
        ...Array.from({ length: pops }, () => ({ type: 'pop_vlan' }) as const),
        ...sets,
      ];
      const encoded = encodeActions(actions);
      expect(decodeActions(encoded)).toEqual(actions);
      expect(hex(parseActions(formatActions(encoded)))).toBe(hex(encoded));
    }
  });

  test('does not encode more than an attribute can hold', () => {
    const data = `0x${'00'.repeat(40000)}`;
    const half: Action = { type: 'userspace', pid: 1, userdata: data };
    expect(refusal(() => encodeActions([half, half])).code).toBe('E2BIG');
    expect(refusal(() => encodeActions([{ type: 'clone', actions: [half, half] }])).code).toBe('E2BIG');
    expect(refusal(() => encodeActions([{ ...half, userdata: `${data}${data.slice(2)}` }])).code).toBe(
      'E2BIG',
    );
  });
});

describe('table', () => {
  test('has a row for every action', () => {
    expect(ACTIONS.map((row) => row.attr)).toEqual(Object.values(ACTION_ATTR));
    expect(actionTable().split('\n')).toHaveLength(ACTIONS.length + 2);
  });
});
