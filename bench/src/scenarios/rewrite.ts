/** As forward.ts, with flows that rewrite headers. */

import { ovsDpdk } from '../peers/ovs-dpdk.js';
import { contest, type Point } from '../replay/contest.js';
import { ETHERNET, frameOf, OUT, tupleOf, writeCaptures } from '../replay/workload.js';
import type { Options, Row, Scenario } from '../scenario.js';

const ACTIONS =
  'set(eth(src=02:00:00:00:00:11,dst=02:00:00:00:00:12)),' +
  'set(ipv4(src=192.0.2.1,dst=192.0.2.2,tos=0,ttl=63)),push_vlan(vid=5,pcp=0)';

function point(tuples: number): Point {
  return {
    name: `set eth, set ipv4, push_vlan; ${tuples} five-tuple${tuples === 1 ? '' : 's'}`,
    quick: tuples === 1000,
    axis: { label: 'five-tuples', value: tuples },
    workload(folder) {
      const frame = frameOf();
      const frames = Array.from({ length: tuples }, (_, i) => frame(tupleOf(i)));
      const flow = `recirc_id(0),in_port(@1),packet_type(ns=0,id=0),${ETHERNET},ipv4(frag=no)`;
      return {
        captures: writeCaptures(folder, frames, tuples),
        flows: [{ flow, actions: `${ACTIONS},${OUT}` }],
      };
    },
  };
}

export const rewrite: Scenario = {
  name: 'rewrite',
  about: 'as forward, with actions that set Ethernet and IPv4 fields and push a VLAN tag',
  run: (options: Options): Promise<Row[]> =>
    contest('rewrite', [1, 1000, 100_000].map(point), [ovsDpdk], options),
};
