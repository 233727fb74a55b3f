/** Keys read by their form are read as by themselves. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { flowToKey, KEY_WORDS, KeyForms, keyToFlow, maskToFlow, parseFlowKeyExact } from '../src/index.js';

const METADATA =
  'recirc_id(7),dp_hash(0x9),skb_priority(0x5),in_port(3),skb_mark(0x77),ct_state(trk|new),ct_zone(0x1234),' +
  'ct_mark(0x55),ct_label(0x1122334455667788),packet_type(ns=0,id=0),';
const ETH = 'eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),';
const IPV4 = 'eth_type(0x0800),ipv4(src=1.2.3.4,dst=5.6.7.8,proto=6,tos=1,ttl=64,frag=no)';
const IPV6 =
  'eth_type(0x86dd),ipv6(src=fe80::1,dst=fe80::2,label=0x12345,proto=58,tclass=0,hlimit=255,frag=no)';

const KEYS = [
  `${METADATA}${ETH}${IPV4},tcp(src=1,dst=2),tcp_flags(syn)`,
  `in_port(1),${ETH}${IPV4},tcp(src=1,dst=2)`,
  `in_port(1),${ETH}${IPV4.replace('proto=6', 'proto=17')},udp(src=1,dst=2)`,
  `in_port(1),${ETH}${IPV4.replace('proto=6', 'proto=132')},sctp(src=1,dst=2)`,
  `in_port(1),${ETH}${IPV4.replace('proto=6', 'proto=1')},icmp(type=8,code=0)`,
  `in_port(1),${ETH}${IPV4.replace('frag=no', 'frag=later')}`,
  `in_port(1),${ETH}eth_type(0x0806),arp(sip=1.2.3.4,tip=5.6.7.8,op=1,sha=02:00:00:00:00:03,tha=02:00:00:00:00:04)`,
  `in_port(1),${ETH}${IPV6},icmpv6(type=135,code=0),nd(target=fe80::3,sll=02:00:00:00:00:05,tll=00:00:00:00:00:00)`,
  `in_port(1),${ETH}${IPV6},icmpv6(type=128,code=0)`,
  `${METADATA}${ETH}eth_type(0x8100),vlan(vid=5,pcp=3),encap(${IPV4},tcp(src=1,dst=2))`,
  `in_port(1),${ETH}eth_type(0x88a8),vlan(vid=5,pcp=3),encap(eth_type(0x8100),vlan(vid=6,pcp=0),encap(${IPV4},tcp(src=1,dst=2)))`,
  `in_port(1),${ETH}eth_type(0x88b5)`,
  `in_port(1),${ETH.slice(0, -1)}`,
].map((text) => parseFlowKeyExact(text));

const read = (key: Uint8Array) => {
  const row = new Int32Array(KEY_WORDS);
  return { row, ...keyToFlow(key, row) };
};
const learnt = (key: Uint8Array): KeyForms<string> => {
  const forms = new KeyForms(8, () => 'data');
  const { row, fitness } = read(key);
  expect(fitness).toBe('perfect');
  expect(forms.learn(key, row)?.data).toBe('data');
  return forms;
};
const EXACT = new Uint8Array();
const exactMask = (row: Int32Array): Int32Array => {
  const mask = new Int32Array(KEY_WORDS);
  maskToFlow(EXACT, row, mask);
  return mask;
};

describe('KeyForms', () => {
  it('reads what differs in values only, and nothing else, as a parse does', () => {
    const change = fc.tuple(
      fc.nat(),
      fc.oneof(
        fc.nat(255),
        fc.nat(7).map((bit) => 1 << bit),
      ),
      fc.boolean(),
    );
    fc.assert(
      fc.property(fc.constantFrom(...KEYS), fc.array(change, { maxLength: 8 }), (key, changes) => {
        const forms = learnt(key);
        const other = key.slice();
        for (const [at, value, flip] of changes)
          other[at % key.length] = flip ? other[at % key.length]! ^ value : value;
        const form = forms.read(other);
        if (form === undefined) return;
        const { row, fitness } = read(other);
        expect(fitness).toBe('perfect');
        expect([...form.row]).toEqual([...row]);
        // The row says all of the key, and the same masks go with it.
        const again = read(flowToKey(row));
        expect([...again.row]).toEqual([...row]);
        expect([...exactMask(row)]).toEqual([...exactMask(read(key).row)]);
      }),
      { numRuns: 3000 },
    );
  });

  it('finds a form again whatever the addresses, ports and metadata are', () => {
    const forms = learnt(KEYS[0]!);
    const other = parseFlowKeyExact(
      'recirc_id(0),dp_hash(0),skb_priority(0),in_port(65534),skb_mark(0),ct_state(0),ct_zone(0),ct_mark(0),ct_label(0),' +
        'packet_type(ns=0,id=0),eth(src=ff:ff:ff:ff:ff:ff,dst=00:00:00:00:00:00),eth_type(0x0800),' +
        'ipv4(src=255.255.255.255,dst=0.0.0.0,proto=6,tos=0xfc,ttl=1,frag=no),tcp(src=65535,dst=0),tcp_flags(0)',
    );
    expect(forms.read(other)?.row).toEqual(read(other).row);
    const udp = KEYS.map((key) => forms.read(key)).filter((form) => form !== undefined);
    expect(udp).toHaveLength(1);
  });

  it('learns no form of keys whose attributes decide more than their values', () => {
    for (const text of [
      'in_port(1),eth(),eth_type(0x8847),mpls(label=1,tc=0,ttl=9,bos=1)',
      'tunnel(tun_id=0x1,src=1.1.1.1,dst=2.2.2.2,ttl=64,flags(key)),in_port(1),eth(),eth_type(0x88b5)',
      `in_port(1),eth(),eth_type(0x0800),ct_tuple4(src=1.1.1.1,dst=2.2.2.2,proto=6,tp_src=1,tp_dst=2),ipv4()`,
    ]) {
      const key = parseFlowKeyExact(text);
      expect(new KeyForms(8, () => 0).learn(key, read(key).row)).toBeUndefined();
    }
  });

  it('keeps a number of forms; new ones take the place of the oldest, not at once', () => {
    const forms = new KeyForms(2, () => 0);
    const [first, second, third] = [KEYS[0]!, KEYS[2]!, KEYS[4]!];
    for (const key of [first, second]) expect(forms.learn(key, read(key).row)).toBeDefined();
    let tries = 1;
    while (forms.learn(third, read(third).row) === undefined) tries++;
    expect(tries).toBeGreaterThan(1);
    expect(forms.read(first)).toBeUndefined();
    expect(forms.read(second)?.row).toEqual(read(second).row);
    expect(forms.read(third)?.row).toEqual(read(third).row);
    forms.clear();
    expect(forms.read(third)).toBeUndefined();
    expect(forms.learn(third, read(third).row)).toBeDefined();
  });
});
