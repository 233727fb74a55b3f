/**
 * The deviations that we stand by: records in which Open vSwitch and Etherloom differ on purpose. Known by rule, never by
 * record, and each explained in docs/deviations.md. A record whose every difference one of these explains is counted apart.
 */

import { extractFrame, LAYER_L4, LAYER_WORDS } from '@etherloom/core';
import { KEY_WORDS, MAX_VLANS, W_TYPE_FRAG_PROTO } from '@etherloom/odp-codec';
import { DPCTL_DEVIATIONS } from './dpctl-deviations.js';
import { bytesOf, isRecord, stringOf, type VectorRecord } from './record.js';

export interface Deviation {
  /** Heading in docs/deviations.md. */
  readonly id: string;
  /** One sentence. */
  readonly why: string;
  /** Whether this difference of a record in `file` is due to this rule. */
  explains(file: string, record: VectorRecord, difference: string): boolean;
}

/** IPv4, a fragment with an offset, and the protocol: `eth_type << 16 | nw_frag << 8 | nw_proto`. */
const LATER_TCP = 0x0800_0306;
const LATER_UDP = 0x0800_0311;

/**
 * How far before the end of the packet the two bytes begin that a transport checksum would take in a later IPv4
 * fragment; undefined when the record's packet is none. Headers pushed and popped in front do not move them.
 */
function checksumFromEnd(record: VectorRecord): number | undefined {
  const packet = bytesOf(record, 'packet_hex');
  const packetType =
    record.packet_type === undefined ? 0 : Number.parseInt(stringOf(record, 'packet_type'), 16);
  const words = new Int32Array(KEY_WORDS);
  const layers = new Int32Array(LAYER_WORDS);
  extractFrame(new DataView(packet.buffer), 0, packet.length, packetType, MAX_VLANS, words, 0, layers, 0);
  const payload = packet.length - layers[LAYER_L4]!;
  if (words[W_TYPE_FRAG_PROTO] === LATER_TCP) return payload - 16;
  return words[W_TYPE_FRAG_PROTO] === LATER_UDP ? payload - 6 : undefined;
}

/** The packet that the record wants where a difference was found. */
function wantedPacket(record: VectorRecord, where: string): Uint8Array | undefined {
  const call = /^calls\[(\d+)\]$/.exec(where);
  const calls = Array.isArray(record.calls) ? record.calls : [];
  const wanted: unknown = call === null ? record.final : calls[Number(call[1])];
  return isRecord(wanted) && wanted.packet_hex !== undefined ? bytesOf(wanted, 'packet_hex') : undefined;
}

export const DEVIATIONS: readonly Deviation[] = [
  {
    id: 'later-fragment-payload',
    why: 'A later IPv4 fragment has no transport header, so rewriting an address changes none of its payload.',
    explains(file, record, difference) {
      if (file !== 'execute.jsonl') return false;
      const fromEnd = checksumFromEnd(record);
      const found = /^(.+)\.packet_hex: differs at byte (\d+)\n/.exec(difference);
      const packet = found === null ? undefined : wantedPacket(record, found[1]!);
      if (fromEnd === undefined || packet === undefined) return false;
      const place = Number(found![2]) - (packet.length - fromEnd);
      return place === 0 || place === 1;
    },
  },
  ...DPCTL_DEVIATIONS,
];
