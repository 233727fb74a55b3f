/**
 * Changes of many plain packets at once. Hot: no allocation, no throw.
 *
 * Most lists that rewrite headers do it to whole IP packets in plain frames, and then send. For those each header is changed
 * in all packets of a flow before the next one is, straight on the batch: operands are looked at once, and no packet's state
 * has to be set up as the executor needs it, which took ten times as long. Results are the executor's, byte by byte;
 * whatever is not plain goes there.
 */

import { OFFLOAD_CSUM_VALID, type PacketBatch } from '../packet/batch.hot.js';
import { update32 } from '../packet/checksum.hot.js';
import type { FramePool } from '../packet/frame-pool.hot.js';

const TAG = 4;
const ETH_ADDRESSES = 12;
const ETH_HEADER = 14;
const PROTO_TCP = 6;
const PROTO_UDP = 17;
const TCP_HEADER = 20;
const UDP_HEADER = 8;
const IPV4_HEADER = 20;
/** Where the checksums are in the transport headers. */
const TCP_CHECKSUM = 16;
const UDP_CHECKSUM = 6;
/** Offloads that leave work undone: a checksum that somebody verified is none, and stays right as it follows changes. */
const WORK = ~OFFLOAD_CSUM_VALID;

/**
 * A list of plain changes followed by outputs, as `compileActions` finds it. Headers are set by pairs of words: value, and
 * the bits that stay.
 */
export interface PlainProgram {
  /** The ports in order; empty: the packet is dropped. */
  readonly ports: Int32Array;
  /** 3 pairs from the first byte of the frame on. */
  readonly eth: Int32Array | undefined;
  /** VLAN tags to take off, if there are so many, and then those to put on, `tpid << 16 | tci`, the outermost first. */
  readonly pops: number;
  readonly tags: Int32Array;
  /** 3 pairs: source, destination, `tos << 8 | ttl`. The list is not for other packets than IPv4 then. */
  readonly ipv4: Int32Array | undefined;
  /** 1 pair: the ports of TCP if `tcp`, else of UDP. */
  readonly l4: Int32Array | undefined;
  readonly tcp: boolean;
  /** Bytes that tags may need in front of the packet. */
  readonly room: number;
}

/**
 * Whether `program` can run on packets `[first, end)` of `batch`: whole IP packets in Ethernet (`shapes` as in
 * `BurstMemory.shape`), in small frames that nobody else sees, with nothing left to do by offloads.
 */
export function isPlain(
  program: PlainProgram,
  pool: FramePool,
  batch: PacketBatch,
  shapes: Int32Array,
  first: number,
  end: number,
): boolean {
  const { offload } = batch;
  const ipv4 = program.ipv4 !== undefined;
  for (let i = first; i < end; i++) {
    const shape = shapes[i]!;
    if (shape === 0 || (offload[i]! & WORK) !== 0) return false;
    if (ipv4 && ((shape >>> 8) & 0xff) - (shape & 0xff) !== IPV4_HEADER) return false;
  }
  return pool.areOwn(batch.data, first, end, program.room);
}

/** Runs the changes of a plain program on packets that it can run on. Their data and length follow, their shapes do not. */
export function changePlain(
  program: PlainProgram,
  view: DataView,
  batch: PacketBatch,
  shapes: Int32Array,
  first: number,
  end: number,
): void {
  const { ipv4, l4 } = program;
  if (ipv4 !== undefined) setIpv4(ipv4, view, batch, shapes, first, end);
  if (l4 !== undefined) setPorts(program.tcp, l4, view, batch, shapes, first, end);
  setFront(program, view, batch, shapes, first, end);
}

