/**
 * Frames of 64 bytes from one device in memory to another through the whole datapath, without a kernel: receive (with a
 * copy from the capture into a packet buffer), extract, look up, count, execute, send. One megaflow a port.
 */

import { ovsDpdk } from '../peers/ovs-dpdk.js';
import { contest, type Point } from '../replay/contest.js';
import { ETHERNET, frameOf, OUT, tupleOf, writeCaptures } from '../replay/workload.js';
import type { Options, Row, Scenario } from '../scenario.js';

/** Open vSwitch has 262,144 packet buffers for a port at most, and keeps the capture in them: more come from several. */
const PER_PORT = 250_000;

/** By what the one megaflow matches. */
const KINDS = [
  // As the action NORMAL installs it.
  { name: 'addresses', fields: `${ETHERNET},ipv4(frag=no)` },
  // As an OpenFlow rule by port does: Open vSwitch has a faster way for flows that match no more than this.
  { name: 'port', fields: 'eth(),eth_type(0x0800),ipv4(frag=no)' },
] as const;

const COUNTS = [1, 1000, 10_000, 100_000, 1_000_000];

function point(tuples: number, { name, fields }: (typeof KINDS)[number]): Point {
  return {
    name: `${tuples} five-tuple${tuples === 1 ? '' : 's'}, flow by ${name}`,
    quick: tuples === 1000,
    axis: { label: 'five-tuples', value: tuples, series: `flow by ${name}` },
    workload(folder) {
      const frame = frameOf();
      const frames = Array.from({ length: tuples }, (_, i) => frame(tupleOf(i)));
      const captures = writeCaptures(folder, frames, PER_PORT);
      const flows = captures.map((_, i) => ({
        flow: `recirc_id(0),in_port(@${i + 1}),packet_type(ns=0,id=0),${fields}`,
        actions: OUT,
      }));
      return { captures, flows };
    },
  };
}

export const forward: Scenario = {
  name: 'forward',
  about: 'from memory to memory through the datapath, one megaflow, 64-byte frames',
  run: (options: Options): Promise<Row[]> =>
    contest(
      'forward',
      KINDS.flatMap((kind) => COUNTS.map((tuples) => point(tuples, kind))),
      [ovsDpdk],
      options,
    ),
};
