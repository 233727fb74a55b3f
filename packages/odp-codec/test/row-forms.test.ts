/** Rows encoded as others like them are encoded as by themselves. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { flowToKey, flowToMask, KEY_WORDS, keyToFlow, parseFlowKeyExact, RowForms } from '../src/index.js';
import { KEY_TEXTS } from './key-texts.js';

const ROWS = [
  ...KEY_TEXTS,
  'in_port(1),eth(),eth_type(0x8847),mpls(label=1,tc=0,ttl=9,bos=1)',
  'tunnel(tun_id=0x1,src=1.1.1.1,dst=2.2.2.2,ttl=64,flags(key)),in_port(1),eth(),eth_type(0x88b5)',
  'in_port(1),eth(),eth_type(0x0800),ct_tuple4(src=1.1.1.1,dst=2.2.2.2,proto=6,tp_src=1,tp_dst=2),ipv4()',
  'eth(),eth_type(0x0806),arp()',
  'in_port(1),packet_type(ns=1,id=0x800),eth_type(0x0800),ipv4(proto=17),udp()',
].map((text) => {
  const row = new Int32Array(KEY_WORDS);
  keyToFlow(parseFlowKeyExact(text), row);
  return row;
});

const FULL = new Int32Array(KEY_WORDS).fill(-1);
const SOME = Int32Array.from({ length: KEY_WORDS }, (_, word) => (word < 12 ? 0xffff : 0));
const NONE = new Int32Array(KEY_WORDS);

it('keys and masks are what flowToKey and flowToMask make, whatever came before', () => {
  const change = fc.record({
    row: fc.constantFrom(...ROWS),
    words: fc.array(
      fc.tuple(
        fc.nat(KEY_WORDS - 1),
        fc.oneof(
          fc.integer(),
          fc.nat(31).map((bit) => 1 << bit),
        ),
      ),
      {
        maxLength: 4,
      },
    ),
    mask: fc.constantFrom(undefined, FULL, SOME, NONE),
    support: fc.constantFrom({ vlanLimit: 1 }, { vlanLimit: 2 }),
  });
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 20 }), (changes) => {
      const forms = new Map(changes.map(({ support }) => [support, new RowForms(support)]));
      for (const { row, words, mask, support } of changes) {
        const other = row.slice();
        for (const [word, value] of words) other[word] = other[word]! ^ value;
        expect(forms.get(support)!.key(other, 0, mask)).toEqual(flowToKey(other, 0, support, mask));
        if (mask === undefined) continue;
        expect(forms.get(support)!.mask(other, mask)).toEqual(flowToMask(other, mask, 0, 0, support));
      }
    }),
    { numRuns: 300 },
  );
});

it('remembers more kinds of rows than it keeps', () => {
  const forms = new RowForms();
  for (let type = 0x600; type < 0x800; type++) {
    const row = ROWS[11]!.slice();
    row[6] = type << 16;
    for (let again = 0; again < 2; again++) expect(forms.key(row)).toEqual(flowToKey(row));
  }
});
