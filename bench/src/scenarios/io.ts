/**
 * The daemon between devices of the kernel: veth pairs by AF_XDP, and TAPs. Hosts are network namespaces; what they run is on
 * processor 0, the switch on the last one. Ours takes part twice: with one poll-mode thread, as the README advises where speed
 * counts, and inline, which is the default. Hosts have their offloads as the kernel turns them on; where the switch is a bare
 * AF_XDP forwarder or Open vSwitch's, which pass on unfinished checksums as they are, hosts finish them.
 */

import { contest } from '../io/contest.js';
import { idle } from '../io/idle.js';
import { afxdp, tap } from '../io/ours.js';
import { frames, ping, requests, stream } from '../io/trials.js';
import { cAfxdp, cTap, linuxBridge, ovsAfxdp, ovsTap } from '../peers/switches.js';
import type { Options, Row, Scenario } from '../scenario.js';

async function run(options: Options): Promise<Row[]> {
  if (process.getuid?.() !== 0) throw new Error('devices and network namespaces take root');
  if (options.quick) {
    return [
      ...(await contest('io', 'AF_XDP', [afxdp.thread, cAfxdp], [frames(10_000)], options)),
      ...(await contest('io', 'TAP', [tap.thread, cTap], [ping], options)),
    ];
  }
  const trials = [frames(1), frames(10_000), stream, ping, requests];
  const ours = { afxdp: [afxdp.thread, afxdp.inline], tap: [tap.thread, tap.inline] };
  return [
    ...(await contest(
      'io',
      'AF_XDP',
      [...ours.afxdp, afxdp.checksums, cAfxdp, ovsAfxdp, linuxBridge],
      trials,
      options,
    )),
    ...(await contest('io', 'TAP', [...ours.tap, cTap, ovsTap, linuxBridge], trials, options)),
    ...(await idle('io', 'AF_XDP', [...ours.afxdp, ovsAfxdp], options)),
    ...(await idle('io', 'TAP', [...ours.tap, ovsTap], options)),
  ];
}

export const io: Scenario = {
  name: 'io',
  about: 'the daemon between veth pairs (AF_XDP) and between TAPs: 64-byte frames, TCP, ping, at rest',
  run,
};
