/**
 * The daemon between devices of the kernel: veth pairs by AF_XDP, and TAPs. Hosts are network namespaces; what they run is on
 * processor 0, the switch on the last one.
 */

import { contest } from '../io/contest.js';
import { oursAfxdp, oursTap } from '../io/ours.js';
import { frames, ping, requests, stream } from '../io/trials.js';
import { cAfxdp, cTap, linuxBridge, ovsAfxdp, ovsTap } from '../peers/switches.js';
import type { Options, Row, Scenario } from '../scenario.js';

async function run(options: Options): Promise<Row[]> {
  if (process.getuid?.() !== 0) throw new Error('devices and network namespaces take root');
  const trials = options.quick ? [frames(10_000), ping] : [frames(1), frames(10_000), stream, ping, requests];
  return [
    ...(await contest('io', 'AF_XDP', [...oursAfxdp, cAfxdp, ovsAfxdp, linuxBridge], trials, options)),
    ...(await contest('io', 'TAP', [...oursTap, cTap, ovsTap, linuxBridge], trials, options)),
  ];
}

export const io: Scenario = {
  name: 'io',
  about: 'the daemon between veth pairs (AF_XDP) and between TAPs: 64-byte frames, TCP, ping',
  run,
};
