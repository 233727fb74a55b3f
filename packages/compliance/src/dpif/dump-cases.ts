/** Cases for flow dumps. */

import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { type Flow, type FlowDump, FP_CREATE } from '@etherloom/core';
import type { DpifCase } from './fixture.js';
import { actions, flow, keyText, udpFrom } from './packets.js';
import { Rig } from './rig.js';

const FLOWS = 500;

/** Puts flows from port 1 to `count`, and says what their keys look like when they come back. */
async function fill(rig: Rig, count = FLOWS): Promise<Set<string>> {
  const texts = new Set<string>();
  for (let from = 1; from <= count; from++) {
    const { key, mask } = flow(udpFrom(5, from));
    await rig.dpif.flowPut({ flags: FP_CREATE, key, mask, actions: actions(String(from)) });
    texts.add(keyText((await rig.dpif.flowGet(key)).key));
  }
  return texts;
}

const text = ({ key }: Flow): string => keyText(key);

async function drain(dump: FlowDump, max: number): Promise<string[]> {
  const texts: string[] = [];
  for (let flows = await dump.next(max); flows.length > 0; flows = await dump.next(max)) {
    assert.ok(flows.length <= max);
    texts.push(...flows.map(text));
  }
  return texts;
}

export const dumpCases: readonly DpifCase[] = [
  {
    name: 'a dump has every flow once, as get returns it',
    cites: 'dpif.h, dpif_flow_dump_start, dpif_flow_dump_next',
    run: (fixture) =>
      Rig.with(fixture, 0, async (rig) => {
        const expected = await fill(rig);
        const dumped = new Map<string, Flow>();
        for await (const item of rig.dpif.flowDump()) {
          assert.ok(!dumped.has(text(item)), 'a flow came twice');
          dumped.set(text(item), item);
        }
        assert.deepEqual(new Set(dumped.keys()), expected);
        const { key } = flow(udpFrom(5, 77));
        const found = await rig.dpif.flowGet(key);
        assert.deepEqual(dumped.get(text(found)), found);
      }),
  },
  {
    name: 'a dump of an empty table is empty, and stays so',
    cites: 'dpif.h, dpif_flow_dump_next: false at the end and from then on',
    run: (fixture) =>
      Rig.with(fixture, 0, async (rig) => {
        const dump = rig.dpif.flowDump();
        assert.deepEqual(await dump.next(10), []);
        await rig.put(udpFrom(5, 1), 'drop');
        assert.deepEqual(await dump.next(10), []);
        await dump.done();
      }),
  },
  {
    name: 'a dump ends when it is done, and done is idempotent',
    cites: 'dpif.h, dpif_flow_dump_done',
    run: (fixture) =>
      Rig.with(fixture, 0, async (rig) => {
        await fill(rig, 20);
        const dump = rig.dpif.flowDump();
        assert.equal((await dump.next(5)).length, 5);
        await dump.done();
        await dump.done();
        assert.deepEqual(await dump.next(5), []);
      }),
  },
  {
    name: 'a dump can be left in the middle, and another one begins at the beginning',
    cites: 'dpif.h, dpif_flow_dump_done before the end',
    run: (fixture) =>
      Rig.with(fixture, 0, async (rig) => {
        const expected = await fill(rig, 100);
        for await (const item of rig.dpif.flowDump()) {
          assert.ok(expected.has(text(item)));
          break;
        }
        assert.deepEqual(new Set(await drain(rig.dpif.flowDump(), 7)), expected);
      }),
  },
  {
    name: 'readers that share a dump get each flow exactly once between them',
    cites: 'dpif.h "Thread-safety", dpif_flow_dump_next',
    run: (fixture) =>
      Rig.with(fixture, 0, async (rig) => {
        const expected = await fill(rig);
        const dump = rig.dpif.flowDump();
        const shares = await Promise.all([drain(dump, 3), drain(dump, 17), drain(dump, 1)]);
        const all = shares.flat();
        assert.equal(all.length, expected.size);
        assert.deepEqual(new Set(all), expected);
      }),
  },
  {
    name: 'while flows come and go a dump has those that stay, and none twice',
    cites: 'dpif.h, dpif_flow_dump: flows may be added and deleted meanwhile',
    run: (fixture) =>
      Rig.with(fixture, 0, async (rig) => {
        await fill(rig);
        const seen = new Set<string>();
        let next = FLOWS;
        for await (const item of rig.dpif.flowDump()) {
          assert.ok(!seen.has(text(item)), 'a flow came twice');
          seen.add(text(item));
          // Every odd flow goes, dumped or not, and others come, under ids that are free now.
          const victim = next - FLOWS + 1;
          if (victim <= FLOWS && victim % 2 === 1) await rig.dpif.flowDel(flow(udpFrom(5, victim)).key);
          next++;
          await rig.put(udpFrom(5, next), 'drop');
          if (next % 50 === 0) await turn();
        }
        for (let from = 2; from <= FLOWS; from += 2) {
          const found = await rig.dpif.flowGet(flow(udpFrom(5, from)).key);
          assert.ok(seen.has(text(found)), `flow ${from} stayed and was not dumped`);
        }
      }),
  },
  {
    name: 'a flow that is deleted and put again during a dump comes once at most',
    cites: 'FlowDump: none is returned twice',
    run: (fixture) =>
      Rig.with(fixture, 0, async (rig) => {
        await fill(rig, 50);
        const seen: string[] = [];
        for await (const item of rig.dpif.flowDump()) {
          seen.push(text(item));
          const { key, mask, actions: list } = item;
          await rig.dpif.flowDel(key);
          // One that stands in front, so that the next one gets another place.
          if (seen.length < 25) await rig.put(udpFrom(5, 1000 + seen.length), 'drop');
          await rig.dpif.flowPut({ flags: FP_CREATE, key, mask, actions: list });
        }
        assert.equal(new Set(seen).size, seen.length);
        assert.equal(seen.length, 50);
      }),
  },
  {
    name: 'flushing during a dump ends it without harm',
    cites: 'dpif.h, dpif_flow_flush, dpif_flow_dump_next',
    run: (fixture) =>
      Rig.with(fixture, 0, async (rig) => {
        await fill(rig, 100);
        const dump = rig.dpif.flowDump();
        assert.equal((await dump.next(10)).length, 10);
        await rig.dpif.flowFlush();
        assert.deepEqual(await drain(dump, 10), []);
      }),
  },
];
