/**
 * As forward.ts, with 10,000 flows of many different masks, hit uniformly and in no order by 100,000 five-tuples: ten per
 * flow. Masks are pairs of prefix lengths, as routes have them.
 */

import { ovsDpdk, ovsDpdkSmc } from '../peers/ovs-dpdk.js';
import { contest, type Point } from '../replay/contest.js';
import {
  ETHERNET,
  type FlowLine,
  frameOf,
  OUT,
  shuffle,
  type Tuple,
  writeCaptures,
} from '../replay/workload.js';
import type { Options, Row, Scenario } from '../scenario.js';

const RULES = 10_000;
const TUPLES_PER_RULE = 10;

const dotted = (address: number): string =>
  [24, 16, 8, 0].map((shift) => (address >>> shift) & 0xff).join('.');
const prefix = (bits: number): number => (-1 << (32 - bits)) >>> 0;

/** The first byte of the source says which mask a rule has, so that no two rules overlap. */
function addresses(rule: number, masks: number): { source: number; target: number } {
  const index = Math.floor(rule / masks);
  return {
    source: (((1 + (rule % masks)) << 24) | ((index & 0xff) << 16)) >>> 0,
    target: (0x0a000000 | ((index >> 8) << 16)) >>> 0,
  };
}

function flowOf(rule: number, masks: number): FlowLine {
  const mask = rule % masks;
  const { source, target } = addresses(rule, masks);
  const sourceBits = 16 + (mask % 10);
  const targetBits = 16 + Math.floor(mask / 10);
  const from = `${dotted(source)}/${dotted(prefix(sourceBits))}`;
  const to = `${dotted(target)}/${dotted(prefix(targetBits))}`;
  return {
    flow: `recirc_id(0),in_port(@1),packet_type(ns=0,id=0),${ETHERNET},ipv4(src=${from},dst=${to},frag=no)`,
    actions: OUT,
  };
}

function tupleOf(rule: number, variant: number, masks: number): Tuple {
  const { source, target } = addresses(rule, masks);
  // Below all prefixes, which end at bit 25.
  return { source: source + 1 + variant, target: target + 1, sourcePort: 1000 + variant, targetPort: 2000 };
}

function point(masks: number): Point {
  return {
    name: `${masks} masks`,
    quick: masks === 20,
    axis: { label: 'masks', value: masks },
    workload(folder) {
      const frame = frameOf();
      const frames: Uint8Array[] = [];
      for (let rule = 0; rule < RULES; rule++) {
        for (let variant = 0; variant < TUPLES_PER_RULE; variant++)
          frames.push(frame(tupleOf(rule, variant, masks)));
      }
      return {
        captures: writeCaptures(folder, shuffle(frames), frames.length),
        flows: Array.from({ length: RULES }, (_, rule) => flowOf(rule, masks)),
      };
    },
  };
}

export const masks: Scenario = {
  name: 'masks',
  about: '10,000 flows of 1 to 100 masks, 100,000 five-tuples that hit them uniformly',
  run: (options: Options): Promise<Row[]> =>
    contest('masks', [1, 2, 4, 10, 20, 50, 100].map(point), [ovsDpdk, ovsDpdkSmc], options),
};
