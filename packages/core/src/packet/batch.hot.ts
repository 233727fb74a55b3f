/**
 * A batch of packets as struct of arrays, allocated once and reused. Hot: no allocation, no throw.
 *
 * Slot `i < count` holds one packet: its frame is owned by whoever owns the batch. Functions that take over frames say so.
 */

/** Most packets in a batch: what one native call receives or sends. */
export const BATCH_SIZE = 32;

/** The L4 checksum field holds the pseudo-header sum only; `csumStart`/`csumOffset` say where to finish it. */
export const OFFLOAD_CSUM_PARTIAL = 1;
/** Someone already verified the L4 checksum. */
export const OFFLOAD_CSUM_VALID = 2;
/**
 * A super-packet to be segmented into `gsoSize` payloads; exactly one of these bits, and OFFLOAD_CSUM_PARTIAL with it.
 * UDP is datagrams of their own (UDP_SEGMENT of udp(7)), not IP fragments.
 */
export const OFFLOAD_GSO_TCP4 = 4;
export const OFFLOAD_GSO_TCP6 = 8;
export const OFFLOAD_GSO_UDP = 16;
/** With a TCP bit: CWR handling of segments (virtio's ECN bit). */
export const OFFLOAD_GSO_ECN = 32;
export const OFFLOAD_GSO = OFFLOAD_GSO_TCP4 | OFFLOAD_GSO_TCP6 | OFFLOAD_GSO_UDP;
/** What is left to do on a packet before it can be on a wire: whoever cannot, needs it resolved (resolve.hot.ts). */
export const OFFLOAD_UNFINISHED = OFFLOAD_CSUM_PARTIAL | OFFLOAD_GSO | OFFLOAD_GSO_ECN;

export class PacketBatch {
  count = 0;
  readonly capacity: number;
  /** Byte offset of the packet's first byte in the arena. */
  readonly data: Int32Array;
  /** Length in bytes. */
  readonly length: Int32Array;
  /** OFFLOAD_* bits. */
  readonly offload: Int32Array;
  /** Meaningful with OFFLOAD_CSUM_PARTIAL: first byte summed and place of the field, from the packet's first byte / from csumStart. */
  readonly csumStart: Int32Array;
  readonly csumOffset: Int32Array;
  /** Meaningful with a GSO bit: payload bytes per segment, bytes of headers in front. */
  readonly gsoSize: Int32Array;
  readonly gsoHeader: Int32Array;

  constructor(capacity = BATCH_SIZE) {
    this.capacity = capacity;
    this.data = new Int32Array(capacity);
    this.length = new Int32Array(capacity);
    this.offload = new Int32Array(capacity);
    this.csumStart = new Int32Array(capacity);
    this.csumOffset = new Int32Array(capacity);
    this.gsoSize = new Int32Array(capacity);
    this.gsoHeader = new Int32Array(capacity);
  }

  /** Appends a packet without offload metadata. The caller saw to it that there is room. */
  push(data: number, length: number): void {
    const i = this.count++;
    this.data[i] = data;
    this.length[i] = length;
    this.offload[i] = 0;
  }

  /** Appends packets `[first, end)` of `from`, metadata included. The caller saw to room and to the frames' references. */
  pushRange(from: PacketBatch, first: number, end: number): void {
    const { data, length, offload } = this;
    const { data: fromData, length: fromLength, offload: fromOffload } = from;
    let at = this.count;
    this.count = at + end - first;
    for (let i = first; i < end; i++, at++) {
      data[at] = fromData[i]!;
      length[at] = fromLength[i]!;
      const bits = fromOffload[i]!;
      offload[at] = bits;
      if (bits === 0) continue;
      this.csumStart[at] = from.csumStart[i]!;
      this.csumOffset[at] = from.csumOffset[i]!;
      this.gsoSize[at] = from.gsoSize[i]!;
      this.gsoHeader[at] = from.gsoHeader[i]!;
    }
  }

  /** Appends packet `i` of `from`, metadata included. The caller saw to room and to the frame's reference. */
  pushFrom(from: PacketBatch, i: number): void {
    const at = this.count++;
    this.data[at] = from.data[i]!;
    this.length[at] = from.length[i]!;
    const offload = from.offload[i]!;
    this.offload[at] = offload;
    if (offload === 0) return;
    this.csumStart[at] = from.csumStart[i]!;
    this.csumOffset[at] = from.csumOffset[i]!;
    this.gsoSize[at] = from.gsoSize[i]!;
    this.gsoHeader[at] = from.gsoHeader[i]!;
  }
}
