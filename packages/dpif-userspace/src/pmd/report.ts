/** What threads that move packets do with their time, for those who look after a switch. */

import {
  PERF_BURSTS,
  PERF_EXECUTE,
  PERF_LOOKUP,
  PERF_RECEIVE,
  PERF_SENT,
  PERF_SENT_BATCHES,
  PERF_TIMED_MISSES,
  PERF_TIMED_PACKETS,
  PERF_TRANSMIT,
  PERF_UPCALL,
} from '../perf.hot.js';
import { DP_CACHE_HIT, DP_HIT, DP_LOST, DP_MASK_HIT, DP_MISSED } from '../pipeline.hot.js';
import {
  REPORT_ASLEEP,
  REPORT_BUSY,
  REPORT_BUSY_ITERATIONS,
  REPORT_COMMANDS,
  REPORT_FREE,
  REPORT_FREE_LARGE,
  REPORT_IDLE,
  REPORT_ITERATIONS,
  REPORT_LENGTH,
  REPORT_PACKETS,
  REPORT_PERF,
  REPORT_SLEEPS,
  REPORT_UPCALLS,
} from './layout.hot.js';

/** A receive queue of a thread. */
export interface PmdQueue {
  readonly port: string;
  readonly portNo: number;
  readonly queue: number;
  /** Whether the port's options chose the thread. */
  readonly pinned: boolean;
}

/** What a thread that moves packets did since it began. Counts are exact to 2^53, times are nanoseconds. */
export interface ThreadPerf {
  /** Rounds over all receive queues (inline: bursts asked for), and those of them that received something. */
  readonly iterations: number;
  readonly busyIterations: number;
  /** Time with packets to forward, time polling in vain, and time asleep (inline: with anything else). */
  readonly busyNs: number;
  readonly idleNs: number;
  readonly asleepNs: number;
  readonly sleeps: number;
  /** Packets received, and the bursts that they came in; `busyNs` by packets is what one costs. */
  readonly packets: number;
  readonly bursts: number;
  /** Packets given to devices, and in how many batches. */
  readonly sent: number;
  readonly sentBatches: number;
  /** Lookups that found a flow and that did not; a recirculated packet counts once per pass. */
  readonly hits: number;
  readonly misses: number;
  /** Hits that the flow cache knew: one subtable each. */
  readonly cacheHits: number;
  /** Subtables visited by lookups that hit. */
  readonly masksProbed: number;
  readonly upcallsLost: number;
  /**
   * Time by stage of a sample, one burst in 128: receiving, looking up, executing actions, transmitting, passing up misses; and
   * how many packets, and misses among them, were in it.
   */
  readonly sample: {
    readonly receiveNs: number;
    readonly lookupNs: number;
    readonly executeNs: number;
    readonly transmitNs: number;
    readonly upcallNs: number;
    readonly packets: number;
    readonly misses: number;
  };
}

/** One poll-mode thread since it began. */
export interface PmdReport extends ThreadPerf {
  /** 0 to `pmdThreads` - 1. */
  readonly thread: number;
  /** The CPU that it is bound to. */
  readonly cpu: number | undefined;
  /** False between a crash and the moment when another thread has taken its place. */
  readonly running: boolean;
  /** How often another thread took its place. */
  readonly restarts: number;
  readonly queues: readonly PmdQueue[];
  /** Packets passed up to clients. */
  readonly upcalls: number;
  /** Commands of the control thread that it executed. */
  readonly commands: number;
  /** Packet buffers that were free when it last had nothing to do, or a second ago. */
  readonly freeFrames: number;
  readonly freeLargeFrames: number;
}

/** Something happened to a thread that somebody should know. */
export interface PmdEvent {
  readonly datapath: string;
  readonly thread: number;
  /**
   * `crashed`: the thread ended; another one takes its place. `restarted`: that one polls the same queues.
   * `failed`: it could not begin, or not open a queue; what could not be is tried again or left out.
   */
  readonly type: 'crashed' | 'restarted' | 'failed';
  /** One sentence. */
  readonly message: string;
}

const NS = 1e6;

/** What counters DP_* and PERF_* say of the packets of a thread. */
export function packetsOf(
  dp: Float64Array,
  perf: Float64Array,
): Pick<
  ThreadPerf,
  | 'bursts'
  | 'sent'
  | 'sentBatches'
  | 'hits'
  | 'misses'
  | 'cacheHits'
  | 'masksProbed'
  | 'upcallsLost'
  | 'sample'
> {
  return {
    bursts: perf[PERF_BURSTS]!,
    sent: perf[PERF_SENT]!,
    sentBatches: perf[PERF_SENT_BATCHES]!,
    hits: dp[DP_HIT]!,
    misses: dp[DP_MISSED]!,
    cacheHits: dp[DP_CACHE_HIT]!,
    masksProbed: dp[DP_MASK_HIT]!,
    upcallsLost: dp[DP_LOST]!,
    sample: {
      receiveNs: perf[PERF_RECEIVE]! * NS,
      lookupNs: perf[PERF_LOOKUP]! * NS,
      executeNs: perf[PERF_EXECUTE]! * NS,
      transmitNs: perf[PERF_TRANSMIT]! * NS,
      upcallNs: perf[PERF_UPCALL]! * NS,
      packets: perf[PERF_TIMED_PACKETS]!,
      misses: perf[PERF_TIMED_MISSES]!,
    },
  };
}

/** Reads the counters of a thread (layout.hot.ts); all are 0 without one. */
export function countersOf(
  report: Float64Array = new Float64Array(REPORT_LENGTH),
): Omit<PmdReport, 'thread' | 'cpu' | 'running' | 'restarts' | 'queues'> {
  return {
    iterations: report[REPORT_ITERATIONS]!,
    busyIterations: report[REPORT_BUSY_ITERATIONS]!,
    busyNs: report[REPORT_BUSY]! * NS,
    idleNs: report[REPORT_IDLE]! * NS,
    asleepNs: report[REPORT_ASLEEP]! * NS,
    sleeps: report[REPORT_SLEEPS]!,
    packets: report[REPORT_PACKETS]!,
    ...packetsOf(report, report.subarray(REPORT_PERF)),
    upcalls: report[REPORT_UPCALLS]!,
    commands: report[REPORT_COMMANDS]!,
    freeFrames: report[REPORT_FREE]!,
    freeLargeFrames: report[REPORT_FREE_LARGE]!,
  };
}
