/** The codecs of traces (core's dpif/trace.ts), which hold themselves: a recirculation is an event with a lookup in it. */

import type { Trace, TraceEvent, TracePass, TraceRequest, TraceStep } from '@etherloom/core';
import { JsonShapeError, readObject, readString } from '../json.js';
import type { JsonValue } from '../unixctl/protocol.js';
import { BOOLEAN, BYTES, type Codec, choice, list, NUMBER, optional, STRING, struct } from './codec.js';

/** A codec that is made when it is first used, so that it can hold itself. */
function late<T>(make: () => Codec<T>): Codec<T> {
  let made: Codec<T> | undefined;
  const codec = (): Codec<T> => {
    made ??= make();
    return made;
  };
  return {
    pack: (value) => codec().pack(value),
    read: (json, what) => codec().read(json, what),
  };
}

type Variant<T extends TraceEvent['type']> = Extract<TraceEvent, { readonly type: T }>;

const VARIANTS = {
  output: struct<Variant<'output'>>({ type: choice('output'), port: NUMBER, packet: BYTES, key: BYTES }),
  upcall: struct<Variant<'upcall'>>({
    type: choice('upcall'),
    reason: choice('miss', 'action'),
    pid: NUMBER,
    packet: BYTES,
    userdata: optional(BYTES),
  }),
  recirculation: struct<Variant<'recirculation'>>({
    type: choice('recirculation'),
    pass: late(() => PASS),
  }),
  drop: struct<Variant<'drop'>>({ type: choice('drop'), reason: STRING }),
} as const;

const EVENT: Codec<TraceEvent> = {
  pack(event): JsonValue {
    switch (event.type) {
      case 'output':
        return VARIANTS.output.pack(event);
      case 'upcall':
        return VARIANTS.upcall.pack(event);
      case 'recirculation':
        return VARIANTS.recirculation.pack(event);
      case 'drop':
        return VARIANTS.drop.pack(event);
    }
  },
  read(json, what) {
    const type = readString(readObject(json, what).type, `${what}.type`);
    for (const [name, codec] of Object.entries(VARIANTS)) if (name === type) return codec.read(json, what);
    throw new JsonShapeError(`no "${what}.type" that is one of ${Object.keys(VARIANTS).join(', ')}`);
  },
};

const STEP: Codec<TraceStep> = struct<TraceStep>({
  action: BYTES,
  length: NUMBER,
  key: BYTES,
  after: optional(struct<Required<TraceStep>['after']>({ length: NUMBER, key: BYTES })),
  events: list(EVENT),
  nested: list(late(() => STEP)),
});

const PASS: Codec<TracePass> = struct<TracePass>({
  key: BYTES,
  masks: NUMBER,
  visited: NUMBER,
  flow: optional(struct<Required<TracePass>['flow']>({ key: BYTES, mask: BYTES, actions: BYTES })),
  steps: list(STEP),
  events: list(EVENT),
});

export const TRACE_REQUEST = struct<TraceRequest>({ packet: BYTES, metadata: BYTES });
export const TRACE = struct<Trace>({ pass: PASS, truncated: BOOLEAN });
