/** The truth table of flow puts: every combination of flags, for a key that is there, one that overlaps, one that is not. */

import assert from 'node:assert/strict';
import { type ErrnoCode, FP_CREATE, FP_MODIFY, FP_ZERO_STATS, NO_STATS } from '@etherloom/core';
import { rejects } from '../netdev/tools.js';
import type { DpifCase, DpifFeature } from './fixture.js';
import { actionsText, flow, raw, rawFlow } from './packets.js';
import { Rig } from './rig.js';

type State = 'is there' | 'overlaps' | 'is not there';
type Outcome = 'added' | 'replaced' | ErrnoCode;

const CREATE_MODIFY = FP_CREATE | FP_MODIFY;
const FLAG_NAMES: readonly (readonly [flags: number, name: string])[] = [
  [0, 'no flags'],
  [FP_CREATE, 'CREATE'],
  [FP_MODIFY, 'MODIFY'],
  [CREATE_MODIFY, 'CREATE and MODIFY'],
];

/** dpif.h, enum dpif_flow_put_flags: what is not allowed fails with what stands in its way. */
const TABLE: Readonly<Record<State, readonly Outcome[]>> = {
  'is there': ['EEXIST', 'EEXIST', 'replaced', 'replaced'],
  overlaps: ['ENOENT', 'EEXIST', 'ENOENT', 'EEXIST'],
  'is not there': ['ENOENT', 'added', 'ENOENT', 'added'],
};

const NEEDS: Partial<Record<State, DpifFeature>> = { overlaps: 'overlap' };

async function check(rig: Rig, state: State, flags: number, outcome: Outcome): Promise<void> {
  const port = rig.ports[0]!;
  const there = rawFlow(port.no);
  await rig.put(there, '3');
  await port.far.send([raw(100)]);
  const before = await rig.seen(there, 1);
  const key = {
    'is there': there,
    overlaps: `in_port(${port.no}),eth(src=02:ee:00:00:00:07),eth_type(0x88b5)`,
    'is not there': `in_port(${port.no}),eth(),eth_type(0x88b6)`,
  }[state];
  const put = rig.put(key, '4,5', flags);
  if (outcome === 'added') assert.deepEqual(await put, NO_STATS, 'a new flow had no packets');
  else if (outcome === 'replaced') assert.deepEqual(await put, before, 'the statistics before the change');
  else await rejects(outcome, put);

  const found = await rig.dpif.flowGet(flow(there).key);
  assert.equal(actionsText(found.actions), outcome === 'replaced' ? '4,5' : '3');
  const zeroed = outcome === 'replaced' && (flags & FP_ZERO_STATS) !== 0;
  assert.deepEqual(found.stats, zeroed ? NO_STATS : before);
  assert.equal((await rig.dpif.getDpStats()).flows, outcome === 'added' ? 2 : 1);
  if (outcome !== 'added') return;
  const added = await rig.dpif.flowGet(flow(key).key);
  assert.deepEqual([actionsText(added.actions), added.stats], ['4,5', NO_STATS]);
}

function caseOf(
  state: State,
  zero: number,
  [flags, flagsName]: readonly [number, string],
  outcome: Outcome,
): DpifCase {
  const name = `a put with ${flagsName}${zero === 0 ? '' : ' and ZERO_STATS'} of a key that ${state} is ${outcome}`;
  const needs = NEEDS[state];
  return {
    name,
    cites: 'dpif.h, enum dpif_flow_put_flags; struct dpif_flow_put stats',
    ...(needs !== undefined && { needs }),
    run: (fixture) => Rig.with(fixture, 1, (rig) => check(rig, state, flags | zero, outcome)),
  };
}

const STATES: readonly State[] = ['is there', 'overlaps', 'is not there'];

export const putCases: readonly DpifCase[] = STATES.flatMap((state) =>
  [0, FP_ZERO_STATS].flatMap((zero) =>
    FLAG_NAMES.map((flags, i) => caseOf(state, zero, flags, TABLE[state][i]!)),
  ),
);
