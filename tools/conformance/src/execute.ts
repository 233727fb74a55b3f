/**
 * Checks execute.jsonl: what executing actions does to one packet, seen through the calls of the executor's host and
 * in the packet that is left.
 */

import {
  ActionExecutor,
  type ActionProgram,
  compileActions,
  EXTENSION_CONTINUE,
  type ExecuteHost,
  extractFrame,
  FramePool,
  isDpifError,
  LAYER_WORDS,
  PacketArena,
  PacketBatch,
  type PacketState,
} from '@etherloom/core';
import {
  ACTION_ATTR,
  flowToMetadataKey,
  formatActions,
  formatFlowKey,
  KEY_WORDS,
  metadataFromKey,
  NlWriter,
  OdpError,
  parseActions,
  W_PACKET_TYPE,
  W_RECIRC_ID,
} from '@etherloom/odp-codec';
import { compare } from './diff.js';
import { bytesOf, isRecord, stringOf, toHex, VectorError, type VectorRecord } from './record.js';

/** The tags that Open vSwitch parses when nobody limits them. */
const VLAN_LIMIT = 2;

/** What the hash action computes is private to a datapath, as long as it is not 0, which would say "none". */
const COMPUTED_HASH = /dp_hash\([^)]+\)/;

const NAMES = new Map<number, string>([
  [ACTION_ATTR.CT, 'ct'],
  [ACTION_ATTR.METER, 'meter'],
  [ACTION_ATTR.PSAMPLE, 'psample'],
  [ACTION_ATTR.SAMPLE, 'sample'],
  [ACTION_ATTR.TUNNEL_PUSH, 'tnl_push'],
  [ACTION_ATTR.TUNNEL_POP, 'tnl_pop'],
  [ACTION_ATTR.LB_OUTPUT, 'lb_output'],
]);

/** A host that notes its calls in the form of the vectors. Extensions change nothing, as in the vectors. */
class Recorder implements ExecuteHost {
  readonly calls: VectorRecord[] = [];
  readonly #pool: FramePool;

  constructor(pool: FramePool) {
    this.#pool = pool;
  }

  output(packet: PacketState, port: number, last: boolean): void {
    this.#note(packet, { call: 'output', port }, last);
    this.#take(packet, last);
  }

  userspace(packet: PacketState, program: ActionProgram, index: number, last: boolean): void {
    const { attribute } = program.userspace[index]!;
    this.#note(packet, { call: 'userspace', action: formatActions(attribute) }, last);
    this.#take(packet, last);
  }

  recirc(packet: PacketState, id: number, last: boolean): void {
    this.#note(packet, { call: 'recirc', action: formatActions(recircAction(id)) }, last);
    this.#take(packet, last);
  }

  extension(packet: PacketState, program: ActionProgram, index: number, last: boolean): number {
    const { type, attribute } = program.extensions[index]!;
    this.#note(packet, { call: NAMES.get(type), action: formatActions(attribute) }, last);
    return EXTENSION_CONTINUE;
  }

  /** The vectors know of a drop only by what is not called. */
  drop(): void {}

  #note(packet: PacketState, call: VectorRecord, last: boolean): void {
    this.calls.push({ ...call, ...describe(packet), ...(last && { last }) });
  }

  #take(packet: PacketState, last: boolean): void {
    if (last) this.#pool.release(packet.data);
  }
}

function recircAction(id: number): Uint8Array {
  const out = new NlWriter();
  out.u32(ACTION_ATTR.RECIRC, id);
  return out.finish();
}

/** The packet in the form of the vectors: fields that are zero there are absent. */
function describe(packet: PacketState): VectorRecord {
  const { data, length, packetType, pendingCut } = packet;
  const row = packet.metadata.slice(packet.metadataBase, packet.metadataBase + KEY_WORDS);
  row[W_PACKET_TYPE] = packetType;
  const recircId = row[W_RECIRC_ID]! >>> 0;
  return {
    packet_hex: toHex(packet.arena.bytes.slice(data, data + length)),
    md: formatFlowKey(flowToMetadataKey(row)),
    ...(pendingCut !== 0 && { cut: pendingCut }),
    ...(recircId !== 0 && { recirc_id: recircId }),
    ...(packetType !== 0 && { packet_type: packetType.toString(16).padStart(8, '0') }),
  };
}

