/**
 * The remote methods: what a client may call of a datapath or device in a running switchd. Each is a control command
 * whose one parameter is a JSON text, so that no second protocol is needed; client and server are both driven by this table.
 *
 * Handles, dumps and devices are numbers that the server gives out. They belong to the connection that opened them and
 * are closed with it.
 */

import {
  BOOLEAN,
  type Codec,
  list,
  NOTHING,
  NUMBER,
  optional,
  pair,
  record,
  STRING,
  struct,
} from './codec.js';
import { TRACE, TRACE_REQUEST } from './trace-values.js';
import {
  CAPTURE_END,
  CAPTURE_OPTIONS,
  CAPTURED_PACKET,
  COUNTERS,
  DP_STATS,
  FLOW,
  NETDEV_CAPABILITIES,
  NETDEV_FEATURES,
  NETDEV_FLAGS,
  NETDEV_STATS,
  NETFLOW_IDS,
  OP,
  OP_RESULT,
  OPTIONS,
  PORT,
  PORT_CHANGE,
  PORT_SPEC,
  SOME_NETDEV_FLAGS,
  UPCALL,
} from './values.js';

/** Most items that one answer of a dump or of recvBatch holds. */
export const SLICE_ITEMS = 256;
/** Bytes of JSON after which an answer takes no more items, and a client's request no more operations. */
export const SLICE_BYTES = 256 << 10;
/** Largest operation that a request can hold, in bytes of JSON: a whole request is bounded (MAX_REQUEST_BYTES). */
export const MAX_OPERATION_BYTES = 900 << 10;
/** Calls of one connection that may wait at the same time (`waits`). */
export const MAX_WAITING = 64;

export interface RemoteMethod<A, R> {
  /** Name of the control command. */
  readonly name: string;
  readonly args: Codec<A>;
  readonly result: Codec<R>;
  /**
   * The answer comes when there is something to tell, which may be never: later requests of the connection do not wait for it.
   * The first argument is a number by which `cancel` ends it.
   */
  readonly waits?: true;
}

const method = <A, R>(name: string, args: Codec<A>, result: Codec<R>): RemoteMethod<A, R> => ({
  name,
  args,
  result,
});

/** Which datapath types there are: for each the device type that a port type stands for, where the two differ; and device types. */
export interface Inventory {
  readonly datapaths: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly devices: readonly string[];
}

export const describe = method(
  'dpif-remote/describe',
  NOTHING,
  struct<Inventory>({ datapaths: record(record(STRING)), devices: list(STRING) }),
);
export const cancel = method('dpif-remote/cancel', NUMBER, NOTHING);

/** A method of a datapath handle, which is the first argument. */
const ofHandle = <A, R>(name: string, args: Codec<A>, result: Codec<R>) =>
  method(`dpif-remote/${name}`, pair(NUMBER, args), result);

export interface OpenRequest {
  readonly type: string;
  readonly name: string;
  readonly create: boolean;
}

export const enumerate = method('dpif-remote/enumerate', STRING, list(STRING));
export const open = method(
  'dpif-remote/open',
  struct<OpenRequest>({ type: STRING, name: STRING, create: BOOLEAN }),
  NUMBER,
);
export const close = ofHandle('close', NOTHING, NOTHING);
export const destroy = ofHandle('destroy', NOTHING, NOTHING);
export const getDpStats = ofHandle('get-dp-stats', NOTHING, DP_STATS);
export const getNetflowIds = ofHandle('get-netflow-ids', NOTHING, NETFLOW_IDS);
export const queueToPriority = ofHandle('queue-to-priority', NUMBER, NUMBER);
export const now = ofHandle('now', NOTHING, NUMBER);

export const portAdd = ofHandle('port-add', pair(PORT_SPEC, optional(NUMBER)), NUMBER);
export const portDel = ofHandle('port-del', NUMBER, NOTHING);
export const portQueryByNumber = ofHandle('port-query-by-number', NUMBER, PORT);
export const portQueryByName = ofHandle('port-query-by-name', STRING, PORT);
export const portGetPid = ofHandle('port-get-pid', pair(NUMBER, NUMBER), NUMBER);
export const portGetDrops = ofHandle('port-get-drops', NUMBER, COUNTERS);
/** Starts a dump of ports; the answer names it. */
export const portDump = ofHandle('port-dump', NOTHING, NUMBER);
/** Some more ports of a dump; none at the end. */
export const portDumpNext = ofHandle('port-dump-next', NUMBER, list(PORT));
export const portPoll = ofHandle('port-poll', NOTHING, optional(PORT_CHANGE));
export const portPollWait = {
  ...method('dpif-remote/port-poll-wait', pair(NUMBER, NUMBER), NOTHING),
  waits: true,
} as const;

