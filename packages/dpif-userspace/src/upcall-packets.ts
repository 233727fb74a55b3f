/**
 * The packets of an upcall as clients get them (dpif.h "Packet Format"): copies, fully checksummed, none longer than a
 * device would send. Control path in all but where it runs: what needs work is rare, the first packet of a flow of a host.
 */

import { markAsUntransferable } from 'node:worker_threads';
import { finishChecksum, OFFLOAD_CSUM_PARTIAL, OFFLOAD_GSO, Segmenter } from '@etherloom/core';

/** Where the packets are that come up: an arena, or a ring that a poll-mode thread wrote them to. */
export interface PacketMemory {
  readonly bytes: Uint8Array;
}

/** A packet in such a memory with its offload metadata, as in a `PacketBatch`. */
export interface OffloadedPacket {
  readonly data: number;
  readonly length: number;
  readonly packetType: number;
  /** Bytes that a truncation takes from the end. */
  readonly cut: number;
  readonly offload: number;
  readonly csumStart: number;
  readonly csumOffset: number;
  readonly gsoSize: number;
  readonly gsoHeader: number;
}

/** How many packets it becomes, and their bytes together, as far as its metadata tell: to see whether there is room. */
export function sizeOf({
  length,
  offload,
  gsoSize,
  gsoHeader,
}: OffloadedPacket): [packets: number, bytes: number] {
  if ((offload & OFFLOAD_GSO) === 0 || gsoSize < 1) return [1, length];
  const packets = Math.max(1, Math.ceil((length - gsoHeader) / gsoSize));
  return [packets, length + (packets - 1) * Math.max(gsoHeader, 0)];
}

/** The packets for the client, in order, of one with offloads. A super-packet whose metadata contradict it stays one. */
export function packetsOf(memory: PacketMemory, packet: OffloadedPacket): Uint8Array[] {
  const { data, length, cut, offload, csumStart, csumOffset } = packet;
  if ((offload & OFFLOAD_GSO) !== 0) {
    const segments = segmentsOf(memory, packet);
    if (segments.length > 0) return segments;
  }
  if ((offload & OFFLOAD_CSUM_PARTIAL) === 0) return [copyOf(memory, data, length - cut)];
  const bytes = memory.bytes.slice(data, data + length);
  finishChecksum(new DataView(bytes.buffer), 0, length, csumStart, csumOffset);
  return [cut === 0 ? bytes : bytes.slice(0, length - cut)];
}

/** Up to this length V8 keeps an array in its own heap, which is cheapest; ... */
const OWN_MAX = 64;
/** ... up to this one, arrays share a buffer: one of its own takes 1.2 us, a view of a shared one 0.2. */
const SHARED_MAX = 512;
/** Small, because one packet that somebody keeps, keeps all of the pool that it is in. */
const POOL_BYTES = 8192;

let pool = new Uint8Array(0);
let poolUsed = 0;

/** A copy of a packet in the memory. */
export function copyOf({ bytes }: PacketMemory, data: number, length: number): Uint8Array {
  if (length <= OWN_MAX || length > SHARED_MAX) return bytes.slice(data, data + length);
  if (poolUsed + length > pool.length) {
    pool = new Uint8Array(POOL_BYTES);
    // A client that posts its packet to another thread must not take the others along: it posts a copy.
    markAsUntransferable(pool.buffer);
    poolUsed = 0;
  }
  const start = poolUsed;
  pool.set(bytes.subarray(data, data + length), start);
  poolUsed = (start + length + 7) & ~7;
  return new Uint8Array(pool.buffer, start, length);
}

/** Each segment is cut as a packet of its own would be: to the length that the truncation leaves. */
function segmentsOf(memory: PacketMemory, packet: OffloadedPacket): Uint8Array[] {
  const { data, length, packetType, cut, offload, csumStart, gsoSize } = packet;
  // The super-packet, and behind it room for one segment, which is no longer.
  const room = new Uint8Array(2 * length);
  room.set(memory.bytes.subarray(data, data + length));
  const segmenter = new Segmenter(room, new DataView(room.buffer));
  const count = segmenter.load(0, length, packetType, offload, csumStart, gsoSize);
  return Array.from({ length: count }, (_, i) => {
    const end = length + segmenter.write(i, length);
    return room.slice(length, Math.min(end, length + length - cut));
  });
}
