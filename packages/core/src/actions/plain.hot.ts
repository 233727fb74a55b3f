/**
 * Changes of many plain packets at once. Hot: no allocation, no throw.
 *
 * Most lists that rewrite headers do it to whole IP packets in plain frames, and then send. For those each instruction runs
 * over all packets of a flow before the next one does, straight on the batch: its operands are looked at once, and no
 * packet's state has to be set up as the executor needs it, which took four times as long. Results are the executor's, byte
 * by byte; whatever is not plain goes there.
 */

import { SMALL_FRAME_ROOM } from '../packet/arena.js';
import type { PacketBatch } from '../packet/batch.hot.js';
import { update16, update32 } from '../packet/checksum.hot.js';
import type { FramePool } from '../packet/frame-pool.hot.js';
import { OP_POP_VLAN, OP_PUSH_VLAN, OP_SET_ETH, OP_SET_IPV4, OP_SET_TCP, OP_SET_UDP } from './change.hot.js';

/** Most tags that a plain list pushes: offsets of layers have 8 bits in a shape. */
export const MAX_PLAIN_TAGS = 4;

// V8 folds a module's own constants into the code, imported ones not.
const PUSH_VLAN = OP_PUSH_VLAN;
const POP_VLAN = OP_POP_VLAN;
const SET_ETH = OP_SET_ETH;
const SET_IPV4 = OP_SET_IPV4;
const SET_TCP = OP_SET_TCP;
const SET_UDP = OP_SET_UDP;
const OPCODE = 0xff;
const MAX_LENGTH = SMALL_FRAME_ROOM;

const TAG = 4;
/** What a tag in front adds to the shape of a packet: both offsets move. */
const TAG_SHAPE = 0x0404;
const ETH_TYPE_CTAG = 0x8100;
const ETH_TYPE_STAG = 0x88a8;
const PROTO_TCP = 6;
const PROTO_UDP = 17;
const TCP_HEADER = 20;
const UDP_HEADER = 8;
const IPV4_HEADER = 20;

/** A list of plain changes followed by outputs, as `compileActions` finds it. */
export interface PlainProgram {
  /** Where in the program the outputs begin. */
  readonly end: number;
  /** The ports in order; empty: the packet is dropped. */
  readonly ports: Int32Array;
  /** Bytes that it may need in front of the packet. */
  readonly room: number;
  /** Whether it is about IPv4, so that other packets are not for it. */
  readonly ipv4: boolean;
}

/**
 * Whether `program` can run on packets `[first, end)` of `batch`: whole IP packets in Ethernet (`shapes` as in
 * `BurstLookup.shape`), in frames that nobody else sees, without offloads.
 */
export function isPlain(
  program: PlainProgram,
  pool: FramePool,
  batch: PacketBatch,
  shapes: Int32Array,
  first: number,
  end: number,
): boolean {
  const { data, length, offload } = batch;
  const { arena } = pool;
  const { ipv4, room } = program;
  for (let i = first; i < end; i++) {
    const shape = shapes[i]!;
    const at = data[i]!;
    if (shape === 0 || offload[i] !== 0 || length[i]! > MAX_LENGTH || pool.isShared(at)) return false;
    if (ipv4 && ((shape >>> 8) & 0xff) - (shape & 0xff) !== IPV4_HEADER) return false;
    if (room > 0 && at - room < arena.frameStart(arena.frameIndex(at))) return false;
  }
  return true;
}

/** Runs the changes of a plain program on packets that it can run on. Their data, length and shape change with them. */
export function changePlain(
  code: Int32Array,
  program: PlainProgram,
  view: DataView,
  batch: PacketBatch,
  shapes: Int32Array,
  first: number,
  end: number,
): void {
  let pc = 0;
  while (pc < program.end) {
    const at = pc + 1;
    switch (code[pc]! & OPCODE) {
      case SET_ETH:
        setEth(code, at, view, batch, first, end);
        pc = at + 6;
        break;
      case SET_IPV4:
        setIpv4(code, at, view, batch, shapes, first, end);
        pc = at + 6;
        break;
      case SET_TCP:
      case SET_UDP:
        setPorts((code[pc]! & OPCODE) === SET_TCP, code, at, view, batch, shapes, first, end);
        pc = at + 2;
        break;
      case PUSH_VLAN:
        pushVlan(code[at]! & ~0x1000, view, batch, shapes, first, end);
        pc = at + 1;
        break;
      case POP_VLAN:
        popVlan(view, batch, shapes, first, end);
        pc = at;
        break;
      default:
        // The compiler lets no other instruction in.
        return;
    }
  }
}

function setEth(
  code: Int32Array,
  at: number,
  view: DataView,
  batch: PacketBatch,
  first: number,
  end: number,
): void {
  const { data } = batch;
  const [value0, keep0] = [code[at]!, ~code[at + 1]!];
  const [value1, keep1] = [code[at + 2]!, ~code[at + 3]!];
  const [value2, keep2] = [code[at + 4]!, ~code[at + 5]!];
  for (let i = first; i < end; i++) {
    const frame = data[i]!;
    view.setInt32(frame, value0 | (view.getInt32(frame) & keep0));
    view.setInt32(frame + 4, value1 | (view.getInt32(frame + 4) & keep1));
    view.setInt32(frame + 8, value2 | (view.getInt32(frame + 8) & keep2));
  }
}