export const flowFlush = ofHandle('flow-flush', NOTHING, NOTHING);
/** Starts a dump of flows; the answer names it. */
export const flowDump = ofHandle('flow-dump', NOTHING, NUMBER);
/** Up to so many more flows of a dump, as many as fit the answer; none at the end. */
export const flowDumpNext = ofHandle('flow-dump-next', pair(NUMBER, NUMBER), list(FLOW));
/** Ends a dump of either kind. */
export const dumpDone = ofHandle('dump-done', NUMBER, NOTHING);
/** The outcomes of as many of the operations, from the first, as fit the answer; the rest was not performed. */
export const operate = ofHandle('operate', list(OP), list(OP_RESULT));
export const trace = ofHandle('trace', TRACE_REQUEST, TRACE);

/** Starts a capture; the answer names it. */
export const captureStart = ofHandle('capture-start', CAPTURE_OPTIONS, NUMBER);
/** Arguments: what `cancel` names, the handle, the capture and most packets. As many as are there and fit the answer. */
export const captureNext = {
  ...method(
    'dpif-remote/capture-next',
    pair(NUMBER, pair(NUMBER, pair(NUMBER, NUMBER))),
    list(CAPTURED_PACKET),
  ),
  waits: true,
} as const;
/** Ends a capture. What it holds can be read until `captureDone`. */
export const captureStop = ofHandle('capture-stop', NUMBER, CAPTURE_END);
/** Forgets a capture. */
export const captureDone = ofHandle('capture-done', NUMBER, NOTHING);

export const recvSet = ofHandle('recv-set', BOOLEAN, NOTHING);
export const handlersSet = ofHandle('handlers-set', NUMBER, NOTHING);
export const recv = ofHandle('recv', NUMBER, optional(UPCALL));
/** Arguments: what `cancel` names, the handle, handler and most upcalls. As many as fit the answer. */
export const recvBatch = {
  ...method('dpif-remote/recv-batch', pair(NUMBER, pair(NUMBER, pair(NUMBER, NUMBER))), list(UPCALL)),
  waits: true,
} as const;
export const recvPurge = ofHandle('recv-purge', NOTHING, NOTHING);

/** What netdevOpen takes. */
export interface NetdevOpenRequest {
  readonly name: string;
  readonly type: string;
  readonly config: Readonly<Record<string, string>>;
}

/** An open device. */
export interface NetdevOpened {
  readonly device: number;
  readonly capabilities: Parameters<typeof NETDEV_CAPABILITIES.pack>[0];
}

/** A method of an open device, which is the first argument. */
const ofDevice = <A, R>(name: string, args: Codec<A>, result: Codec<R>) =>
  method(`netdev-remote/${name}`, pair(NUMBER, args), result);

export const netdevOpen = method(
  'netdev-remote/open',
  struct<NetdevOpenRequest>({ name: STRING, type: STRING, config: OPTIONS }),
  struct<NetdevOpened>({ device: NUMBER, capabilities: NETDEV_CAPABILITIES }),
);
export const netdevClose = ofDevice('close', NOTHING, NOTHING);
export const netdevGetConfig = ofDevice('get-config', NOTHING, OPTIONS);
export const netdevSetConfig = ofDevice('set-config', OPTIONS, NOTHING);
export const netdevGetMtu = ofDevice('get-mtu', NOTHING, NUMBER);
export const netdevSetMtu = ofDevice('set-mtu', NUMBER, NOTHING);
export const netdevGetEtheraddr = ofDevice('get-etheraddr', NOTHING, STRING);
export const netdevSetEtheraddr = ofDevice('set-etheraddr', STRING, NOTHING);
export const netdevGetStats = ofDevice('get-stats', NOTHING, NETDEV_STATS);
export const netdevGetCarrier = ofDevice('get-carrier', NOTHING, BOOLEAN);
export const netdevGetCarrierResets = ofDevice('get-carrier-resets', NOTHING, NUMBER);
export const netdevGetFeatures = ofDevice('get-features', NOTHING, NETDEV_FEATURES);
export const netdevGetFlags = ofDevice('get-flags', NOTHING, NETDEV_FLAGS);
export const netdevSetFlags = ofDevice('set-flags', SOME_NETDEV_FLAGS, NOTHING);
export const netdevGetIfindex = ofDevice('get-ifindex', NOTHING, NUMBER);
/** Nothing for a device that has nothing to tell. */
export const netdevGetStatus = ofDevice('get-status', NOTHING, OPTIONS);