/** Addresses, TOS and TTL, with the checksums that cover them: one sum of all that changes (RFC 1624, equation 3). */
function setIpv4(
  pairs: Int32Array,
  view: DataView,
  batch: PacketBatch,
  shapes: Int32Array,
  first: number,
  end: number,
): void {
  const { data, length } = batch;
  const [source, keepSource] = [pairs[0]!, pairs[1]!];
  const [target, keepTarget] = [pairs[2]!, pairs[3]!];
  const [tosTtl, keepTosTtl] = [pairs[4]!, pairs[5]!];
  const keepTos = (keepTosTtl >>> 8) & 0xff;
  // TTL, protocol and checksum are one word.
  const ttl = tosTtl << 24;
  const keepTtl = (keepTosTtl << 24) | 0xff0000;
  for (let i = first; i < end; i++) {
    const shape = shapes[i]!;
    const header = data[i]! + (shape & 0xff);
    let change = 0;
    const oldSource = view.getInt32(header + 12);
    const newSource = source | (oldSource & keepSource);
    if (newSource !== oldSource) {
      view.setInt32(header + 12, newSource);
      change = (~oldSource >>> 16) + (~oldSource & 0xffff) + (newSource >>> 16) + (newSource & 0xffff);
    }
    const oldTarget = view.getInt32(header + 16);
    const newTarget = target | (oldTarget & keepTarget);
    if (newTarget !== oldTarget) {
      view.setInt32(header + 16, newTarget);
      change += (~oldTarget >>> 16) + (~oldTarget & 0xffff) + (newTarget >>> 16) + (newTarget & 0xffff);
    }
    const before = view.getInt32(header + 8);
    const proto = (before >>> 16) & 0xff;
    if (change !== 0 && (proto === PROTO_UDP || proto === PROTO_TCP)) {
      const offset = (shape >>> 8) & 0xff;
      const size = length[i]! - offset - (shape >>> 16);
      if (size >= (proto === PROTO_TCP ? TCP_HEADER : UDP_HEADER)) {
        const field = data[i]! + offset + (proto === PROTO_TCP ? TCP_CHECKSUM : UDP_CHECKSUM);
        const checksum = view.getUint16(field);
        // 0 is no checksum for UDP, and is written as 0xffff (RFC 768).
        if (proto === PROTO_TCP || checksum !== 0) {
          const sum = added(checksum, change);
          view.setUint16(field, sum === 0 && proto === PROTO_UDP ? 0xffff : sum);
        }
      }
    }
    const oldTos = view.getUint8(header + 1);
    const newTos = (tosTtl >>> 8) | (oldTos & keepTos);
    if (newTos !== oldTos) {
      view.setUint8(header + 1, newTos);
      change += 0xffff - oldTos + newTos;
    }
    const after = ttl | (before & keepTtl);
    if (after >>> 16 !== before >>> 16) change += (~before >>> 16) + (after >>> 16);
    if (change !== 0) view.setInt32(header + 8, after | added(before & 0xffff, change));
  }
}

/** The checksum after what it covers changed, by the sum of complements of old words and of new words. */
function added(checksum: number, change: number): number {
  const sum = (~checksum & 0xffff) + change;
  const once = (sum >>> 16) + (sum & 0xffff);
  return ~((once >>> 16) + once) & 0xffff;
}

function setPorts(
  tcp: boolean,
  pairs: Int32Array,
  view: DataView,
  batch: PacketBatch,
  shapes: Int32Array,
  first: number,
  end: number,
): void {
  const { data, length } = batch;
  const [value, keep] = [pairs[0]!, pairs[1]!];
  for (let i = first; i < end; i++) {
    const offset = (shapes[i]! >>> 8) & 0xff;
    const l4 = data[i]! + offset;
    const size = length[i]! - offset - (shapes[i]! >>> 16);
    if (size < (tcp ? TCP_HEADER : UDP_HEADER)) continue;
    let field = -1;
    if (tcp) {
      const header = (view.getUint8(l4 + 12) >>> 4) * 4;
      if (header < TCP_HEADER || header > size) continue;
      field = l4 + TCP_CHECKSUM;
    } else if (view.getUint16(l4 + UDP_CHECKSUM) !== 0) {
      field = l4 + UDP_CHECKSUM;
    }
    const before = view.getInt32(l4);
    const after = value | (before & keep);
    if (after === before) continue;
    view.setInt32(l4, after);
    if (field < 0) continue;
    const sum = update32(view.getUint16(field), before, after);
    view.setUint16(field, sum === 0 && !tcp ? 0xffff : sum);
  }
}

/** The Ethernet addresses, and the tags behind them: the addresses are written once, where they end up. */
function setFront(
  program: PlainProgram,
  view: DataView,
  batch: PacketBatch,
  shapes: Int32Array,
  first: number,
  end: number,
): void {
  const { eth, tags, pops } = program;
  const count = tags.length;
  if (eth === undefined && count === 0 && pops === 0) return;
  const { data, length } = batch;
  const [value0, keep0] = [eth?.[0] ?? 0, eth?.[1] ?? -1];
  const [value1, keep1] = [eth?.[2] ?? 0, eth?.[3] ?? -1];
  const [value2, keep2] = [eth?.[4] ?? 0, eth?.[5] ?? -1];
  for (let i = first; i < end; i++) {
    const from = data[i]!;
    const word0 = value0 | (view.getInt32(from) & keep0);
    const word1 = value1 | (view.getInt32(from + 4) & keep1);
    const word2 = value2 | (view.getInt32(from + 8) & keep2);
    const less = pops === 0 ? 0 : Math.min(pops * TAG, (shapes[i]! & 0xff) - ETH_HEADER);
    const more = count * TAG - less;
    const to = from - more;
    view.setInt32(to, word0);
    view.setInt32(to + 4, word1);
    view.setInt32(to + 8, word2);
    for (let tag = 0; tag < count; tag++) view.setInt32(to + ETH_ADDRESSES + tag * TAG, tags[tag]!);
    data[i] = to;
    length[i] = length[i]! + more;
  }
}
