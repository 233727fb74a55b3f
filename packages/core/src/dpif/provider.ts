/**
 * The datapath interface as its implementers see it (dpif-provider.h). The generic layer (generic.ts) checks arguments,
 * splits `type@name`, keeps the handle open or closed and turns single calls into `operate`; a provider does the rest.
 */

import type { CaptureOptions, PacketCapture } from './capture.js';
import type {
  DpifOp,
  DpifPort,
  DpStats,
  ExecuteOp,
  FlowDump,
  OpResult,
  PortChange,
  PortSpec,
  Upcall,
} from './dpif.js';
import type { Trace, TraceRequest } from './trace.js';

/** A datapath type. Register it with a `DpifRegistry`. */
export interface DpifProvider {
  /** "netdev", "dummy", ... */
  readonly type: string;
  /** Names of the datapaths of this type that exist, in any order. Default: none are told. */
  enumerate?(): Promise<readonly string[]>;
  /** The netdev type to open for a port type: "internal" is "tap" in a user-space datapath. Default: the port type itself. */
  portOpenType?(portType: string): string;
  /**
   * Opens datapath `name`, creating it first with `create`. ENODEV when it is not there, EEXIST when creating one that
   * is. A failure leaves nothing behind.
   */
  open(name: string, create: boolean): Promise<DpifBackend>;
}

/**
 * One opener's view of a datapath. Methods mean what their namesakes in `Dpif` do, with arguments checked: names and
 * numbers of ports are possible ones, port 0 is never deleted, packets have 14 to 65,535 bytes, executions have actions and
 * need no help (unless it `helps`). What is optional has a default, which the comment tells.
 *
 * Calls do not return EAGAIN or EINPROGRESS: what takes long resolves later.
 */
export interface DpifBackend {
  close(): Promise<void>;
  destroy(): Promise<void>;
  /** Default: there is no periodic work. */
  run?(): Promise<void>;
  wait?(signal: AbortSignal): Promise<void>;
  getDpStats(): Promise<DpStats>;
  getNetflowIds(): Promise<{ readonly engineType: number; readonly engineId: number }>;
  /** Default: EOPNOTSUPP. */
  queueToPriority?(queue: number): Promise<number>;
  now(): Promise<number>;

  /** `port.type` is the port type asked for; `portNo` is undefined for any free number. */
  portAdd(port: Required<PortSpec>, portNo: number | undefined): Promise<number>;
  portDel(portNo: number): Promise<void>;
  portQueryByNumber(portNo: number): Promise<DpifPort>;
  portQueryByName(name: string): Promise<DpifPort>;
  /** Default: 0 for every port that exists and for PORT_NONE, the minimal behavior of dpif.h. */
  portGetPid?(portNo: number, hash: number): Promise<number>;
  portDump(): AsyncIterable<DpifPort>;
  /** Default: EOPNOTSUPP. */
  portGetDrops?(portNo: number): Promise<Readonly<Record<string, number>>>;
  portPoll(): Promise<PortChange | undefined>;
  portPollWait(signal?: AbortSignal): Promise<void>;

  flowFlush(): Promise<void>;
  flowDump(): FlowDump;
  /** One result for each operation, in their order. Does not reject for an operation that fails. */
  operate(ops: readonly DpifOp[]): Promise<OpResult[]>;
  /** Whether `operate` takes executions that need help, since there is a layer like ours behind it. Default: no. */
  readonly helps?: boolean;
  /**
   * Rejects when the datapath would refuse the actions of `op`, which compile, for its packet: EINVAL. Asked before it gets them
   * one at a time, which it would all take. Their number does not matter. Default: it takes whatever compiles.
   */
  checkExecute?(op: ExecuteOp): Promise<void>;
  /** Default: EOPNOTSUPP. */
  trace?(request: TraceRequest): Promise<Trace>;
  /** Default: EOPNOTSUPP. Captures end when the opener closes. */
  capture?(options: CaptureOptions): Promise<PacketCapture>;

  recvSet(enable: boolean): Promise<void>;
  handlersSet(count: number): Promise<void>;
  recv(handler: number): Promise<Upcall | undefined>;
  recvBatch(handler: number, max: number, signal?: AbortSignal): Promise<Upcall[]>;
  /** Default: nothing is ever queued beyond what `recv` hands out. */
  recvPurge?(): Promise<void>;
}