/** Frames for one packet and the copies that its actions need; every record must give all of them back. */
const arena = PacketArena.create({ frames: 64, largeFrames: 4 });
const pool = new FramePool(arena);

/** The differences between what a record of execute.jsonl gives and what we do; none when it passes. */
export function checkExecuteRecord(record: VectorRecord): string[] {
  if (record.abort === true) return checkAbort(record);
  const actions = bytesOf(record, 'actions_hex');
  const text = formatActions(actions);
  const program = compileActions(actions);
  const host = new Recorder(pool);
  const executor = new ActionExecutor(pool, host);
  // Transport rewrites of later fragments, which we refuse, are compared as Open vSwitch does them (docs/deviations.md).
  executor.packet.protectFragments = false;
  load(executor, record);
  executor.run(program, true);

  const differences: string[] = [];
  const compareFields = comparison(differences, text.includes('hash('));
  compare(differences, 'actions_format', record.actions_format ?? text, text);
  const wanted = Array.isArray(record.calls) ? record.calls : [];
  for (let i = 0; i < Math.max(wanted.length, host.calls.length); i++) {
    compareFields(`calls[${i}]`, wanted[i], host.calls[i]);
  }
  const { packet } = executor;
  compareFields('final', record.final, {
    ...describe(packet),
    l2_5_ofs: packet.l2_5,
    l3_ofs: packet.l3,
    l4_ofs: packet.l4,
  });
  pool.release(packet.data);
  checkFrames(differences);
  return differences;
}

/** Where Open vSwitch aborts, every clean end is right: a refusal, a drop, or going on without the action. */
function checkAbort(record: VectorRecord): string[] {
  const differences: string[] = [];
  try {
    const actions =
      record.actions_hex === undefined
        ? parseActions(stringOf(record, 'actions_text'))
        : bytesOf(record, 'actions_hex');
    const program = compileActions(actions);
    const executor = new ActionExecutor(pool, new Recorder(pool));
    load(executor, record);
    executor.run(program);
  } catch (error) {
    if (!isDpifError(error) && !(error instanceof OdpError)) throw error;
  }
  checkFrames(differences);
  return differences;
}

/** Puts the record's packet into a frame, extracts it as a datapath does, and loads it with the record's metadata. */
function load(executor: ActionExecutor, record: VectorRecord): void {
  const bytes = bytesOf(record, 'packet_hex');
  const packetType =
    record.packet_type === undefined ? 0 : Number.parseInt(stringOf(record, 'packet_type'), 16);
  const data = pool.allocFor(bytes.length);
  if (data < 0) throw new VectorError(`field packet_hex holds ${bytes.length} bytes, more than a frame can`);
  arena.bytes.set(bytes, data);
  const keys = new Int32Array(KEY_WORDS);
  if (record.md_hex !== undefined) metadataFromKey(bytesOf(record, 'md_hex'), keys);
  const layers = new Int32Array(LAYER_WORDS);
  extractFrame(arena.view, data, bytes.length, packetType, VLAN_LIMIT, keys, 0, layers, 0);
  const batch = new PacketBatch(1);
  batch.push(data, bytes.length);
  executor.load(batch, 0, packetType, layers, 0, keys, 0);
}

/** Compares every field that either side has; hash values not at all when the actions compute one. */
function comparison(
  differences: string[],
  hashed: boolean,
): (where: string, want: unknown, have: VectorRecord | undefined) => void {
  const comparable = (value: unknown): unknown =>
    hashed && typeof value === 'string' ? value.replace(COMPUTED_HASH, 'dp_hash(*)') : value;
  return (where, want, have) => {
    if (!isRecord(want) || have === undefined) {
      compare(differences, where, want, have);
      return;
    }
    for (const field of new Set([...Object.keys(want), ...Object.keys(have)])) {
      compare(differences, `${where}.${field}`, comparable(want[field]), comparable(have[field]));
    }
  };
}

function checkFrames(differences: string[]): void {
  const missing = arena.frames - pool.free + (arena.largeFrames - pool.freeLarge);
  if (missing !== 0) differences.push(`${missing} frames were not given back`);
}