function setIpv4(
  code: Int32Array,
  at: number,
  view: DataView,
  batch: PacketBatch,
  shapes: Int32Array,
  first: number,
  end: number,
): void {
  const { data, length } = batch;
  const [source, keepSource] = [code[at]!, ~code[at + 1]!];
  const [target, keepTarget] = [code[at + 2]!, ~code[at + 3]!];
  const tosTtl = code[at + 4]!;
  const keepTos = (~code[at + 5]! >>> 8) & 0xff;
  const keepTtl = ~code[at + 5]! & 0xff;
  for (let i = first; i < end; i++) {
    const shape = shapes[i]!;
    const header = data[i]! + (shape & 0xff);
    const l4 = header + IPV4_HEADER;
    // Where the transport checksum is that covers the addresses; -1 without one.
    const size = length[i]! - ((shape >>> 8) & 0xff) - (shape >>> 16);
    const proto = view.getUint8(header + 9);
    let field = -1;
    if (proto === PROTO_TCP && size >= TCP_HEADER) field = l4 + 16;
    else if (proto === PROTO_UDP && size >= UDP_HEADER && view.getUint16(l4 + 6) !== 0) field = l4 + 6;
    const beforeSum = view.getUint16(header + 10);
    let sum = beforeSum;

    const oldSource = view.getInt32(header + 12);
    const newSource = source | (oldSource & keepSource);
    if (newSource !== oldSource) {
      view.setInt32(header + 12, newSource);
      sum = update32(sum, oldSource, newSource);
      if (field >= 0) updateField(view, field, proto, oldSource, newSource);
    }
    const oldTarget = view.getInt32(header + 16);
    const newTarget = target | (oldTarget & keepTarget);
    if (newTarget !== oldTarget) {
      view.setInt32(header + 16, newTarget);
      sum = update32(sum, oldTarget, newTarget);
      if (field >= 0) updateField(view, field, proto, oldTarget, newTarget);
    }
    const oldTos = view.getUint8(header + 1);
    const newTos = (tosTtl >>> 8) | (oldTos & keepTos);
    if (newTos !== oldTos) {
      view.setUint8(header + 1, newTos);
      sum = update16(sum, oldTos, newTos);
    }
    const oldTtl = view.getUint8(header + 8);
    const newTtl = (tosTtl & 0xff) | (oldTtl & keepTtl);
    if (newTtl !== oldTtl) {
      view.setUint8(header + 8, newTtl);
      sum = update16(sum, oldTtl << 8, newTtl << 8);
    }
    if (sum !== beforeSum) view.setUint16(header + 10, sum);
  }
}

/** The TCP or UDP checksum at `field` after a word under it changed; UDP writes 0 as 0xffff (RFC 768). */
function updateField(view: DataView, field: number, proto: number, before: number, after: number): void {
  const sum = update32(view.getUint16(field), before, after);
  view.setUint16(field, sum === 0 && proto === PROTO_UDP ? 0xffff : sum);
}

function setPorts(
  tcp: boolean,
  code: Int32Array,
  at: number,
  view: DataView,
  batch: PacketBatch,
  shapes: Int32Array,
  first: number,
  end: number,
): void {
  const { data, length } = batch;
  const [value, keep] = [code[at]!, ~code[at + 1]!];
  for (let i = first; i < end; i++) {
    const offset = (shapes[i]! >>> 8) & 0xff;
    const l4 = data[i]! + offset;
    const size = length[i]! - offset - (shapes[i]! >>> 16);
    if (size < (tcp ? TCP_HEADER : UDP_HEADER)) continue;
    let field = -1;
    if (tcp) {
      const header = (view.getUint8(l4 + 12) >>> 4) * 4;
      if (header < TCP_HEADER || header > size) continue;
      field = l4 + 16;
    } else if (view.getUint16(l4 + 6) !== 0) {
      field = l4 + 6;
    }
    const before = view.getInt32(l4);
    const after = value | (before & keep);
    if (after === before) continue;
    view.setInt32(l4, after);
    if (field >= 0) updateField(view, field, tcp ? PROTO_TCP : PROTO_UDP, before, after);
  }
}

function pushVlan(
  tag: number,
  view: DataView,
  batch: PacketBatch,
  shapes: Int32Array,
  first: number,
  end: number,
): void {
  const { data, length } = batch;
  for (let i = first; i < end; i++) {
    const frame = data[i]!;
    const word0 = view.getInt32(frame);
    const word1 = view.getInt32(frame + 4);
    const word2 = view.getInt32(frame + 8);
    view.setInt32(frame - 4, word0);
    view.setInt32(frame, word1);
    view.setInt32(frame + 4, word2);
    view.setInt32(frame + 8, tag);
    data[i] = frame - TAG;
    length[i] = length[i]! + TAG;
    shapes[i] = shapes[i]! + TAG_SHAPE;
  }
}

function popVlan(view: DataView, batch: PacketBatch, shapes: Int32Array, first: number, end: number): void {
  const { data, length } = batch;
  for (let i = first; i < end; i++) {
    const frame = data[i]!;
    const type = view.getUint16(frame + 12);
    if (type !== ETH_TYPE_CTAG && type !== ETH_TYPE_STAG) continue;
    const word0 = view.getInt32(frame);
    const word1 = view.getInt32(frame + 4);
    const word2 = view.getInt32(frame + 8);
    view.setInt32(frame + 4, word0);
    view.setInt32(frame + 8, word1);
    view.setInt32(frame + 12, word2);
    data[i] = frame + TAG;
    length[i] = length[i]! - TAG;
    shapes[i] = shapes[i]! - TAG_SHAPE;
  }
}
