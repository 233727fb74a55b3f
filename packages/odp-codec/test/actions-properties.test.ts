/** What holds for all actions: the three forms convert into each other, and nothing but an OdpError is ever thrown. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  ACTION_ATTR,
  type Action,
  type Cookie,
  decodeActions,
  encodeActions,
  formatActions,
  type Nat,
  parseActions,
} from '../src/actions/index.js';
import { OdpError } from '../src/errors.js';

const u8 = fc.integer({ min: 0, max: 0xff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const upTo = (max: number) => fc.integer({ min: 0, max });
const blob = (minLength: number, maxLength: number) =>
  fc.uint8Array({ minLength, maxLength }).map((bytes) => `0x${Buffer.from(bytes).toString('hex')}`);
const mac = fc
  .uint8Array({ minLength: 6, maxLength: 6 })
  .map((bytes) => Buffer.from(bytes).toString('hex').match(/../g)!.join(':'));
const ipv4 = fc.uint8Array({ minLength: 4, maxLength: 4 }).map((bytes) => bytes.join('.'));
const label = { label: upTo(0xfffff), tc: upTo(7), ttl: u8, bos: upTo(1) };

const cookie: fc.Arbitrary<Cookie> = fc.oneof(
  fc.record({
    type: fc.constant('sFlow' as const),
    vlanTci: upTo(0xefff).map((tci) => (tci === 0 ? 0 : tci | 0x1000)),
    output: u32,
  }),
  fc.record({ type: fc.constant('slow_path' as const), reason: upTo(0x7f) }),
  fc.record({
    type: fc.constant('flow_sample' as const),
    probability: u16,
    collectorSetId: u32,
    obsDomainId: u32,
    obsPointId: u32,
    outputPort: u32,
    direction: upTo(2),
  }),
  fc.record({ type: fc.constant('ipfix' as const), outputPort: u32 }),
  fc.record({
    type: fc.constant('controller' as const),
    dontSend: fc.boolean(),
    continuation: fc.boolean(),
    reason: u16,
    recircId: u32,
    ruleCookie: u32.map((value) => `0x${value.toString(16)}`),
    controllerId: u16,
    maxLen: u16,
  }),
);

/** Ranges that go forward, since text has no others. */
const nat: fc.Arbitrary<Nat> = fc.oneof(
  fc.constant({}),
  fc.record({ src: fc.constant(true as const) }),
  fc.record({
    dst: fc.constant(true as const),
    ipMin: ipv4,
    protoMin: fc.integer({ min: 1, max: 0xffff }),
    persistent: fc.constant(true as const),
  }),
  fc.record({
    src: fc.constant(true as const),
    ipMin: fc.constant('fe80::1'),
    ipMax: fc.integer({ min: 2, max: 0xffff }).map((last) => `fe80::${last.toString(16)}`),
  }),
);

/** Actions that text says exactly. */
const { actions } = fc.letrec<{ action: Action; actions: Action[] }>((tie) => ({
  actions: fc.array(tie('action'), { maxLength: 4, depthIdentifier: 'list' }),
  action: fc.oneof(
    { depthSize: 'small', depthIdentifier: 'list' },
    fc.record({ type: fc.constant('output' as const), port: u32 }),
    fc.record({ type: fc.constant('userspace' as const), pid: u32, userdata: fc.oneof(cookie, blob(8, 40)) }),
    fc.record({
      type: fc.constant('set' as const),
      key: fc.record({ eth: fc.record({ src: mac, dst: mac }) }),
    }),
    fc.record({
      type: fc.constant('set_masked' as const),
      key: fc.record({ tcp: fc.record({ src: u16, dst: u16 }) }),
      mask: fc.record({
        tcp: fc.record({ src: fc.integer({ min: 1, max: 0xfffe }), dst: fc.constant(0xffff) }),
      }),
    }),
    fc.record({
      type: fc.constant('push_vlan' as const),
      tpid: u16,
      vid: upTo(0xfff),
      pcp: upTo(7),
      cfi: upTo(1),
    }),
    fc.constant({ type: 'pop_vlan' as const }),
    fc.record({ type: fc.constant('recirc' as const), id: u32 }),
    fc.record({ type: fc.constant('hash' as const), algorithm: upTo(1), basis: u32 }),
    fc.record({ type: fc.constant('push_mpls' as const), ...label, ethType: u16 }),
    fc.record({ type: fc.constant('add_mpls' as const), ...label, ethType: u16, tunFlags: fc.constant(0) }),
    fc.record({ type: fc.constant('pop_mpls' as const), ethType: u16 }),
    fc.record(
      {
        type: fc.constant('ct' as const),
        commit: fc.constant(true as const),
        zone: fc.integer({ min: 1, max: 0xffff }),
        mark: fc.record({ value: u32, mask: fc.integer({ min: 1, max: 0xffff_ffff }) }),
        helper: fc.constantFrom('ftp', 'tftp', 'a-name_of.15b'),
        timeout: fc.constantFrom('t', 'ovs_tp_1_tcp4'),
        nat,
      },
      { requiredKeys: ['type'] },
    ),
    fc.record({ type: fc.constant('trunc' as const), maxLen: u32 }),
    fc.record({ type: fc.constant('push_eth' as const), src: mac, dst: mac }),
    fc.record({
      type: fc.constant('push_nsh' as const),
      flags: upTo(3),
      ttl: upTo(0x3f),
      mdtype: fc.constant(1),
      np: u8,
      spi: upTo(0xffffff),
      si: u8,
      context: fc.tuple(u32, u32, u32, u32),
    }),
    fc.record({ type: fc.constant('meter' as const), id: u32 }),
    fc.record({ type: fc.constant('tnl_pop' as const), port: u32 }),
    fc.record({ type: fc.constant('lb_output' as const), bond: u32 }),
    fc.record({
      type: fc.constant('psample' as const),
      group: u32,
      cookie: blob(1, 15).map((data) => `0x1f${data.slice(2)}`),
    }),
    fc.record({ type: fc.constant('clone' as const), actions: tie('actions') }),
    fc.record({ type: fc.constant('dec_ttl' as const), actions: tie('actions') }),
    fc.record({
      type: fc.constant('sample' as const),
      probability: fc.constantFrom(0, 0xffff_ffff),
      actions: tie('actions'),
    }),
    fc.record({
      type: fc.constant('check_pkt_len' as const),
      size: u16,
      greater: tie('actions'),
      lessEqual: tie('actions'),
    }),
  ),
}));

