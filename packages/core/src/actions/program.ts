/** What `compileActions` makes of an action list, and who takes part in running it. Types and constants. */

import type { PacketState } from '../packet/modify.hot.js';
import type { PlainProgram } from './plain.hot.js';

/** A `userspace` action: what an upcall needs of it. */
export interface UserspaceAction {
  /** Netlink PID of the upcall; 0 when the action names none. */
  readonly pid: number;
  readonly userdata?: Uint8Array;
  /** Port whose tunnel the packet is about to leave through, to be described in the upcall. */
  readonly egressTunnelPort?: number;
  /** Whether the upcall carries the actions of the flow. */
  readonly withActions: boolean;
  /** The action as Netlink attribute, header included. */
  readonly attribute: Uint8Array;
}

/** An action that the host executes. */
export interface ExtensionAction {
  /** OVS_ACTION_ATTR_* */
  readonly type: number;
  readonly payload: Uint8Array;
  /** The action as Netlink attribute, header included. */
  readonly attribute: Uint8Array;
  /** Of an {@link ACTION_STEP}: how many lists its own is nested in. */
  readonly depth?: number;
}

/**
 * Type of the extensions in programs compiled with `steps`: one in front of each action, whose attribute it has, and one
 * with no attribute at the end of each list. So a host sees the packet between actions, from the executor itself.
 */
export const ACTION_STEP = -1;

/** A compiled action list. Immutable; shares nothing with the bytes that it was made from. */
export interface ActionProgram {
  /** The list as Netlink attributes. */
  readonly actions: Uint8Array;
  /** Instructions, see execute.hot.ts. */
  readonly code: Int32Array;
  readonly userspace: readonly UserspaceAction[];
  readonly extensions: readonly ExtensionAction[];
  /**
   * The ports in order, when the list consists of outputs and nothing else: then a caller need not run the program.
   * Empty for the empty list, which drops the packet.
   */
  readonly outputsOnly: Int32Array | undefined;
  /** When the list consists of plain changes and then outputs: see `changePlain`. */
  readonly plain: PlainProgram | undefined;
  /** Whether an action, an extension included, may change the bytes of the packet. */
  readonly modifies: boolean;
  /** Whether one may change its metadata. */
  readonly changesMetadata: boolean;
  /**
   * Whether it is to run on resolved packets only (OFFLOAD_UNFINISHED): it truncates, or pushes or pops what no device
   * segments behind (MPLS, NSH), or leaves the packet to an extension.
   */
  readonly needsResolved: boolean;
}

/** {@link ExecuteHost.extension}: go on with the next action. */
export const EXTENSION_CONTINUE = -1;
/** {@link ExecuteHost.extension}: a copy of the packet was delivered; go on with the next action. */
export const EXTENSION_DELIVERED = -2;
/** {@link ExecuteHost.extension}: the host took over the frame; this packet is done. */
export const EXTENSION_TAKEN = -3;

/**
 * Who owns ports, upcalls and flow table. Called by the executor for each packet; must not allocate, throw or call the
 * executor back (a host that recirculates at once has one executor per recirculation depth).
 *
 * `packet` is the executor's and valid during the call. Its frame: with `last` true it is the host's from now on, to
 * send or release. Otherwise the host may read it during the call, and calls `retain` of the pool if it keeps it
 * longer; what it kept does not change, since the executor copies a shared frame before it changes a byte.
 */
export interface ExecuteHost {
  /** Sends the packet, without its last `packet.pendingCut` bytes, to port `port` (0..0xffffffff). */
  output(packet: PacketState, port: number, last: boolean): void;
  /** Passes the packet, without its last `packet.pendingCut` bytes, up for `program.userspace[index]`. */
  userspace(packet: PacketState, program: ActionProgram, index: number, last: boolean): void;
  /**
   * Looks the packet up again under recirculation id `id` (0..0xffffffff). `packet.metadata` still says the old id.
   * The host may use the words of headers in the metadata row to extract into.
   */
  recirc(packet: PacketState, id: number, last: boolean): void;
  /**
   * Executes `program.extensions[index]`: conntrack, tunnel push and pop, meters, psample (and a sample with a psample
   * in it), output to a bond. The frame may be changed if it is not shared; `last` says that no action follows.
   * Returns EXTENSION_*, or a DROP_* reason: then the executor drops the packet
   * and counts it. A host that lacks the action returns DROP_ACTION_UNSUPPORTED.
   */
  extension(packet: PacketState, program: ActionProgram, index: number, last: boolean): number;
  /** Counts a packet under DROP_* `reason`. The frame stays the executor's. */
  drop(packet: PacketState, reason: number): void;
}
