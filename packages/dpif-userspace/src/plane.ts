/**
 * Where packets go their way: inline, on the thread that has the datapath (inline.ts), or on poll-mode threads (pmd/).
 * What the control path of a datapath asks of either. Control path.
 */

import type { DpifOp, ExecuteOp, NetdevRef, OpResult } from '@etherloom/core';
import type { TapSource } from './capture/source.js';
import type { PmdReport, ThreadPerf } from './pmd/report.js';
import type { Discarded } from './upcalls.js';

/** A port whose device is open, to be connected. */
export interface NewPort {
  readonly portNo: number;
  readonly name: string;
  readonly ref: NetdevRef;
  /** Threads of receive queues, by queue (option pmd-rxq-affinity). */
  readonly affinity: ReadonlyMap<number, number>;
}

/** A port that receives and sends. */
export interface PortData {
  /** Drops by reason: a copy. */
  drops(): Float64Array;
  /** Ends receiving and sending; when it resolves no packet of the port is on its way any more. */
  close(): Promise<void>;
}

/** What performs the operations of a list, one at a time. */
export interface Performer {
  /** Told of every `AHEAD`th place of a list: those operations come next, mostly at once. */
  expect(ops: readonly DpifOp[], first: number): void;
  /** Performs an operation, which stands at place `at` of its list. */
  perform(op: DpifOp, at: number): OpResult;
}

export interface DataPlane {
  /** To be called once, before anything else. */
  start(): Promise<void>;
  /** Counters DP_*: a copy. */
  counters(): Float64Array;
  /** Drops of packets whose input port does not exist (execute) or not any more: a copy. */
  portlessDrops(): Float64Array;
  /** What poll-mode threads do, one report each. */
  reports(): readonly PmdReport[];
  /** What the thread of the datapath did with packets; undefined where poll-mode threads have them all. */
  main(): ThreadPerf | undefined;
  /** Counts upcalls that were discarded behind the packets' path, by DROP_* reason, as drops of no port. */
  discarded(what: Discarded, reason: number): void;

  /** Opens the data half of a port's device. A failure leaves nothing behind. */
  openPort(port: NewPort): Promise<PortData>;

  /** Performs operations in order, each by `performer`, and resolves when packets see what they changed. */
  operate(ops: readonly DpifOp[], performer: Performer): Promise<OpResult[]>;
  /** Sends a client's packet through its actions; called by `perform`. Throws EINVAL, ENOBUFS. */
  execute(op: ExecuteOp): void;
  /** Deletes all flows. */
  flush(): Promise<void>;

  /** Whether a client takes upcalls changed. */
  listen(enabled: boolean): Promise<void>;
  /** Brings to the upcall queues what packets that were received before this call led to. */
  settle(): Promise<void>;
  /** Brings to the upcall queues what is there already. */
  collect(): void;

  /** Lets a capture see packets, on every thread that has some. */
  addTap(source: TapSource): Promise<void>;
  /** Ends that; when it resolves nothing more is written. */
  removeTap(id: number): Promise<void>;

  /** Ends all work, after all ports were closed. Idempotent. */
  close(): Promise<void>;
}
