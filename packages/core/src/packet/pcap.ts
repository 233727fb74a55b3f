/**
 * Classic capture files (pcap 2.4, draft-ietf-opsawg-pcap) as bytes: read whole, made record by record. Ethernet only; both
 * byte orders are read, microseconds and nanoseconds.
 */

import { DpifError } from '../errors.js';

const MAGIC_MICRO = 0xa1b2c3d4;
const MAGIC_NANO = 0xa1b23c4d;
/** Block type of the section header that starts a pcapng file; the same in both byte orders. */
const MAGIC_PCAPNG = 0x0a0d0d0a;
const FILE_HEADER = 24;
/** Bytes of a record in front of those of its packet. */
const RECORD_HEADER = 16;
const LINKTYPE_ETHERNET = 1;
const SNAPLEN = 262_144;

export interface PcapRecord {
  /** Bytes as captured: a view of the file's bytes. */
  readonly data: Uint8Array;
  /** Length on the wire, at least `data.length`. */
  readonly originalLength: number;
  readonly seconds: number;
  /** 0..999,999,999. */
  readonly nanoseconds: number;
}

/**
 * The records of a capture file's bytes, in order. EINVAL, with the offset of what is wrong, for other formats, other link
 * types and files that end inside a record. `name` stands for the file in messages.
 */
export function readPcap(bytes: Uint8Array, name = 'capture'): PcapRecord[] {
  const bad = (what: string): DpifError => new DpifError('EINVAL', `${name}: ${what}`);
  if (bytes.length < FILE_HEADER) {
    throw bad(`${bytes.length} bytes are no pcap file: its header alone has ${FILE_HEADER}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const little = [MAGIC_MICRO, MAGIC_NANO].includes(view.getUint32(0, true));
  const magic = view.getUint32(0, little);
  if (magic === MAGIC_PCAPNG) throw bad('this is a pcapng file: convert it with "editcap -F pcap"');
  if (magic !== MAGIC_MICRO && magic !== MAGIC_NANO) {
    throw bad(`0x${magic.toString(16).padStart(8, '0')} at offset 0 is not the magic number of a pcap file`);
  }
  const major = view.getUint16(4, little);
  if (major !== 2) throw bad(`pcap version ${major} at offset 4 is unknown: only version 2 is`);
  // The upper bits may say how long a frame check sequence is.
  const linktype = view.getUint32(20, little) & 0xffff;
  if (linktype !== LINKTYPE_ETHERNET) {
    throw bad(`link type ${linktype} at offset 20 is not Ethernet (${LINKTYPE_ETHERNET})`);
  }
  const records: PcapRecord[] = [];
  let at = FILE_HEADER;
  while (at < bytes.length) {
    const ends = `the file ends inside the record that starts at offset ${at}`;
    if (at + RECORD_HEADER > bytes.length) throw bad(ends);
    const captured = view.getUint32(at + 8, little);
    if (captured > SNAPLEN) {
      throw bad(`the record at offset ${at} claims ${captured} bytes, more than any frame (${SNAPLEN})`);
    }
    const start = at + RECORD_HEADER;
    if (start + captured > bytes.length) throw bad(`${ends} and has ${captured} bytes`);
    const fraction = view.getUint32(at + 4, little);
    records.push({
      data: bytes.subarray(start, start + captured),
      originalLength: view.getUint32(at + 12, little),
      seconds: view.getUint32(at, little),
      nanoseconds: magic === MAGIC_NANO ? fraction : fraction * 1000,
    });
    at = start + captured;
  }
  return records;
}

/** Whether times of a file count microseconds or nanoseconds. */
export type PcapUnit = 'microseconds' | 'nanoseconds';

/** What a file begins with, little-endian. */
export function pcapHeader(unit: PcapUnit): Uint8Array {
  const bytes = new Uint8Array(FILE_HEADER);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, unit === 'nanoseconds' ? MAGIC_NANO : MAGIC_MICRO, true);
  view.setUint16(4, 2, true);
  view.setUint16(6, 4, true);
  view.setUint32(16, SNAPLEN, true);
  view.setUint32(20, LINKTYPE_ETHERNET, true);
  return bytes;
}

/** The records of some packets, for a file whose header says the same unit. */
export function pcapRecords(records: readonly PcapRecord[], unit: PcapUnit): Uint8Array {
  const size = records.reduce((sum, { data }) => sum + RECORD_HEADER + data.length, 0);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const { data, originalLength, seconds, nanoseconds } of records) {
    view.setUint32(at, seconds, true);
    view.setUint32(at + 4, unit === 'nanoseconds' ? nanoseconds : Math.floor(nanoseconds / 1000), true);
    view.setUint32(at + 8, data.length, true);
    view.setUint32(at + 12, originalLength, true);
    bytes.set(data, at + RECORD_HEADER);
    at += RECORD_HEADER + data.length;
  }
  return bytes;
}