/** Runs `act`; undefined when it ends in an OdpError, and any other exception goes on. */
function attempt<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch (error) {
    if (error instanceof OdpError) return undefined;
    throw error;
  }
}

test('decode is the inverse of encode, also through JSON', () => {
  fc.assert(
    fc.property(actions, (list) => {
      expect(decodeActions(encodeActions(JSON.parse(JSON.stringify(list))))).toEqual(list);
    }),
  );
});

test('parse is the inverse of format', () => {
  fc.assert(
    fc.property(actions, (list) => {
      // The empty list prints as `drop`, which reads as an action.
      fc.pre(list.length > 0);
      const bytes = encodeActions(list);
      expect(decodeActions(parseActions(formatActions(bytes)))).toEqual(list);
    }),
    { numRuns: 300 },
  );
});

/** Attributes of any type, with payloads that often are attributes again. */
const { attributes } = fc.letrec<{ attributes: Uint8Array }>((tie) => ({
  attributes: fc
    .array(
      fc.record({
        type: fc.oneof(upTo(40), fc.constantFrom(...Object.values(ACTION_ATTR))),
        payload: fc.oneof(
          { depthSize: 'medium', withCrossShrink: true },
          fc.uint8Array({ maxLength: 24 }),
          fc.uint8Array({ minLength: 48, maxLength: 48 }),
          tie('attributes'),
        ),
      }),
      { maxLength: 4 },
    )
    .map((list) =>
      Uint8Array.from(
        list.flatMap(({ type, payload }) => {
          const length = payload.length + 4;
          const padding = new Array<number>(-payload.length & 3).fill(0);
          return [length & 0xff, length >> 8, type, 0, ...payload, ...padding];
        }),
      ),
    ),
}));

test('every list of attributes prints, or is refused, and comes back from its model', () => {
  fc.assert(
    fc.property(attributes, (bytes) => {
      attempt(() => formatActions(bytes));
      expect(encodeActions(JSON.parse(JSON.stringify(decodeActions(bytes))))).toEqual(bytes);
    }),
    { numRuns: 2000 },
  );
});

test('arbitrary bytes make nothing else than an OdpError', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      attempt(() => formatActions(bytes));
      attempt(() => decodeActions(bytes));
    }),
    { numRuns: 2000 },
  );
});

/** Pieces of text that lead far into the parser. */
const pieces = fc.constantFrom(
  ...'ct( nat( src= clone( set( ipv4( eth( userspace(pid= ,userdata( slow_path( push_vlan(vid= psample( group=1'.split(
    ' ',
  ),
  ...',cookie=0x check_pkt_len(size= gt( ),le( sample(sample= %,actions( push_nsh( mdtype=2, md2=0x tnl_push('.split(
    ' ',
  ),
  ...'tnl_port(1),header(size=42,type=3, 10.0.0.1 fe80::1 0x -1 99999999999999999999 drop recirc( nsh( ) ) ) , ,'.split(
    ' ',
  ),
);
const text = fc.oneof(
  fc.string({ maxLength: 40 }),
  fc.array(fc.oneof(pieces, fc.string({ maxLength: 3 })), { maxLength: 16 }).map((parts) => parts.join('')),
);

test('arbitrary text makes nothing else than an OdpError that names a column of it', () => {
  fc.assert(
    fc.property(text, fc.boolean(), (input, strict) => {
      try {
        parseActions(input, { strict });
      } catch (error) {
        if (!(error instanceof OdpError)) throw error;
        expect(error.column).toBeGreaterThanOrEqual(1);
        expect(error.column).toBeLessThanOrEqual(input.length + 1);
        expect(error.expected).toBeTruthy();
      }
    }),
    { numRuns: 3000 },
  );
});

test('what a strict reader accepts, any reader accepts alike', () => {
  fc.assert(
    fc.property(actions, text, upTo(80), (list, insertion, at) => {
      const printed = formatActions(encodeActions(list));
      const damaged = printed.slice(0, at) + insertion.slice(0, 4) + printed.slice(at);
      const strict = attempt(() => parseActions(damaged, { strict: true }));
      if (strict !== undefined) expect(parseActions(damaged)).toEqual(strict);
    }),
    { numRuns: 1000 },
  );
});
