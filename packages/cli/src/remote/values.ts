/** The codecs of what crosses the dpif and netdev contracts. */

import {
  type CapturedPacket,
  type CaptureOptions,
  DpifError,
  type DpifOp,
  type DpifPort,
  type DpStats,
  ERRNO,
  type ErrnoCode,
  type ExecuteOp,
  errnoCode,
  type Flow,
  type FlowDelOp,
  type FlowGetOp,
  type FlowPutOp,
  type FlowStats,
  type NetdevCapabilities,
  type NetdevFeatures,
  type NetdevFlags,
  type NetdevStats,
  type OpResult,
  type PortChange,
  type PortSpec,
  type Upcall,
} from '@etherloom/core';
import { JsonShapeError, readNumber, readObject, readString } from '../json.js';
import {
  BOOLEAN,
  BYTES,
  type Codec,
  choice,
  list,
  NUMBER,
  optional,
  record,
  STRING,
  struct,
} from './codec.js';

const isCode = (text: string): text is ErrnoCode => Object.hasOwn(ERRNO, text);

/** Code, errno number and sentence. A code that only a newer version knows is told by its number. */
export const ERROR: Codec<DpifError> = {
  pack: ({ code, errno, message }) => ({ code, errno, message }),
  read(json, what) {
    const error = readObject(json, what);
    const code = readString(error.code, `${what}.code`);
    const errno = readNumber(error.errno, `${what}.errno`);
    return new DpifError(
      isCode(code) ? code : errnoCode(errno),
      readString(error.message, `${what}.message`),
    );
  },
};

export const PORT = struct<DpifPort>({ portNo: NUMBER, name: STRING, type: STRING });
export const PORT_SPEC = struct<Required<PortSpec>>({ name: STRING, type: STRING, config: record(STRING) });
export const PORT_CHANGE = struct<PortChange>({ name: optional(STRING) });
export const COUNTERS = record(NUMBER);
export const OPTIONS = record(STRING);
export const NETFLOW_IDS = struct<{ readonly engineType: number; readonly engineId: number }>({
  engineType: NUMBER,
  engineId: NUMBER,
});
export const DP_STATS = struct<DpStats>({
  hit: NUMBER,
  missed: NUMBER,
  lost: NUMBER,
  flows: NUMBER,
  maskHit: optional(NUMBER),
  masks: optional(NUMBER),
  cacheHit: optional(NUMBER),
  refused: optional(NUMBER),
});

const FLOW_STATS = struct<FlowStats>({ packets: NUMBER, bytes: NUMBER, used: NUMBER, tcpFlags: NUMBER });
export const FLOW = struct<Flow>({ key: BYTES, mask: BYTES, actions: BYTES, stats: FLOW_STATS });

/** One codec for each operation. */
const OPS = {
  flowPut: struct<FlowPutOp>({
    type: choice('flowPut'),
    flags: NUMBER,
    key: BYTES,
    mask: optional(BYTES),
    actions: BYTES,
  }),
  flowDel: struct<FlowDelOp>({ type: choice('flowDel'), key: BYTES }),
  flowGet: struct<FlowGetOp>({ type: choice('flowGet'), key: BYTES }),
  execute: struct<ExecuteOp>({
    type: choice('execute'),
    packet: BYTES,
    actions: BYTES,
    metadata: optional(BYTES),
    needsHelp: optional(BOOLEAN),
  }),
};

export const OP: Codec<DpifOp> = {
  pack(op) {
    switch (op.type) {
      case 'flowPut':
        return OPS.flowPut.pack(op);
      case 'flowDel':
        return OPS.flowDel.pack(op);
      case 'flowGet':
        return OPS.flowGet.pack(op);
      case 'execute':
        return OPS.execute.pack(op);
    }
  },
  read(json, what) {
    const type = readString(readObject(json, what).type, `${what}.type`);
    for (const [name, codec] of Object.entries(OPS)) if (name === type) return codec.read(json, what);
    throw new JsonShapeError(`no "${what}.type" that is one of ${Object.keys(OPS).join(', ')}`);
  },
};

export const OP_RESULT = struct<OpResult>({
  error: optional(ERROR),
  stats: optional(FLOW_STATS),
  flow: optional(FLOW),
});

export const UPCALL = struct<Upcall>({
  type: choice('miss', 'action'),
  packet: BYTES,
  key: BYTES,
  pid: NUMBER,
  userdata: optional(BYTES),
  actions: optional(BYTES),
});

export const CAPTURE_OPTIONS = struct<CaptureOptions>({
  port: optional(NUMBER),
  direction: optional(choice('in', 'out')),
  filter: optional(struct<Required<CaptureOptions>['filter']>({ key: BYTES, mask: BYTES })),
  snaplen: optional(NUMBER),
});
export const CAPTURED_PACKET = struct<CapturedPacket>({
  seconds: NUMBER,
  nanoseconds: NUMBER,
  port: NUMBER,
  direction: choice('in', 'out'),
  length: NUMBER,
  bytes: BYTES,
});
export const CAPTURE_END = struct<{ readonly missed: number }>({ missed: NUMBER });

export const NETDEV_STATS: Codec<NetdevStats> = {
  pack: (stats) => Object.fromEntries(Object.entries(stats).filter(([, value]) => typeof value === 'number')),
  read: (json, what) => COUNTERS.read(json, what),
};
export const NETDEV_FLAGS = struct<NetdevFlags>({ up: BOOLEAN, promisc: BOOLEAN, loopback: BOOLEAN });
export const SOME_NETDEV_FLAGS = struct<Partial<NetdevFlags>>({
  up: optional(BOOLEAN),
  promisc: optional(BOOLEAN),
  loopback: optional(BOOLEAN),
});
export const NETDEV_FEATURES = struct<NetdevFeatures>({
  speedMbps: optional(NUMBER),
  fullDuplex: optional(BOOLEAN),
});
export const NETDEV_CAPABILITIES = struct<NetdevCapabilities>({
  rxQueues: NUMBER,
  txQueues: NUMBER,
  maxFrame: NUMBER,
  txOffloads: NUMBER,
  rxOffloads: NUMBER,
  mode: optional(STRING),
  refused: optional(
    list(struct<{ readonly mode: string; readonly reason: string }>({ mode: STRING, reason: STRING })),
  ),
});
