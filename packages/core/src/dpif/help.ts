/**
 * Execution with help (struct dpif_execute needs_help): this layer executes an action list, and passes the packet
 * through to the provider for each action that only a datapath can perform. Control path: one packet at a time.
 */

import {
  ACTION_ATTR,
  flowToMetadataKey,
  KEY_ATTR,
  KEY_WORDS,
  metadataFromKey,
  NLA_MAX_PAYLOAD,
  NlWriter,
  W_PACKET_TYPE,
  W_RECIRC_ID,
} from '@etherloom/odp-codec';
import { compileActions } from '../actions/compile.js';
import { ActionExecutor } from '../actions/execute.hot.js';
import { MAX_ACTION_NESTING } from '../actions/nesting.hot.js';
import { type ActionProgram, EXTENSION_CONTINUE, type ExecuteHost } from '../actions/program.js';
import { DROP_ACTION_FAILED, DROP_NO_FRAME, DROP_NO_HEADROOM, DROP_REASONS } from '../drops.js';
import { DpifError, type ErrnoCode, toDpifError } from '../errors.js';
import { extractFrame, LAYER_WORDS } from '../flow/extract.hot.js';
import { PacketArena } from '../packet/arena.js';
import { PacketBatch } from '../packet/batch.hot.js';
import { FramePool } from '../packet/frame-pool.hot.js';
import type { PacketState } from '../packet/modify.hot.js';
import type { ExecuteOp, OpResult } from './dpif.js';
import type { DpifBackend } from './provider.js';

const NO_METADATA = new Uint8Array();
const ACTION_NAMES = new Map<number, string>(
  Object.entries(ACTION_ATTR).map(([name, type]) => [type, name.toLowerCase()]),
);

/** Drops that are failures of the execution, not the wish of its actions. */
const FAILURES: ReadonlyMap<number, ErrnoCode> = new Map([
  [DROP_NO_FRAME, 'ENOBUFS'],
  [DROP_NO_HEADROOM, 'EMSGSIZE'],
  [DROP_ACTION_FAILED, 'EINVAL'],
]);

/** Whether `op` is executed here: because it says so, or because its actions do not fit one Netlink attribute. */
export function needsHelp(op: ExecuteOp): boolean {
  return op.needsHelp === true || op.actions.length > NLA_MAX_PAYLOAD;
}

/**
 * Executes `op` here and lets `backend` execute its output, userspace and recirc actions, one at a time and in order, on
 * the packet and metadata as they are at that point. The outcome is the last error that one of them had, or else that of
 * an action that failed here. EINVAL for a list that is malformed or that `backend` would refuse, and EOPNOTSUPP for actions that
 * go on with the packet as the datapath leaves it (ct, meter, tunnels ...): then nothing is executed.
 */
export async function executeWithHelp(backend: DpifBackend, op: ExecuteOp): Promise<OpResult> {
  try {
    const program = compileActions(op.actions);
    const [foreign] = program.extensions;
    if (foreign !== undefined) {
      throw new DpifError(
        'EOPNOTSUPP',
        `action ${ACTION_NAMES.get(foreign.type)} cannot be executed outside of the datapath, so the list cannot be split`,
      );
    }
    await backend.checkExecute?.(op);
    const host = new SplittingHost();
    run(host, program, op);
    const results = host.steps.length === 0 ? [] : await backend.operate(host.steps);
    const error = results.findLast((result) => result.error !== undefined)?.error ?? host.failure;
    return error === undefined ? {} : { error };
  } catch (error) {
    return { error: toDpifError(error) };
  }
}

/** Makes an operation of each action that the datapath must perform. */
class SplittingHost implements ExecuteHost {
  readonly steps: ExecuteOp[] = [];
  failure: DpifError | undefined;

  output(packet: PacketState, port: number, last: boolean): void {
    const action = new NlWriter(8);
    action.u32(ACTION_ATTR.OUTPUT, port);
    this.#step(packet, action.finish(), packet.pendingCut, last);
  }

  userspace(packet: PacketState, program: ActionProgram, index: number, last: boolean): void {
    this.#step(packet, program.userspace[index]!.attribute, packet.pendingCut, last);
  }

  recirc(packet: PacketState, id: number, last: boolean): void {
    const action = new NlWriter(8);
    action.u32(ACTION_ATTR.RECIRC, id);
    this.#step(packet, action.finish(), 0, last);
  }

  /** Programs with extensions are not run. */
  extension(): number {
    return EXTENSION_CONTINUE;
  }

  drop(_packet: PacketState, reason: number): void {
    const code = FAILURES.get(reason);
    if (code !== undefined) this.failure = new DpifError(code, DROP_REASONS[reason]!.sentence);
  }

  #step(packet: PacketState, actions: Uint8Array, cut: number, last: boolean): void {
    const { data, length, metadata, metadataBase, packetType } = packet;
    const row = metadata.slice(metadataBase, metadataBase + KEY_WORDS);
    row[W_PACKET_TYPE] = packetType;
    const key = new NlWriter();
    // The codec leaves recirc_id out, since no packet keeps it; an upcall's key has it.
    if (row[W_RECIRC_ID] !== 0) key.u32(KEY_ATTR.RECIRC_ID, row[W_RECIRC_ID]!);
    key.append(flowToMetadataKey(row));
    const bytes = packet.arena.bytes.subarray(data, data + length - cut);
    const before = this.steps.at(-1)?.packet;
    this.steps.push({
      type: 'execute',
      // Thousands of outputs of one packet share its bytes.
      packet: before !== undefined && Buffer.compare(before, bytes) === 0 ? before : bytes.slice(),
      actions,
      metadata: key.finish(),
    });
    if (last) memory().release(data);
  }
}

/** Every level of nesting may have a copy of its own, and the packet itself is one more. */
const FRAMES = MAX_ACTION_NESTING + 2;
let pool: FramePool | undefined;

/** 2.4 MiB of addresses, allocated when the first packet needs help; each run gives all of its frames back. */
function memory(): FramePool {
  pool ??= new FramePool(PacketArena.create({ frames: FRAMES, largeFrames: FRAMES }));
  return pool;
}

function run(host: ExecuteHost, program: ActionProgram, op: ExecuteOp): void {
  const frames = memory();
  const { arena } = frames;
  const { length } = op.packet;
  const data = frames.allocFor(length);
  arena.bytes.set(op.packet, data);
  const batch = new PacketBatch(1);
  batch.push(data, length);
  const key = new Int32Array(KEY_WORDS);
  const layers = new Int32Array(LAYER_WORDS);
  metadataFromKey(op.metadata ?? NO_METADATA, key);
  const packetType = key[W_PACKET_TYPE]!;
  extractFrame(arena.view, data, length, packetType, 0, key, 0, layers, 0);
  const executor = new ActionExecutor(frames, host, Math.random() * 0x1_0000_0000);
  executor.load(batch, 0, packetType, layers, 0, key, 0);
  executor.run(program);
}
