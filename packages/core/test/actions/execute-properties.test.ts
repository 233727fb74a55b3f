/** What holds for every list of actions on every packet. */

import { parseActions } from '@etherloom/odp-codec';
import { hex } from '@etherloom/testkit';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileActions } from '../../src/actions/compile.js';
import { actionList, anyFrame, handing, packetTypes } from './arbitraries.js';
import { Bench, type Call } from './harness.js';

const RUNS = { numRuns: 400 };

/** Everything that a host can see of a call. */
const seen = ({ what, operand, last, cut, bytes, metadata }: Call): string =>
  `${what} ${operand} ${last} ${cut} ${hex(bytes)} ${metadata.slice(0, 2)} ${metadata.slice(33, 53)} ${metadata.slice(59)}`;

describe('any actions on any packet', () => {
  it('give every frame back, change nothing that the host keeps, and account for the packet', () => {
    const bench = new Bench({ keeps: (call) => call % 2 === 1 });
    fc.assert(
      fc.property(anyFrame, actionList, packetTypes, (frame, actions, packetType) => {
        bench.run(frame, actions, packetType);
        const handed = bench.calls.some(({ what }) => what !== 'extension');
        expect(bench.releaseKept()).toBe(0);
        expect(bench.leaks()).toEqual({ frames: 0, refs: 0 });
        expect(handed || bench.drops.length > 0).toBe(true);
      }),
      RUNS,
    );
  });

  it('count one drop at most when there is one packet only', () => {
    const bench = new Bench();
    fc.assert(
      fc.property(
        anyFrame,
        actionList.filter((text) => !/clone|sample|check/.test(text)),
        (frame, actions) => {
          bench.run(frame, actions);
          expect(bench.drops.length).toBeLessThanOrEqual(1);
          if (bench.calls.every(({ what }) => what === 'extension')) expect(bench.drops.length).toBe(1);
        },
      ),
      RUNS,
    );
  });

  it('neither write outside the packet nor depend on what is there', () => {
    const lists = fc.tuple(anyFrame, actionList, packetTypes, fc.integer());
    fc.assert(
      fc.property(lists, ([frame, actions, packetType, seed]) => {
        const views = [0x00, 0xaa, 0xff].map((paint) => {
          const bench = new Bench({ frames: 20, largeFrames: 1, seed });
          bench.paint(paint);
          bench.run(frame, actions, packetType);
          expect(bench.strayWrites(paint)).toBe(0);
          return [...bench.calls.map(seen), ...bench.drops];
        });
        expect(views[1]).toEqual(views[0]);
        expect(views[2]).toEqual(views[0]);
      }),
      { numRuns: 250 },
    );
  });

  it('do not leak out of a nested list', () => {
    const bench = new Bench({ keeps: (call) => call % 3 === 0 });
    const nested = fc.oneof(
      actionList.map((list) => `clone(${list})`),
      actionList.map((list) => `sample(sample=100%,actions(${list}))`),
      fc
        .tuple(fc.nat(120), actionList, actionList)
        .map(([n, a, b]) => `check_pkt_len(size=${n},gt(${a}),le(${b}))`),
    );
    fc.assert(
      fc.property(anyFrame, nested, packetTypes, (frame, action, packetType) => {
        const untouched = seen(bench.run(frame, '99', packetType).calls.at(-1)!);
        expect(seen(bench.run(frame, `${action},99`, packetType).calls.at(-1)!)).toBe(untouched);
        bench.releaseKept();
        expect(bench.leaks()).toEqual({ frames: 0, refs: 0 });
      }),
      RUNS,
    );
  });

  it('leave a packet that is kept in one frame of the caller', () => {
    const bench = new Bench({ keeps: (call) => call % 2 === 0 });
    fc.assert(
      fc.property(anyFrame, actionList, handing, (frame, actions, last) => {
        bench.load(frame);
        bench.executor.run(compileActions(parseActions(`${actions},${last}`)), true);
        bench.releaseKept();
        expect(bench.leaks()).toEqual({ frames: 1, refs: 1 });
        bench.pool.release(bench.executor.packet.data);
      }),
      RUNS,
    );
  });
});
