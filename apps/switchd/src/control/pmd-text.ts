/**
 * What threads did, in the layout of Open vSwitch 3.1. Where that counts cycles of the time stamp counter these are nanoseconds,
 * and the lines say so; lines of caches that are not there are 0. The flow cache, whose entries are hints that the packet is
 * compared with, stands where Open vSwitch's signature match cache does.
 */

import type { JsonValue } from '@etherloom/cli';
import type { ThreadCounters } from './pmd-counters.js';

const ratio = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);
const title = ({ core }: ThreadCounters): string =>
  core === undefined ? 'main thread:' : `pmd thread numa_id 0 core_id ${core}:`;

/** Subtables visited for the hits that the cache did not know. */
function searched({ hits, cacheHits, probes }: ThreadCounters): {
  readonly hits: number;
  readonly probes: number;
} {
  return { hits: hits - cacheHits, probes: ratio(probes - cacheHits, hits - cacheHits) };
}

export function formatStats(thread: ThreadCounters): string {
  const { received, passes, cacheHits, missed, lost, sent, sentBatches, busyNs, idleNs } = thread;
  const failed = Math.min(lost, missed);
  const { hits, probes } = searched(thread);
  const [busy, idle] = [Math.round(busyNs), Math.round(idleNs)];
  const percent = (part: number): string => (ratio(part, busy + idle) * 100).toFixed(2);
  const lines = [
    `packets received: ${received}`,
    `packet recirculations: ${Math.max(passes - received, 0)}`,
    `avg. datapath passes per packet: ${ratio(passes, received).toFixed(2)}`,
    'phwol hits: 0',
    'mfex opt hits: 0',
    'simple match hits: 0',
    'emc hits: 0',
    `smc hits: ${cacheHits}`,
    `megaflow hits: ${hits}`,
    `avg. subtable lookups per megaflow hit: ${probes.toFixed(2)}`,
    `miss with success upcall: ${missed - failed}`,
    `miss with failed upcall: ${failed}`,
    `avg. packets per output batch: ${ratio(sent, sentBatches).toFixed(2)}`,
    ...(busy + idle === 0
      ? []
      : [`idle ns: ${idle} (${percent(idle)}%)`, `processing ns: ${busy} (${percent(busy)}%)`]),
    ...(received === 0 || busy + idle === 0
      ? []
      : [
          `avg ns per packet: ${ratio(busy + idle, received).toFixed(2)} (${busy + idle}/${received})`,
          `avg processing ns per packet: ${ratio(busy, received).toFixed(2)} (${busy}/${received})`,
        ]),
  ];
  return `${title(thread)}\n${lines.map((line) => `  ${line}\n`).join('')}`;
}

/** How long packets of single queues take is not known, hence no usage. Pinned queues leave a thread open to others. */
export function formatQueues(thread: ThreadCounters): string {
  const { queues = [] } = thread;
  const lines = queues.map(
    ({ port, queue }) =>
      `  port: ${port.padEnd(16)}  queue-id: ${String(queue).padStart(2)} (enabled)   pmd usage: NOT AVAIL\n`,
  );
  return `${title(thread)}\n  isolated : false\n${lines.join('')}  overhead: NOT AVAIL\n`;
}

const count = (value: number): string => String(Math.round(value)).padStart(12);
const share = (part: number, whole: number): string =>
  `${(ratio(part, whole) * 100).toFixed(1).padStart(5)} %`;

export function formatPerformance(thread: ThreadCounters, seconds: number): string {
  const lines = [
    '',
    `Time: ${new Date().toISOString().slice(11, 23)}`,
    `Measurement duration: ${seconds.toFixed(3)} s`,
    '',
    title(thread),
    '',
    ...timeLines(thread),
    ...receiveLines(thread, seconds),
    ...transmitLines(thread, seconds),
    '',
  ];
  return lines.map((line) => `${line}\n`).join('');
}

