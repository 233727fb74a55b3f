/** Keys by property: the three forms agree for any canonical key, and no input does worse than an OdpError. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  decodeKey,
  encodeKey,
  flowToKey,
  flowToMask,
  flowToMetadataKey,
  formatFlowKey,
  KEY_ATTRIBUTES,
  KEY_WORDS,
  type KeyModel,
  keyToFlow,
  maskToFlow,
  metadataFromKey,
  NlWriter,
  OdpError,
  parseFlowKey,
  parseFlowKeyExact,
  parseFlowLine,
} from '../src/index.js';

const bytesOf = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length });
const uint = (bits: number): fc.Arbitrary<number> => fc.integer({ min: 0, max: 2 ** bits - 1 });

const mac = bytesOf(6).map((bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':'));
const ipv4 = bytesOf(4).map((bytes) => bytes.join('.'));

const tunnel = fc.record(
  {
    tun_id: fc.bigInt(0n, 2n ** 64n - 1n).map((id) => `0x${id.toString(16)}`),
    src: ipv4,
    dst: ipv4,
    tos: uint(8),
    ttl: uint(8),
    df: fc.constant(true),
    tp_src: uint(16),
    oam: fc.constant(true),
    vxlan: fc.record({ gbp: fc.record({ id: uint(16), flags: fc.integer({ min: 1, max: 255 }) }) }),
    // One option of class 0x0102, type 3, with four bytes of data.
    geneve: bytesOf(4).map(
      (data) => `0x01020301${[...data].map((byte) => byte.toString(16).padStart(2, '0')).join('')}`,
    ),
    gtpu: fc.record({ flags: uint(8), msgtype: uint(8) }),
  },
  { requiredKeys: [] },
);

const nsh = fc.record({
  flags: uint(8),
  ttl: uint(8),
  mdtype: fc.constant(1),
  np: uint(8),
  spi: uint(24),
  si: uint(8),
  c1: uint(32),
  c2: uint(32),
  c3: uint(32),
  c4: uint(32),
});

/** Bits of a payload that have a text, for the attributes where that is not all of them. */
const TEXT_BITS: Readonly<Record<string, readonly (readonly [at: number, bits: number])[]>> = {
  ipv4: [[11, 1]],
  ipv6: [
    [32, 0],
    [33, 0x0f],
    [39, 1],
  ],
  tcp_flags: [[0, 0x0f]],
  ct_state: [
    [1, 0],
    [2, 0],
    [3, 0],
  ],
  arp: [
    [22, 0],
    [23, 0],
  ],
  ct_tuple4: [
    [13, 0],
    [14, 0],
    [15, 0],
  ],
  ct_tuple6: [
    [37, 0],
    [38, 0],
    [39, 0],
  ],
  nd_ext: [
    [5, 0],
    [6, 0],
    [7, 0],
  ],
};

/** An attribute of any row with a fixed length, with any payload that has a text; and those with an inside. */
const attribute: fc.Arbitrary<[name: string, model: unknown]> = fc.oneof(
  {
    weight: 20,
    arbitrary: fc.constantFrom(...KEY_ATTRIBUTES.filter((each) => each.length > 0)).chain((each) =>
      bytesOf(each.length).map((payload): [string, unknown] => {
        for (const [at, bits] of TEXT_BITS[each.name] ?? []) payload[at] = payload[at]! & bits;
        const out = new NlWriter();
        out.put(each.type, payload);
        const model: Readonly<Record<string, unknown>> = { ...decodeKey(out.finish()) };
        return [each.name, model[each.name]];
      }),
    ),
  },
  { weight: 2, arbitrary: tunnel.map((model): [string, unknown] => ['tunnel', model]) },
  { weight: 1, arbitrary: nsh.map((model): [string, unknown] => ['nsh', model]) },
  {
    weight: 1,
    arbitrary: fc
      .array(fc.record({ label: uint(20), tc: uint(3), ttl: uint(8), bos: uint(1) }), {
        minLength: 1,
        maxLength: 3,
      })
      .map((model): [string, unknown] => ['mpls', model]),
  },
);

