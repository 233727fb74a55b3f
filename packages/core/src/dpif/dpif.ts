/**
 * The datapath interface as its clients see it (dpif.h). The implementer's side is provider.ts.
 *
 * Flows cross this interface as Netlink attributes (`Uint8Array`, see @etherloom/odp-codec): keys, masks and actions.
 * Calls return promises, since a provider may be in another process. Every failure is a `DpifError` with the errno
 * code that dpif.h gives. Arrays handed in belong to the caller again when the promise settles; arrays handed out are
 * the caller's.
 */

import type { DpifError } from '../errors.js';
import type { NetdevConfig } from '../netdev/netdev.js';
import type { CaptureOptions, PacketCapture } from './capture.js';
import type { Trace, TraceRequest } from './trace.js';

/** Number of the local port, which every datapath has and nobody can delete (dpif.h "Ports"). */
export const LOCAL_PORT = 0;
/** "No port": asks for a free number in portAdd, and for the special PID in portGetPid (ODPP_NONE). */
export const PORT_NONE = 0xffff_ffff;

/** A port of a datapath (struct dpif_port). `type` is the type that was asked for, such as "internal". */
export interface DpifPort {
  readonly portNo: number;
  readonly name: string;
  readonly type: string;
}

/** What portAdd takes: the device to open and how. `type` defaults to "system". */
export interface PortSpec {
  readonly name: string;
  readonly type?: string;
  readonly config?: NetdevConfig;
}

/** Statistics of a datapath as a whole (struct dpif_dp_stats). Counts are exact to 2^53. */
export interface DpStats {
  /** Lookups that matched; a recirculated packet counts once per pass. */
  readonly hit: number;
  readonly missed: number;
  /** Misses that were not sent to a client. Action upcalls that were lost are among the drops of their ports only. */
  readonly lost: number;
  readonly flows: number;
  /** Masks visited for matches; absent when the datapath does not count them, together with `masks`. */
  readonly maskHit?: number;
  readonly masks?: number;
  /** Matches found by a cache in front of the masks; absent without such a cache. */
  readonly cacheHit?: number;
  /** Flow puts refused because the table held its limit of flows (EFBIG) or masks (ENOSPC); absent without limits. */
  readonly refused?: number;
}

/** Statistics of a flow (struct dpif_flow_stats). */
export interface FlowStats {
  readonly packets: number;
  readonly bytes: number;
  /** Monotonic milliseconds of the last packet, on the clock of `Dpif.now`; 0 when there was none. */
  readonly used: number;
  /** Union of the TCP flags of all packets: 12 bits. */
  readonly tcpFlags: number;
}

export const NO_STATS: FlowStats = { packets: 0, bytes: 0, used: 0, tcpFlags: 0 };

/** A flow entry as dump and get return it. */
export interface Flow {
  readonly key: Uint8Array;
  readonly mask: Uint8Array;
  readonly actions: Uint8Array;
  readonly stats: FlowStats;
}

// DPIF_FP_*: what flowPut may do.
/** Allow a new flow to be created. */
export const FP_CREATE = 1;
/** Allow an existing flow to be modified. */
export const FP_MODIFY = 2;
/** Zero the statistics of a flow that is modified. */
export const FP_ZERO_STATS = 4;

export interface FlowPutOp {
  readonly type: 'flowPut';
  /** FP_* bits. */
  readonly flags: number;
  readonly key: Uint8Array;
  /** Absent or empty: exact match on every field whose prerequisites hold. */
  readonly mask?: Uint8Array;
  readonly actions: Uint8Array;
}

export interface FlowDelOp {
  readonly type: 'flowDel';
  readonly key: Uint8Array;
}

export interface FlowGetOp {
  readonly type: 'flowGet';
  readonly key: Uint8Array;
}

/** Runs actions on a packet that the client supplies (struct dpif_execute). */
export interface ExecuteOp {
  readonly type: 'execute';
  /** The whole frame, 14 to 65,535 bytes, fully checksummed, VLAN tags as 802.1Q headers. Not modified. */
  readonly packet: Uint8Array;
  readonly actions: Uint8Array;
  /**
   * Key attributes whose metadata (in_port, skb_priority, skb_mark, recirc_id, dp_hash, tunnel, ct_*) goes with the packet;
   * an upcall's key fits. Header attributes are ignored: the packet says them.
   */
  readonly metadata?: Uint8Array;
  /**
   * The datapath may not know every action: the generic layer executes all that it can, and passes the packet through to
   * the provider for output, userspace and recirc, one at a time; the last error of these is the outcome. It does the
   * same with an action list of more than 65,531 bytes, which no Netlink attribute holds. Default false.
   */
  readonly needsHelp?: boolean;
}

export type DpifOp = FlowPutOp | FlowDelOp | FlowGetOp | ExecuteOp;

/**
 * The outcome of one operation, at the same index as the operation. `error` absent means success.
 * Statistics: of a put, those before the change (zero for a new flow); of a del, the final ones.
 */
export interface OpResult {
  readonly error?: DpifError;
  readonly stats?: FlowStats;
  readonly flow?: Flow;
}

export type UpcallType = 'miss' | 'action';

/** A packet passed up to the client (struct dpif_upcall). All arrays are the client's. */
export interface Upcall {
  readonly type: UpcallType;
  /** The whole packet. */
  readonly packet: Uint8Array;
  /** Key of the packet as extracted at the start of the pass that led here. */
  readonly key: Uint8Array;
  /** Netlink PID that the upcall was queued for. */
  readonly pid: number;
  /** Argument of the userspace action, verbatim; absent for misses and for actions without one. */
  readonly userdata?: Uint8Array;
  /** The actions of the flow, when the userspace action asked for them. */
  readonly actions?: Uint8Array;
}