function timeLines(thread: ThreadCounters): string[] {
  const { iterations, busyIterations, sleeps, busyNs, idleNs, asleepNs } = thread;
  const used = busyNs + idleNs;
  return [
    `  Iterations:         ${count(iterations)}  (${ratio(used / 1000, iterations).toFixed(2)} us/it)`,
    `  - Used time (us):   ${count(used / 1000)}  (${share(used, used + asleepNs)} of total time)`,
    `  - idle iterations:  ${count(iterations - busyIterations)}  (${share(idleNs, used)} of used time)`,
    `  - busy iterations:  ${count(busyIterations)}  (${share(busyNs, used)} of used time)`,
    `  - sleep iterations: ${count(sleeps)}  (${share(sleeps, iterations)} of iterations)`,
    `  Sleep time (us):    ${count(asleepNs / 1000)}  (${ratio(asleepNs / 1000, iterations).toFixed(0)} us/iteration avg.)`,
  ];
}

function receiveLines(thread: ThreadCounters, seconds: number): string[] {
  const { received, bursts, passes, cacheHits, missed, lost, busyNs } = thread;
  if (received === 0) return [`  Rx packets:         ${count(0)}`];
  const { hits, probes } = searched(thread);
  const failed = Math.min(lost, missed);
  const upcallNs = ratio(thread.upcallNs, thread.sampledMisses);
  return [
    `  Rx packets:         ${count(received)}  (${rate(received, seconds)}, ${ratio(busyNs, received).toFixed(0)} ns/pkt)`,
    `  Rx batches:         ${count(bursts)}  (${ratio(received, bursts).toFixed(2)} pkts/batch)`,
    ...stages(thread).map(
      ({ name, ns, part }) =>
        `  - ${`${name}:`.padEnd(18)}${ns.toFixed(1).padStart(12)}  (${share(part, 1)}) ns/pkt`,
    ),
    `  Datapath passes:    ${count(passes)}  (${ratio(passes, received).toFixed(2)} passes/pkt)`,
    ...['PHWOL hits:       ', 'MFEX Opt hits:    ', 'Simple Match hits:', 'EMC hits:         '].map(
      (cache) => `  - ${cache}${count(0)}  (${share(0, passes)})`,
    ),
    `  - SMC hits:         ${count(cacheHits)}  (${share(cacheHits, passes)})`,
    `  - Megaflow hits:    ${count(hits)}  (${share(hits, passes)}, ${probes.toFixed(2)} subtbl lookups/hit)`,
    `  - Upcalls:          ${count(missed - failed)}  (${share(missed - failed, passes)}, ${(upcallNs / 1000).toFixed(1)} us/upcall)`,
    `  - Lost upcalls:     ${count(failed)}  (${share(failed, passes)})`,
  ];
}

function transmitLines({ sent, sentBatches }: ThreadCounters, seconds: number): string[] {
  if (sent === 0) return [`  Tx packets:         ${count(0)}`];
  return [
    `  Tx packets:         ${count(sent)}  (${rate(sent, seconds)})`,
    `  Tx batches:         ${count(sentBatches)}  (${ratio(sent, sentBatches).toFixed(2)} pkts/batch)`,
  ];
}

const rate = (packets: number, seconds: number): string =>
  `${(ratio(packets, seconds) / 1000).toFixed(0)} Kpps`;

/** Nanoseconds per packet of each stage, and its part of all of them; none before a burst was sampled. */
function stages(
  thread: ThreadCounters,
): { readonly name: string; readonly ns: number; readonly part: number }[] {
  const { receiveNs, lookupNs, executeNs, transmitNs, upcallNs, sampledPackets } = thread;
  if (sampledPackets === 0) return [];
  const all = receiveNs + lookupNs + executeNs + transmitNs + upcallNs;
  return Object.entries({
    Receive: receiveNs,
    Lookup: lookupNs,
    Execute: executeNs,
    Transmit: transmitNs,
    Upcalls: upcallNs,
  }).map(([name, sum]) => ({ name, ns: sum / sampledPackets, part: ratio(sum, all) }));
}

/** Counters as they are, with what they say of a packet. */
export function threadJson(thread: ThreadCounters): JsonValue {
  const { core, queues, ...counters } = thread;
  return {
    thread: core === undefined ? 'main' : `pmd${core}`,
    ...(core !== undefined && { core }),
    ...(queues !== undefined && { queues: queues.map((queue) => ({ ...queue })) }),
    ...counters,
    nsPerPacket: Object.fromEntries(stages(thread).map(({ name, ns }) => [name.toLowerCase(), ns])),
  };
}
