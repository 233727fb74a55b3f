/** Numbers of the uapi enums that describe a flow key (linux/openvswitch.h, as Open vSwitch 4.0.90 numbers them). */

/** enum ovs_key_attr. */
export const KEY_ATTR = {
  UNSPEC: 0,
  ENCAP: 1,
  PRIORITY: 2,
  IN_PORT: 3,
  ETHERNET: 4,
  VLAN: 5,
  ETHERTYPE: 6,
  IPV4: 7,
  IPV6: 8,
  TCP: 9,
  UDP: 10,
  ICMP: 11,
  ICMPV6: 12,
  ARP: 13,
  ND: 14,
  SKB_MARK: 15,
  TUNNEL: 16,
  SCTP: 17,
  TCP_FLAGS: 18,
  DP_HASH: 19,
  RECIRC_ID: 20,
  MPLS: 21,
  CT_STATE: 22,
  CT_ZONE: 23,
  CT_MARK: 24,
  CT_LABELS: 25,
  CT_ORIG_TUPLE_IPV4: 26,
  CT_ORIG_TUPLE_IPV6: 27,
  NSH: 28,
  PACKET_TYPE: 29,
  ND_EXTENSIONS: 30,
  TUNNEL_INFO: 31,
} as const;

/** Highest number of {@link KEY_ATTR}; larger ones are unknown, not reserved. */
export const KEY_ATTR_MAX = 31;

/** enum ovs_tunnel_key_attr. */
export const TUNNEL_ATTR = {
  ID: 0,
  IPV4_SRC: 1,
  IPV4_DST: 2,
  TOS: 3,
  TTL: 4,
  DONT_FRAGMENT: 5,
  CSUM: 6,
  OAM: 7,
  GENEVE_OPTS: 8,
  TP_SRC: 9,
  TP_DST: 10,
  VXLAN_OPTS: 11,
  IPV6_SRC: 12,
  IPV6_DST: 13,
  PAD: 14,
  ERSPAN_OPTS: 15,
  GTPU_OPTS: 16,
} as const;

export const TUNNEL_ATTR_MAX = 16;

/** enum of the extensions inside TUNNEL_ATTR.VXLAN_OPTS. */
export const VXLAN_EXT_GBP = 1;

/** enum ovs_nsh_key_attr. */
export const NSH_ATTR = { UNSPEC: 0, BASE: 1, MD1: 2, MD2: 3 } as const;

/** Payload lengths that are not a number of bytes. INVALID is what OVS prints for an unknown type. */
export const LENGTH_INVALID = -1;
export const LENGTH_VARIABLE = -2;
export const LENGTH_NESTED = -3;

/** Labels that a flow holds. */
export const MAX_MPLS_LABELS = 3;
/** Bytes of Geneve options that a flow holds. */
export const MAX_GENEVE_BYTES = 252;
/** How deep encap() may nest in text; the outermost key counts as one. */
export const MAX_NESTING = 32;

/** Bits of a tunnel's flags, as the packed row holds them. */
export const TUN_F_OAM = 1;
export const TUN_F_DF = 2;
export const TUN_F_CSUM = 4;
export const TUN_F_KEY = 8;

/** Bits of a fragment field as the packed row holds it. */
export const FRAG_ANY = 1;
export const FRAG_LATER = 2;

/** Bit of a VLAN TCI that says "tag present". */
export const VLAN_CFI = 0x1000;
