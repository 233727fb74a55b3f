/** What a thread that moves packets counted, flat, so that one reading can be taken off another. */

import type { PmdQueue, ThreadPerf } from '@etherloom/dpif-userspace';

/** All of them: counts, and nanoseconds. */
export const COUNTERS = [
  'iterations',
  'busyIterations',
  'sleeps',
  'busyNs',
  'idleNs',
  'asleepNs',
  /** Packets taken from devices, and in how many bursts. */
  'received',
  'bursts',
  /** Packets given to devices, and in how many batches. */
  'sent',
  'sentBatches',
  /** Lookups: one per packet, and one more for each recirculation. */
  'passes',
  'hits',
  /** Of the hits: those that the flow cache knew. */
  'cacheHits',
  /** Subtables visited for hits. */
  'probes',
  'missed',
  /** Misses that did not reach a client. */
  'lost',
  // Of a sample of bursts: time by stage, packets, and misses among them.
  'receiveNs',
  'lookupNs',
  'executeNs',
  'transmitNs',
  'upcallNs',
  'sampledPackets',
  'sampledMisses',
] as const;

export type Counters = Readonly<Record<(typeof COUNTERS)[number], number>>;

export interface ThreadCounters extends Counters {
  /** Number of a poll-mode thread; absent for the main thread. */
  readonly core?: number;
  /** Receive queues that a poll-mode thread polls. */
  readonly queues?: readonly PmdQueue[];
}

export function countersOf(perf: ThreadPerf): Counters {
  const { iterations, busyIterations, sleeps, busyNs, idleNs, asleepNs, bursts, sent, sentBatches } = perf;
  const { packets, hits, misses, cacheHits, masksProbed, upcallsLost, sample } = perf;
  const { receiveNs, lookupNs, executeNs, transmitNs, upcallNs } = sample;
  return {
    iterations,
    busyIterations,
    sleeps,
    busyNs,
    idleNs,
    asleepNs,
    received: packets,
    bursts,
    sent,
    sentBatches,
    passes: hits + misses,
    hits,
    cacheHits,
    probes: masksProbed,
    missed: misses,
    lost: upcallsLost,
    receiveNs,
    lookupNs,
    executeNs,
    transmitNs,
    upcallNs,
    sampledPackets: sample.packets,
    sampledMisses: sample.misses,
  };
}

/** What a thread counted that moves no packets. */
export const NOTHING: Counters = countersOf({
  iterations: 0,
  busyIterations: 0,
  busyNs: 0,
  idleNs: 0,
  asleepNs: 0,
  sleeps: 0,
  packets: 0,
  bursts: 0,
  sent: 0,
  sentBatches: 0,
  hits: 0,
  misses: 0,
  cacheHits: 0,
  masksProbed: 0,
  upcallsLost: 0,
  sample: { receiveNs: 0, lookupNs: 0, executeNs: 0, transmitNs: 0, upcallNs: 0, packets: 0, misses: 0 },
});
