/**
 * The header that TAP devices and packet sockets put in front of a frame (VIRTIO 1.2, section 5.1.6; struct
 * virtio_net_hdr of linux/virtio_net.h): to and from the offload metadata of a batch. Hot: no allocation, no throw.
 *
 * Little-endian, as every machine has it that Node's Linux builds run on but s390x, and a TAP anywhere if told to.
 */

import {
  OFFLOAD_CSUM_PARTIAL,
  OFFLOAD_CSUM_VALID,
  OFFLOAD_GSO,
  OFFLOAD_GSO_ECN,
  OFFLOAD_GSO_TCP4,
  OFFLOAD_GSO_TCP6,
  OFFLOAD_GSO_UDP,
  type PacketBatch,
} from './batch.hot.js';

/** Bytes, without the count of merged buffers that only virtio devices have. */
export const VNET_HEADER = 10;

// V8 folds a module's own constants into the code, imported ones not.
const PARTIAL = OFFLOAD_CSUM_PARTIAL;
const VALID = OFFLOAD_CSUM_VALID;

const NEEDS_CSUM = 1;
const DATA_VALID = 2;
const GSO_TCPV4 = 1;
const GSO_TCPV6 = 4;
const GSO_UDP_L4 = 5;
const GSO_ECN = 0x80;

const TCP_HEADER = 20;
const TCP_DATA_OFFSET = 12;
const TCP_CHECKSUM = 16;
const UDP_HEADER = 8;
const UDP_CHECKSUM = 6;

/**
 * Sets the metadata of slot `i`, whose packet is there already, from the header at `at`. False when they do not fit
 * the packet, or ask for what the metadata of a batch cannot say (UDP as IP fragments).
 *
 * The header's own length of headers is not looked at: Linux writes there how much of the packet is in one piece.
 */
export function readVnetHeader(view: DataView, at: number, batch: PacketBatch, i: number): boolean {
  const kinds = view.getUint16(at, true);
  batch.offload[i] = 0;
  if (kinds === 0) return true;
  const length = batch.length[i]!;
  const l4 = view.getUint16(at + 6, true);
  const field = view.getUint16(at + 8, true);
  if ((kinds & NEEDS_CSUM) === 0) {
    if ((kinds & DATA_VALID) !== 0) batch.offload[i] = VALID;
    return kinds < 0x100;
  }
  if (l4 + field + 2 > length) return false;
  batch.csumStart[i] = l4;
  batch.csumOffset[i] = field;
  if (kinds < 0x100) {
    batch.offload[i] = PARTIAL;
    return true;
  }
  const gso = kinds >>> 8;
  let offload = PARTIAL | ((gso & GSO_ECN) === 0 ? 0 : OFFLOAD_GSO_ECN);
  let headers = l4;
  switch (gso & ~GSO_ECN) {
    case GSO_TCPV4:
    case GSO_TCPV6: {
      if (field !== TCP_CHECKSUM || l4 + TCP_HEADER > length) return false;
      const header = (view.getUint8(batch.data[i]! + l4 + TCP_DATA_OFFSET) >>> 4) * 4;
      if (header < TCP_HEADER) return false;
      headers += header;
      offload |= (gso & ~GSO_ECN) === GSO_TCPV4 ? OFFLOAD_GSO_TCP4 : OFFLOAD_GSO_TCP6;
      break;
    }
    case GSO_UDP_L4:
      if (field !== UDP_CHECKSUM || gso !== GSO_UDP_L4) return false;
      headers += UDP_HEADER;
      offload |= OFFLOAD_GSO_UDP;
      break;
    default:
      return false;
  }
  const size = view.getUint16(at + 4, true);
  if (size === 0 || headers > length) return false;
  batch.offload[i] = offload;
  batch.gsoSize[i] = size;
  batch.gsoHeader[i] = headers;
  return true;
}

/** Writes the metadata of slot `i` as header at `at`. */
export function writeVnetHeader(view: DataView, at: number, batch: PacketBatch, i: number): void {
  const offload = batch.offload[i]!;
  if ((offload & PARTIAL) === 0) {
    view.setInt32(at, (offload & VALID) === 0 ? 0 : DATA_VALID, true);
    view.setInt32(at + 4, 0, true);
    view.setInt16(at + 8, 0, true);
    return;
  }
  let kinds = NEEDS_CSUM;
  const gso = offload & OFFLOAD_GSO;
  if (gso === 0) {
    view.setInt32(at + 2, 0, true);
  } else {
    if (gso === OFFLOAD_GSO_TCP4) kinds |= GSO_TCPV4 << 8;
    else if (gso === OFFLOAD_GSO_TCP6) kinds |= GSO_TCPV6 << 8;
    else kinds |= GSO_UDP_L4 << 8;
    if ((offload & OFFLOAD_GSO_ECN) !== 0) kinds |= GSO_ECN << 8;
    view.setUint16(at + 2, batch.gsoHeader[i]!, true);
    view.setUint16(at + 4, batch.gsoSize[i]!, true);
  }
  view.setUint16(at, kinds, true);
  view.setUint16(at + 6, batch.csumStart[i]!, true);
  view.setUint16(at + 8, batch.csumOffset[i]!, true);
}
