/** Planning ahead: what the switch decides while the operations of the batch before are still under way. */

import { DpifError, type DpifOp, type OpResult, type Upcall } from '@etherloom/core';
import { parseFlowKey } from '@etherloom/odp-codec';
import { beforeEach, describe, expect, it } from 'vitest';
import { LEARNING_DEFAULTS, newPlan, type Plan, Planner } from '../src/learning/planner.js';

const A = '02:00:00:00:00:0a';
const B = '02:00:00:00:00:0b';

/** An upcall for a UDP packet; `tp` is nothing that the switch matches, but part of the key. */
function miss(inPort: number, src: string, dst: string, tp = 1): Upcall {
  const { key } = parseFlowKey(
    `in_port(${inPort}),eth(src=${src},dst=${dst}),eth_type(0x0800),` +
      `ipv4(src=10.0.0.1,dst=10.0.0.2,proto=17,tos=0,ttl=64,frag=no),udp(src=${tp},dst=53)`,
  );
  return { type: 'miss', packet: new Uint8Array(60), key, pid: 1 };
}

let planner: Planner;

function plan(...upcalls: Upcall[]): Plan {
  const made = newPlan();
  planner.handle(upcalls, 1000, made);
  return made;
}

/** Every operation succeeds but those that `fails` names an error for. */
function settle(made: Plan, fails: (op: DpifOp) => DpifError | undefined = () => undefined): void {
  const results = made.ops.map((op): OpResult => {
    const error = fails(op);
    return error === undefined ? {} : { error };
  });
  expect(planner.settle(made, results)).toEqual([]);
}

const types = ({ ops }: Plan): string[] => ops.map(({ type }) => type);

beforeEach(() => {
  planner = new Planner(LEARNING_DEFAULTS);
  const ports = newPlan();
  planner.setPorts(new Map([1, 2, 3].map((port) => [port, `p${port}`])), ports);
});

describe('planning ahead', () => {
  it('puts no flow again whose put is under way, and puts it again once that came to nothing', () => {
    const first = plan(miss(1, A, B, 1));
    expect(types(first)).toEqual(['flowPut', 'execute']);
    const second = plan(miss(1, A, B, 2));
    expect(types(second)).toEqual(['execute']);
    settle(first, ({ type }) =>
      type === 'flowPut' ? new DpifError('EEXIST', 'of somebody else') : undefined,
    );
    settle(second);
    expect(planner.flows).toBe(0);
    expect(types(plan(miss(1, A, B, 3)))).toEqual(['flowPut', 'execute']);
  });

  it('deletes flows whose put is under way, in the order of what the packets taught', () => {
    const first = plan(miss(1, A, B));
    const second = plan(miss(2, A, B));
    expect(types(second)).toEqual(['flowDel', 'flowPut', 'execute']);
    expect(second.ops[0]).toMatchObject({ key: miss(1, A, B).key });
    settle(first);
    settle(second);
    expect(planner.flows).toBe(1);
  });

  it('deletes a flow by both keys while it is not known which of them it has', () => {
    settle(plan(miss(1, A, B, 1)));
    // Somebody deleted it, and it comes back under the key of another packet.
    const again = plan(miss(1, A, B, 2));
    expect(types(again)).toEqual(['flowPut', 'execute']);
    const moved = plan(miss(2, A, B, 3));
    const deleted = moved.ops.filter((op) => op.type === 'flowDel').map((op) => op.key);
    expect(deleted).toEqual([miss(1, A, B, 1).key, miss(1, A, B, 2).key]);
    settle(again);
    settle(moved, (op) =>
      op.type === 'flowDel' && op.key === deleted[0] ? new DpifError('ENOENT', 'no such flow') : undefined,
    );
    // The flow that took its number has nothing of it.
    const back = plan(miss(1, A, B, 4));
    expect(types(back)).toEqual(['flowDel', 'flowPut', 'execute']);
  });

  it('knows the key under which a flow came back', () => {
    settle(plan(miss(1, A, B, 1)));
    settle(plan(miss(1, A, B, 2)));
    const moved = plan(miss(2, A, B, 3));
    expect(moved.ops[0]).toEqual({ type: 'flowDel', key: miss(1, A, B, 2).key });
    expect(types(moved)).toEqual(['flowDel', 'flowPut', 'execute']);
  });

  it('goes on when nobody knows how a batch went', () => {
    const lost = plan(miss(1, A, B));
    expect(planner.settle(lost, [])).toEqual([]);
    expect(types(plan(miss(1, A, B)))).toEqual(['flowPut', 'execute']);
  });
});
