/** Statistics of flows and names of upcalls: what clients compute of them (dpif_flow_stats_extract and its kin). */

import {
  formatFlowStats,
  KEY_WORDS,
  keyToFlow,
  W_TOS_TTL_FLAGS,
  W_TYPE_FRAG_PROTO,
} from '@etherloom/odp-codec';
import { DpifError } from '../errors.js';
import type { FlowStats, UpcallType } from './dpif.js';

const NOTHING = new Uint8Array();
const IPPROTO_TCP = 6;
const ETH_TYPES_IP: readonly number[] = [0x0800, 0x86dd];

/**
 * What one packet adds to the statistics of its flow (dpif_flow_stats_extract). `key` is the packet's key as an upcall
 * has it, `used` the time on the clock of `Dpif.now`. EINVAL for a malformed key.
 */
export function flowStatsExtract(key: Uint8Array, packet: Uint8Array, used: number): FlowStats {
  const row = new Int32Array(KEY_WORDS);
  const { fitness, message } = keyToFlow(key, row);
  if (fitness === 'error') throw new DpifError('EINVAL', `the flow key is malformed: ${message}`);
  const word = row[W_TYPE_FRAG_PROTO]!;
  const isTcp = ETH_TYPES_IP.includes(word >>> 16) && (word & 0xff) === IPPROTO_TCP;
  return { packets: 1, bytes: packet.length, used, tcpFlags: isTcp ? row[W_TOS_TTL_FLAGS]! & 0xfff : 0 };
}

/** `packets:1, bytes:60, used:0.010s, flags:S` at time `now` of `Dpif.now` (dpif_flow_stats_format). */
export function flowStatsFormat({ packets, bytes, used, tcpFlags }: FlowStats, now: number): string {
  const age = used === 0 ? {} : { used: Math.max(now - used, 0) };
  return formatFlowStats({ key: NOTHING, mask: NOTHING, actions: NOTHING, packets, bytes, tcpFlags, ...age });
}

/** All types of upcalls; the index is the number in enum dpif_upcall_type. */
export const UPCALL_TYPES: readonly UpcallType[] = ['miss', 'action'];

/** The name of an upcall type by its number in enum dpif_upcall_type (dpif_upcall_type_to_string). */
export function upcallTypeName(type: number): string {
  return UPCALL_TYPES[type] ?? '<unknown>';
}
