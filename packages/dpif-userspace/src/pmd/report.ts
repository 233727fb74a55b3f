/** What poll-mode threads do with their time, for those who look after a switch. */

import { DP_HIT, DP_LOST, DP_MASK_HIT, DP_MISSED } from '../pipeline.hot.js';
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

/** One thread since it began. Counts are exact to 2^53, times are nanoseconds. */
export interface PmdReport {
  /** 0 to `pmdThreads` - 1. */
  readonly thread: number;
  /** The CPU that it is bound to. */
  readonly cpu: number | undefined;
  /** False between a crash and the moment when another thread has taken its place. */
  readonly running: boolean;
  /** How often another thread took its place. */
  readonly restarts: number;
  readonly queues: readonly PmdQueue[];
  /** Rounds over all receive queues, and those of them that received something. */
  readonly iterations: number;
  readonly busyIterations: number;
  /** Time with packets to forward, time polling in vain, and time asleep. */
  readonly busyNs: number;
  readonly idleNs: number;
  readonly asleepNs: number;
  readonly sleeps: number;
  /** Packets received; `busyNs` by this is what a packet costs. */
  readonly packets: number;
  /** Lookups that found a flow and that did not; a recirculated packet counts once per pass. */
  readonly hits: number;
  readonly misses: number;
  /** Subtables visited by lookups that hit. */
  readonly masksProbed: number;
  /** Packets passed up to clients, and those that were to be but were not. */
  readonly upcalls: number;
  readonly upcallsLost: number;
  /** Commands of the control thread that it executed. */
  readonly commands: number;
  /** Packet buffers that were free when it last had nothing to do. */
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

/** Reads the counters of a thread (layout.hot.ts); all are 0 without one. */
export function countersOf(
  report: Float64Array = new Float64Array(REPORT_LENGTH),
): Omit<PmdReport, 'thread' | 'cpu' | 'running' | 'restarts' | 'queues'> {
  const ns = (index: number): number => report[index]! * 1e6;
  return {
    iterations: report[REPORT_ITERATIONS]!,
    busyIterations: report[REPORT_BUSY_ITERATIONS]!,
    busyNs: ns(REPORT_BUSY),
    idleNs: ns(REPORT_IDLE),
    asleepNs: ns(REPORT_ASLEEP),
    sleeps: report[REPORT_SLEEPS]!,
    packets: report[REPORT_PACKETS]!,
    hits: report[DP_HIT]!,
    misses: report[DP_MISSED]!,
    masksProbed: report[DP_MASK_HIT]!,
    upcalls: report[REPORT_UPCALLS]!,
    upcallsLost: report[DP_LOST]!,
    commands: report[REPORT_COMMANDS]!,
    freeFrames: report[REPORT_FREE]!,
    freeLargeFrames: report[REPORT_FREE_LARGE]!,
  };
}