/** A change of the port set: the name of the port, or nothing when any port may have changed (ENOBUFS of dpif.h). */
export interface PortChange {
  readonly name?: string;
}

/**
 * A dump of the flow table. Not a snapshot: flows added or removed meanwhile may be missed, none is returned twice.
 * Several readers may share one dump by calling `next` concurrently; each flow goes to exactly one of them.
 */
export interface FlowDump extends AsyncIterable<Flow> {
  /** Up to `max` more flows; empty at the end, and from then on. */
  next(max: number): Promise<readonly Flow[]>;
  /** Ends the dump. Idempotent. */
  done(): Promise<void>;
}

/** An opener's handle on a datapath. Several may be open at once; each is closed on its own. */
export interface Dpif {
  /** `type@name`. */
  readonly name: string;
  readonly baseName: string;
  readonly type: string;

  /** Gives the handle back. The datapath stays. Idempotent. */
  close(): Promise<void>;
  /** Marks the datapath deleted; it goes away, ports and flows with it, when its last opener closes. Idempotent. */
  delete(): Promise<void>;

  /**
   * Does the periodic work of a datapath that has some; to be called from time to time, and when `wait` resolves. Most,
   * the user-space datapath among them, work on their own and do nothing here.
   */
  run(): Promise<void>;
  /** Resolves when `run` should be called, or when `signal` aborts; without periodic work only then. */
  wait(signal: AbortSignal): Promise<void>;

  getDpStats(): Promise<DpStats>;
  getNetflowIds(): Promise<{ readonly engineType: number; readonly engineId: number }>;
  /** The skb_priority for OpenFlow queue `queue`; EOPNOTSUPP when the datapath knows none. */
  queueToPriority(queue: number): Promise<number>;
  /** Monotonic milliseconds: the clock of `FlowStats.used`. */
  now(): Promise<number>;

  /**
   * Adds a port; resolves to its number. EBUSY when `portNo` is taken, EEXIST when the device is a port already, EFBIG
   * when no number is free, EINVAL for a loopback device, and whatever opening the device gives.
   */
  portAdd(port: PortSpec, portNo?: number): Promise<number>;
  /** EINVAL for the local port and PORT_NONE, ENODEV when there is no such port. */
  portDel(portNo: number): Promise<void>;
  portExists(name: string): Promise<boolean>;
  /** ENODEV when there is none. */
  portQueryByNumber(portNo: number): Promise<DpifPort>;
  portQueryByName(name: string): Promise<DpifPort>;
  portGetName(portNo: number): Promise<string>;
  /**
   * The PID of the queue for upcalls of `portNo`, of those the one that `hash` picks; PORT_NONE gives the special PID.
   * 0, always, from a datapath with a single queue. ENODEV when there is no such port.
   */
  portGetPid(portNo: number, hash?: number): Promise<number>;
  portDump(): AsyncIterable<DpifPort>;
  /**
   * Packets of a port that were not delivered, by code of the drop reason (drops.ts); only reasons that occurred.
   * Etherloom's own addition to dpif.h: EOPNOTSUPP from a datapath that does not count them, ENODEV for no such port.
   */
  portGetDrops(portNo: number): Promise<Readonly<Record<string, number>>>;
  /** A change since the last call on this handle (or since it was opened); undefined when there was none. */
  portPoll(): Promise<PortChange | undefined>;
  /** Resolves when portPoll would report a change, or when `signal` aborts. */
  portPollWait(signal?: AbortSignal): Promise<void>;

  /** Deletes all flows. */
  flowFlush(): Promise<void>;
  /** operate() with one put. Rejects with the operation's error; resolves to the statistics before the change. */
  flowPut(put: Omit<FlowPutOp, 'type'>): Promise<FlowStats>;
  /** ENOENT when no flow has exactly this key. */
  flowDel(key: Uint8Array): Promise<FlowStats>;
  flowGet(key: Uint8Array): Promise<Flow>;
  flowDump(): FlowDump;

  /** EINVAL for a packet outside 14..65,535 bytes or bad actions. No actions are no work: the provider is not asked. */
  execute(execute: Omit<ExecuteOp, 'type'>): Promise<void>;
  /**
   * Follows a packet through lookups and actions without doing anything to it, to flows or to statistics. Etherloom's own
   * addition to dpif.h: EOPNOTSUPP from a datapath that cannot. EINVAL for a packet outside 14..65,535 bytes.
   */
  trace(request: TraceRequest): Promise<Trace>;
  /**
   * Begins to copy packets that ports receive and send. Etherloom's own addition to dpif.h: EOPNOTSUPP from a datapath that
   * cannot, EINVAL for bad options, EMFILE when too many captures run.
   */
  capture(options?: CaptureOptions): Promise<PacketCapture>;
  /** Performs the operations in order. Each has its own outcome; a failed one does not stop later ones. Never rejects for an operation. */
  operate(ops: readonly DpifOp[]): Promise<OpResult[]>;

  /** Turns upcalls to this handle on or off. Off purges what is queued: misses among it count as lost. EBUSY when another handle receives them. */
  recvSet(enable: boolean): Promise<void>;
  /** Number of handlers (upcall readers), at least 1; a change purges what is queued: misses among it count as lost. */
  handlersSet(count: number): Promise<void>;
  /** The next upcall for `handler`, or undefined when none is queued (EAGAIN of dpif.h). Never waits. */
  recv(handler: number): Promise<Upcall | undefined>;
  /** Waits for upcalls of `handler` and takes up to `max`; empty when `signal` aborts or upcalls are turned off. */
  recvBatch(handler: number, max: number, signal?: AbortSignal): Promise<Upcall[]>;
  /** Discards what is queued: misses among it count as lost. */
  recvPurge(): Promise<void>;
}
