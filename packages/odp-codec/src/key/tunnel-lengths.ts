/** Payload lengths of the options in a TUNNEL attribute, for those who read rows and have no use for text. */
import {
  LENGTH_INVALID,
  LENGTH_NESTED,
  LENGTH_VARIABLE,
  TUNNEL_ATTR,
  TUNNEL_ATTR_MAX,
} from './attributes.js';

const LENGTHS = new Map<number, number>([
  [TUNNEL_ATTR.ID, 8],
  [TUNNEL_ATTR.IPV4_SRC, 4],
  [TUNNEL_ATTR.IPV4_DST, 4],
  [TUNNEL_ATTR.IPV6_SRC, 16],
  [TUNNEL_ATTR.IPV6_DST, 16],
  [TUNNEL_ATTR.TOS, 1],
  [TUNNEL_ATTR.TTL, 1],
  [TUNNEL_ATTR.TP_SRC, 2],
  [TUNNEL_ATTR.TP_DST, 2],
  [TUNNEL_ATTR.VXLAN_OPTS, LENGTH_NESTED],
  [TUNNEL_ATTR.GENEVE_OPTS, LENGTH_VARIABLE],
  [TUNNEL_ATTR.ERSPAN_OPTS, LENGTH_VARIABLE],
  [TUNNEL_ATTR.GTPU_OPTS, LENGTH_VARIABLE],
]);

/** Payload length of a tunnel option as OVS's table has it; flags are empty, and reserved numbers count as empty. */
export function tunnelLength(type: number): number {
  return type > TUNNEL_ATTR_MAX ? LENGTH_INVALID : (LENGTHS.get(type) ?? 0);
}
