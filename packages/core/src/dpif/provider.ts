/**
 * The datapath interface as its implementers see it (dpif-provider.h). The generic layer (generic.ts) checks arguments,
 * splits `type@name`, keeps the handle open or closed and turns single calls into `operate`; a provider does the rest.
 */

import type { DpifOp, DpifPort, DpStats, FlowDump, OpResult, PortChange, PortSpec, Upcall } from './dpif.js';

/** A datapath type. Register it with a `DpifRegistry`. */
export interface DpifProvider {
  /** "netdev", "dummy", ... */
  readonly type: string;
  /** Names of the datapaths of this type that exist, in any order. */
  enumerate(): Promise<readonly string[]>;
  /** The netdev type to open for a port type: "internal" is "tap" in a user-space datapath. Default: the port type itself. */
  portOpenType?(portType: string): string;
  /**
   * Opens datapath `name`, creating it first with `create`. ENODEV when it is not there, EEXIST when creating one that
   * is. A failure leaves nothing behind.
   */
  open(name: string, create: boolean): Promise<DpifBackend>;
}

/** One opener's view of a datapath. Methods mean what their namesakes in `Dpif` do, with arguments checked. */
export interface DpifBackend {
  close(): Promise<void>;
  destroy(): Promise<void>;
  getDpStats(): Promise<DpStats>;
  getNetflowIds(): Promise<{ readonly engineType: number; readonly engineId: number }>;
  queueToPriority?(queue: number): Promise<number>;
  now(): Promise<number>;

  /** `port.type` is the port type asked for; `portNo` is undefined for any free number. */
  portAdd(port: Required<PortSpec>, portNo: number | undefined): Promise<number>;
  portDel(portNo: number): Promise<void>;
  portQueryByNumber(portNo: number): Promise<DpifPort>;
  portQueryByName(name: string): Promise<DpifPort>;
  portGetPid(portNo: number, hash: number): Promise<number>;
  portDump(): AsyncIterable<DpifPort>;
  portGetDrops(portNo: number): Promise<Readonly<Record<string, number>>>;
  portPoll(): Promise<PortChange | undefined>;
  portPollWait(signal?: AbortSignal): Promise<void>;

  flowFlush(): Promise<void>;
  flowDump(): FlowDump;
  operate(ops: readonly DpifOp[]): Promise<OpResult[]>;

  recvSet(enable: boolean): Promise<void>;
  handlersSet(count: number): Promise<void>;
  recv(handler: number): Promise<Upcall | undefined>;
  recvBatch(handler: number, max: number, signal?: AbortSignal): Promise<Upcall[]>;
  recvPurge(): Promise<void>;
}