/** A model of a key: any attributes in any order, and some of them inside encap. */
const model: fc.Arbitrary<Record<string, unknown>> = fc
  .tuple(
    fc.array(attribute, { maxLength: 8 }),
    fc.option(fc.array(attribute, { maxLength: 4 }), { nil: undefined }),
  )
  .map(([outer, inner]) => ({
    ...Object.fromEntries(outer),
    ...(inner === undefined ? {} : { encap: Object.fromEntries(inner) }),
  }));

/** Generated models have the shape by construction, and those that do not are there to be refused at run time. */
const encode = (given: object): Uint8Array => encodeKey(given as KeyModel);

test('model -> bytes -> model, bytes -> model -> bytes, also through JSON', () => {
  fc.assert(
    fc.property(model, (given) => {
      const bytes = encode(given);
      expect(decodeKey(bytes)).toEqual(given);
      expect(encodeKey(JSON.parse(JSON.stringify(decodeKey(bytes))))).toEqual(bytes);
    }),
    { numRuns: 500 },
  );
});

test('bytes -> text -> bytes; only the flags of a tunnel move to its end', () => {
  fc.assert(
    fc.property(model, (given) => {
      const bytes = encode(given);
      if (bytes.length === 0) return;
      const again = parseFlowKeyExact(formatFlowKey(bytes));
      expect(decodeKey(again)).toEqual(given);
      expect(Object.keys(decodeKey(again))).toEqual(Object.keys(given));
      if (!JSON.stringify(given).includes('"tunnel"')) expect(again).toEqual(bytes);
    }),
    { numRuns: 500 },
  );
});

const FULLY_MASKABLE = [
  'skb_mark',
  'dp_hash',
  'eth',
  'tcp',
  'udp',
  'sctp',
  'icmp',
  'arp',
  'nd',
  'ct_mark',
  'ct_label',
  'ct_zone',
  'packet_type',
  'ct_tuple4',
  'ct_tuple6',
];

test('key and mask -> verbose text -> key and mask, where every bit of a mask has a text', () => {
  const rows = KEY_ATTRIBUTES.filter(({ name }) => FULLY_MASKABLE.includes(name));
  const pair = fc.constantFrom(...rows).chain(({ type, name, length }) =>
    fc.tuple(bytesOf(length), bytesOf(length)).map((payloads) => {
      for (const payload of payloads)
        for (const [at, bits] of TEXT_BITS[name] ?? []) payload[at] = payload[at]! & bits;
      return payloads.map((payload) => {
        const out = new NlWriter();
        out.put(type, payload);
        return out.finish();
      });
    }),
  );
  fc.assert(
    fc.property(pair, ([key, mask]) => {
      const text = formatFlowKey(key!, mask, { verbose: true });
      expect(parseFlowKey(text)).toEqual({ key, mask });
    }),
    { numRuns: 500 },
  );
});

test('a row that a perfect key fills encodes to a perfect key of the same row', () => {
  const ether = fc.record({ src: mac, dst: mac });
  const ports = fc.record({ src: uint(16), dst: uint(16) });
  const perfect = fc.record({
    // All ones is "no port", which has no attribute.
    in_port: fc.integer({ min: 0, max: 2 ** 32 - 2 }),
    skb_mark: uint(32),
    ct_label: fc.bigInt(0n, 2n ** 128n - 1n).map((label) => `0x${label.toString(16)}`),
    eth: ether,
    eth_type: fc.constant(0x0800),
    ipv4: fc.record({
      src: ipv4,
      dst: ipv4,
      proto: fc.constant(17),
      tos: uint(8),
      ttl: uint(8),
      frag: fc.constantFrom('no', 'first'),
    }),
    udp: ports,
  });
  fc.assert(
    fc.property(perfect, (given) => {
      const rows = [new Int32Array(KEY_WORDS), new Int32Array(KEY_WORDS)] as const;
      expect(keyToFlow(encodeKey(given), rows[0]).fitness).toBe('perfect');
      const again = flowToKey(rows[0]);
      expect(keyToFlow(again, rows[1]).fitness).toBe('perfect');
      expect(rows[1]).toEqual(rows[0]);
      expect(decodeKey(again)).toMatchObject(given);
    }),
  );
});

