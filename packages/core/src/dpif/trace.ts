/**
 * What a trace of one packet tells: its way through lookups and actions as it would be now. Etherloom's own addition to
 * dpif.h. Types only; arrays handed out are the caller's.
 */

/** A packet to follow. Nothing is sent, queued or counted, and no flow changes. */
export interface TraceRequest {
  /** The whole frame, 14 to 65,535 bytes. */
  readonly packet: Uint8Array;
  /** Key attributes with its metadata (in_port first of all), as in `ExecuteOp`; header attributes are ignored. */
  readonly metadata: Uint8Array;
}

export interface Trace {
  /** The lookup of the packet as it came in. */
  readonly pass: TracePass;
  /** Recording ended early, since the actions do more than a trace holds (some thousands of steps, half a megabyte of packets). */
  readonly truncated: boolean;
}

/** One lookup, and what the flow that it found does. */
export interface TracePass {
  /** The key as extracted at its start, recirculation id included. */
  readonly key: Uint8Array;
  /** Masks that flows for such packets have, and how many of them were visited. */
  readonly masks: number;
  readonly visited: number;
  /** The flow that matches; absent for a miss. */
  readonly flow?: { readonly key: Uint8Array; readonly mask: Uint8Array; readonly actions: Uint8Array };
  /** Its actions, in the order of their execution. Lists that end early (drop, failures) end here too. */
  readonly steps: readonly TraceStep[];
  /** What became of a packet that no flow matches, or that the actions as a whole left undelivered. */
  readonly events: readonly TraceEvent[];
}

/** One action. */
export interface TraceStep {
  /** As Netlink attribute, header included. */
  readonly action: Uint8Array;
  /** Length and key of the packet before it. */
  readonly length: number;
  readonly key: Uint8Array;
  /** The same afterwards; absent when it changed nothing, or when nothing came after it. */
  readonly after?: { readonly length: number; readonly key: Uint8Array };
  readonly events: readonly TraceEvent[];
  /** What the list inside it did (clone, sample, check_pkt_len). */
  readonly nested: readonly TraceStep[];
}

/** Something that became of the packet, or of a copy. */
export type TraceEvent =
  /** It leaves by a port. What the device makes of it is not traced. */
  | { readonly type: 'output'; readonly port: number; readonly packet: Uint8Array; readonly key: Uint8Array }
  /** It goes up to a client, to the queue with this PID. */
  | {
      readonly type: 'upcall';
      readonly reason: 'miss' | 'action';
      readonly pid: number;
      readonly packet: Uint8Array;
      readonly userdata?: Uint8Array;
    }
  | { readonly type: 'recirculation'; readonly pass: TracePass }
  /** `reason`: code of the drop reason (drops.ts). */
  | { readonly type: 'drop'; readonly reason: string };
