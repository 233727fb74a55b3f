/** Keys read by their form are read as by themselves. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { flowToKey, KEY_WORDS, KeyForms, keyToFlow, maskToFlow, parseFlowKeyExact } from '../src/index.js';
import { KEY_TEXTS } from './key-texts.js';

const KEYS = KEY_TEXTS.map((text) => parseFlowKeyExact(text));

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

  it('learns no form of keys with attributes beside encap() that their rows take no notice of', () => {
    const key = KEYS[9]!;
    const sctp = Uint8Array.of(8, 0, 17, 0, 0, 1, 0, 2);
    const more = Uint8Array.of(...key, ...sctp);
    expect(read(more)).toEqual(read(key));
    expect(new KeyForms(8, () => 0).learn(more, read(more).row)).toBeUndefined();
    sctp.fill(0, 4);
    const nothing = Uint8Array.of(...key, ...sctp);
    expect(new KeyForms(8, () => 0).learn(nothing, read(nothing).row)).toBeUndefined();
    expect(new KeyForms(8, () => 0).learn(key, read(key).row)?.row).toEqual(read(key).row);
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
  });
});