/** Runs everything that takes bytes or text; anything thrown but an OdpError fails the property. */
function survives(run: () => unknown): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof OdpError)) throw error;
  }
}

/** Bytes that look like attributes: known types, payloads of any length, and some lengths that are one too large. */
const nearlyKey = fc
  .array(fc.tuple(fc.integer({ min: 0, max: 36 }), fc.uint8Array({ maxLength: 44 }), fc.boolean()), {
    maxLength: 6,
  })
  .map((parts) => {
    const out = new NlWriter();
    for (const [type, payload, tooLong] of parts) {
      const at = out.length;
      out.put(type, payload);
      if (tooLong) out.memory[at] = out.memory[at]! + 1;
    }
    return out.finish();
  });

test('no bytes make anything throw but an OdpError', () => {
  const words = new Int32Array(KEY_WORDS);
  const wild = new Int32Array(KEY_WORDS);
  const anyBytes = fc.oneof(nearlyKey, fc.uint8Array({ maxLength: 120 }));
  fc.assert(
    fc.property(anyBytes, anyBytes, (key, mask) => {
      formatFlowKey(key, mask);
      formatFlowKey(key, mask, { verbose: true });
      keyToFlow(key, words);
      maskToFlow(mask, words, wild);
      flowToMask(words, wild);
      flowToKey(words);
      metadataFromKey(key, words);
      flowToMetadataKey(words);
      survives(() => encodeKey(decodeKey(key)));
    }),
    { numRuns: 3000 },
  );
});

test('encap() nested without end neither throws nor overflows the stack', () => {
  // Innermost first: every level is the one before with a header in front.
  let key = new Uint8Array(0);
  for (let i = 0; i < 4000; i++) {
    const out = new NlWriter(key.length + 4);
    out.put(1, key);
    key = new Uint8Array(out.finish());
  }
  expect(formatFlowKey(key)).toMatch(/^(encap\(){512}/);
  survives(() => decodeKey(key));
  expect(keyToFlow(key, new Int32Array(KEY_WORDS)).fitness).toBe('too_much');
});

const token = fc.oneof(
  fc.constantFrom(
    ...KEY_ATTRIBUTES.map(({ name }) => `${name}(`),
    ...[
      'src=',
      'dst=',
      'vid=',
      'label=',
      'geneve({',
      'class=',
      'len=',
      'erspan(',
      'ver=',
      'vxlan(gbp(',
      'flags(',
      'tun_id=',
    ],
    ...[
      'ufid:',
      'packets:',
      ', bytes:',
      ', used:',
      ', actions:',
      ')',
      '))',
      '}',
      ',',
      '/',
      ' ',
      '-',
      '+',
      '|',
      'syn',
      'trk',
    ],
    ...[
      '0x',
      '0',
      '1.2.3.4',
      'fe80::',
      '00:11:22:33:44:55',
      '99999999999999999999',
      'first',
      '::',
      '\u0000',
      '\ud800',
      '𝔘',
    ],
  ),
  fc.string({ maxLength: 6 }),
);

test('no text makes anything throw but an OdpError', () => {
  fc.assert(
    fc.property(fc.array(token, { maxLength: 14 }), fc.boolean(), (tokens, strict) => {
      const text = tokens.join('');
      survives(() => parseFlowKey(text, { strict }));
      survives(() => parseFlowKeyExact(text, { strict, portNumber: () => 1 }));
      survives(() => parseFlowLine(`${text}, packets:1, bytes:1, used:never, actions:${text}`, { strict }));
    }),
    { numRuns: 3000 },
  );
});

test('no model makes anything throw but an OdpError', () => {
  const names = fc.constantFrom(...KEY_ATTRIBUTES.map(({ name }) => name), 'key99', 'key1', 'nonsense');
  fc.assert(
    fc.property(fc.dictionary(names, fc.anything({ withBigInt: true })), (given) => {
      survives(() => encode(given));
    }),
    { numRuns: 2000 },
  );
});
