/** Offsets, lengths and bits of the headers that `tnl_push` builds. */

/** Bytes that struct ovs_action_push_tnl has for a header. */
export const HEADER_MAX = 512;

export const ETH_LENGTH = 14;
export const IPV4_LENGTH = 20;
export const IPV6_LENGTH = 40;
export const UDP_LENGTH = 8;

export const ETH_TYPE_IPV4 = 0x0800;
/** Transparent Ethernet bridging: what a Geneve header carries. */
export const ETH_TYPE_TEB = 0x6558;
export const ETH_TYPE_ERSPAN1 = 0x88be;
export const ETH_TYPE_ERSPAN2 = 0x22eb;

/** VXLAN, Geneve without options, GTP-U: 8 bytes behind the UDP header. */
export const UDP_TUNNEL_LENGTH = 8;
/** Second byte of a Geneve header. */
export const GENEVE_OAM = 0x80;
export const GENEVE_CRITICAL = 0x40;

/** Flags and protocol, then one word for each of checksum, key and sequence number that the flags announce. */
export const GRE_LENGTH = 4;
export const GRE_CSUM = 0x8000;
export const GRE_KEY = 0x2000;
export const GRE_SEQ = 0x1000;

/** GRE with a sequence number, then 4 bytes of ERSPAN, then 4 (version 1) or 8 bytes (version 2). */
export const ERSPAN_AT = 8;

/** SRv6: 8 bytes, then the segments, the last one first. */
export const SRV6_LENGTH = 8;
export const SRV6_MAX_SEGMENTS = 6;
export const SEGMENT_LENGTH = 16;
