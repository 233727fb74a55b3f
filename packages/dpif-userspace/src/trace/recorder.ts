/** Puts a trace together from what happens to the packet, in the order in which it happens. */

import {
  DROP_REASONS,
  extractFrame,
  LAYER_WORDS,
  type PacketArena,
  type PacketState,
  type TraceEvent,
  type TracePass,
  type TraceStep,
} from '@etherloom/core';
import { flowToKey, KEY_WORDS, W_PACKET_TYPE } from '@etherloom/odp-codec';

/** What one trace holds: lists may run into millions of actions, and every output is a packet. */
const MAX_RECORDS = 4096;
const MAX_BYTES = 512 << 10;

/** Thrown out of the middle of the packet's way when the trace holds all that it can. */
export class TraceFull extends Error {
  override readonly name = 'TraceFull';
}

/** An action that is being executed. */
interface OpenStep {
  /** How many lists its own is nested in. */
  readonly depth: number;
  readonly events: TraceEvent[];
  readonly nested: TraceStep[];
  readonly step: TraceStep;
  /** Replaces the step where it stands. */
  close(step: TraceStep): void;
}

interface OpenPass {
  readonly pass: TracePass;
  readonly steps: TraceStep[];
  readonly events: TraceEvent[];
  /** The outermost first. */
  readonly open: OpenStep[];
}

export class Recorder {
  /** Passes that have begun. */
  passes = 0;
  readonly #arena: PacketArena;
  readonly #vlanLimit: number;
  readonly #row = new Int32Array(KEY_WORDS);
  readonly #layers = new Int32Array(LAYER_WORDS);
  /** The packet's pass, and below it those of which it is a recirculation. */
  readonly #stack: OpenPass[] = [];
  #records = 0;
  #bytes = 0;

  constructor(arena: PacketArena, vlanLimit: number) {
    this.#arena = arena;
    this.#vlanLimit = vlanLimit;
  }

  beginPass(keys: Int32Array, base: number, masks: number, visited: number, flow: TracePass['flow']): void {
    const key = this.#keep(flowToKey(keys, base, { vlanLimit: this.#vlanLimit }));
    for (const bytes of Object.values(flow ?? {})) this.#keep(bytes);
    const steps: TraceStep[] = [];
    const events: TraceEvent[] = [];
    const pass: TracePass = { key, masks, visited, ...(flow !== undefined && { flow }), steps, events };
    if (this.#stack.length > 0) this.event({ type: 'recirculation', pass });
    this.#stack.push({ pass, steps, events, open: [] });
    this.passes++;
  }

  endPass(): void {
    this.#stack.pop();
  }

  /** The whole trace, whatever is open. */
  finish(): TracePass {
    return this.#stack[0]!.pass;
  }

  /** The packet comes to the action `attribute` of a list nested in `depth` others, or, when that is empty, to its end. */
  step(packet: PacketState, attribute: Uint8Array, depth: number): void {
    const { open, steps } = this.#stack.at(-1)!;
    const { length, key } = this.state(packet);
    // Lists that ended before their end were closed by nobody.
    while (open.length > 0 && open.at(-1)!.depth > depth) open.pop();
    const previous = open.at(-1);
    if (previous?.depth === depth) {
      const { step } = previous;
      if (step.length !== length || Buffer.compare(step.key, key) !== 0) {
        previous.close({ ...step, after: { length, key } });
      }
      open.pop();
    }
    if (attribute.length === 0) return;
    const list = open.at(-1)?.nested ?? steps;
    const [events, nested]: [TraceEvent[], TraceStep[]] = [[], []];
    const step: TraceStep = { action: this.#keep(attribute), length, key, events, nested };
    const at = list.push(step) - 1;
    const close = (closed: TraceStep): void => {
      list[at] = closed;
    };
    open.push({ depth, events, nested, step, close });
  }

  event(event: TraceEvent): void {
    this.#count(0);
    const { open, events } = this.#stack.at(-1)!;
    (open.at(-1)?.events ?? events).push(event);
  }

  drop(reason: number): void {
    this.event({ type: 'drop', reason: DROP_REASONS[reason]!.code });
  }

  /** Length (a truncation that is to come not taken off) and key of a packet as it is now. */
  state(packet: PacketState): { readonly length: number; readonly key: Uint8Array } {
    const { view, data, length, packetType, metadata, metadataBase } = packet;
    const row = this.#row;
    row.set(metadata.subarray(metadataBase, metadataBase + KEY_WORDS));
    row[W_PACKET_TYPE] = packetType;
    extractFrame(view, data, length, packetType, this.#vlanLimit, row, 0, this.#layers, 0);
    return { length, key: this.#keep(flowToKey(row, 0, { vlanLimit: this.#vlanLimit })) };
  }

  /** A copy of packet bytes in the arena. */
  bytes(data: number, length: number): Uint8Array {
    return this.#keep(this.#arena.bytes.slice(data, data + length));
  }

  #keep(bytes: Uint8Array): Uint8Array {
    this.#count(bytes.length);
    return bytes;
  }

  #count(bytes: number): void {
    this.#bytes += bytes;
    if (++this.#records > MAX_RECORDS || this.#bytes > MAX_BYTES) throw new TraceFull();
  }
}
