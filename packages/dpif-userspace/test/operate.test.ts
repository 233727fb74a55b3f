/** Lists of operations, which are read ahead: what comes of each is what comes of it alone. */

import { type DpifOp, FP_CREATE, FP_MODIFY, FP_ZERO_STATS } from '@etherloom/core';
import { parseActions, parseFlowKey } from '@etherloom/odp-codec';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Bench, bench } from './bench.js';

let rig: Bench;
let other: Bench;
beforeEach(async () => {
  rig = await bench();
  other = await bench();
});
afterEach(async () => {
  await rig.close();
  await other.close();
});

/** Few keys and masks, so that operations meet: the same flow, flows that overlap, forms that are known and not. */
const FLOWS = [
  ...[1, 2, 3, 4, 5, 6].map((n) => `in_port(${n % 2}),eth(src=02:00:00:00:00:0${n}),eth_type(0x88b5)`),
  ...[1, 2, 3].map(
    (n) => `in_port(1),eth(),eth_type(0x0800),ipv4(src=10.0.0.${n},proto=17,frag=no),udp(dst=5)`,
  ),
  'in_port(1),eth(),eth_type(0x0800),ipv4(src=10.0.0.0/255.255.255.252,frag=no)',
  'in_port(1),eth(),eth_type(0x0806),arp()',
].map((text) => parseFlowKey(text));
const ACTIONS = ['1', '2,1', 'drop', 'set(ipv4(ttl=9)),2', 'set(udp(src=9)),2'].map((text) =>
  parseActions(text),
);
const BAD = Uint8Array.of(1, 2, 3);

const flow = fc.constantFrom(...FLOWS);
const op: fc.Arbitrary<DpifOp> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .record({
        flow,
        actions: fc.constantFrom(...ACTIONS),
        flags: fc.constantFrom(FP_CREATE, FP_CREATE, FP_MODIFY, FP_CREATE | FP_MODIFY | FP_ZERO_STATS, 64),
      })
      .map(
        ({ flow: { key, mask }, actions, flags }): DpifOp => ({ type: 'flowPut', flags, key, mask, actions }),
      ),
  },
  { weight: 3, arbitrary: flow.map(({ key }): DpifOp => ({ type: 'flowDel', key })) },
  { weight: 2, arbitrary: flow.map(({ key }): DpifOp => ({ type: 'flowGet', key })) },
  {
    weight: 1,
    arbitrary: fc.constantFrom<DpifOp>(
      { type: 'flowDel', key: BAD },
      { type: 'flowPut', flags: FP_CREATE, key: FLOWS[0]!.key, mask: BAD, actions: ACTIONS[0]! },
      { type: 'flowPut', flags: FP_CREATE, key: FLOWS[1]!.key, mask: FLOWS[1]!.mask, actions: BAD },
    ),
  },
);

describe('operate', () => {
  it('has the results of the same operations one by one, and leaves the same flows', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(op, { minLength: 4, maxLength: 100 }), async (ops) => {
        await rig.dpif.flowFlush();
        await other.dpif.flowFlush();
        const together = await rig.dpif.operate(ops);
        for (const [at, each] of ops.entries()) {
          const [alone] = await other.dpif.operate([each]);
          expect(together[at]).toEqual(alone);
        }
        const { flows, masks } = await rig.dpif.getDpStats();
        expect(await other.dpif.getDpStats()).toMatchObject({ flows, masks });
        for (const { key } of FLOWS) {
          const get: DpifOp[] = [{ type: 'flowGet', key }];
          expect(await rig.dpif.operate(get)).toEqual(await other.dpif.operate(get));
        }
      }),
      { numRuns: 200 },
    );
  });

  it('lists that are performed at once on one datapath do not take each other’s keys', async () => {
    const keyOf = (n: number): Uint8Array =>
      parseFlowKey(`in_port(1),eth(src=02:00:00:00:${n >> 8}:0${n % 10}),eth_type(0x88b5)`).key;
    const { mask } = parseFlowKey('in_port(1),eth(src=02:00:00:00:00:00),eth_type(0x88b5)');
    // The first flow's form is learned by now, so that all others are read ahead.
    await rig.dpif.flowPut({ key: keyOf(99), mask, flags: FP_CREATE, actions: ACTIONS[0]! });
    const lists = [10, 11, 12, 13].map((high) =>
      Array.from({ length: 9 }, (_, low): DpifOp => {
        return {
          type: 'flowPut',
          flags: FP_CREATE,
          key: keyOf(high * 256 + low),
          mask,
          actions: ACTIONS[0]!,
        };
      }),
    );
    const put = await Promise.all(lists.map((list) => rig.dpif.operate(list)));
    expect(put.flat().filter(({ error }) => error !== undefined)).toEqual([]);
    expect((await rig.dpif.getDpStats()).flows).toBe(4 * 9 + 1);
    const gone = await Promise.all(
      lists.map((list) =>
        rig.dpif.operate(list.map((each) => ({ type: 'flowDel', key: 'key' in each ? each.key : BAD }))),
      ),
    );
    expect(gone.flat().filter(({ error }) => error !== undefined)).toEqual([]);
    expect((await rig.dpif.getDpStats()).flows).toBe(1);
  });
});
