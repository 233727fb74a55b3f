/**
 * The field table: the one place that says where every field of a flow sits in a packed key.
 *
 * A packed key (and its mask) is a row of {@link KEY_WORDS} words in an `Int32Array`. A row reads as a big-endian
 * byte string: the value of word `w` is bytes `4w .. 4w+3`, most significant first. Every field starts on a byte and
 * is a whole number of bytes, so word 3..5 are the first 12 bytes of an Ethernet frame as they are on the wire.
 * Absent fields are zero, as in the `struct flow` of Open vSwitch, which this layout follows in what it shares:
 * ARP uses `nw_src`, `nw_dst`, `nw_proto` (operation) and `arp_sha`/`arp_tha`; ND uses the latter two for the
 * link-layer options, `igmp_group` for the reserved word and `tcp_flags` for the options type; ICMP uses the ports.
 *
 * Extraction (core), mask validation, the Netlink bridge and the documentation are driven by this table.
 */

/** Words in one packed key. */
export const KEY_WORDS = 140;

// Word indices, for code that handles rows directly. Names carry what shares the word, most significant first.
export const W_IN_PORT = 0;
export const W_RECIRC_ID = 1;
/** `ns << 16 | id`; 0 is Ethernet. */
export const W_PACKET_TYPE = 2;
/** Words 3..5: destination MAC (6 bytes), source MAC (6 bytes). */
export const W_ETH = 3;
/** `eth_type << 16 | nw_frag << 8 | nw_proto`. */
export const W_TYPE_FRAG_PROTO = 6;
/** Words 7, 8: outer and inner tag, each `tpid << 16 | tci`; the CFI bit of a present tag is 1 (0x1000). */
export const W_VLAN0 = 7;
export const W_VLAN1 = 8;
export const W_NW_SRC = 9;
export const W_NW_DST = 10;
/** `nw_tos << 24 | nw_ttl << 16 | tcp_flags`. */
export const W_TOS_TTL_FLAGS = 11;
/** `tp_src << 16 | tp_dst`; ICMP type and code sit in them as 16-bit values. */
export const W_TP = 12;
export const W_IPV6_SRC = 13;
export const W_IPV6_DST = 17;
export const W_IPV6_LABEL = 21;
/** Words 22..24: ARP source and target hardware address, or ND source and target link-layer address. */
export const W_ARP_HA = 22;
export const W_ND_TARGET = 25;
/** IGMP group address, or the reserved word of an ND message. */
export const W_IGMP_GROUP = 29;
/** Words 30..32: label stack entries, outermost first. */
export const W_MPLS = 30;
export const W_DP_HASH = 33;
export const W_SKB_PRIORITY = 34;
export const W_SKB_MARK = 35;
/** `ct_state << 24 | ct_nw_proto << 16 | ct_zone`. */
export const W_CT_STATE_PROTO_ZONE = 36;
export const W_CT_MARK = 37;
export const W_CT_LABEL = 38;
export const W_CT_NW_SRC = 42;
export const W_CT_NW_DST = 43;
export const W_CT_TP = 44;
export const W_CT_IPV6_SRC = 45;
export const W_CT_IPV6_DST = 49;
/** `flags << 24 | ttl << 16 | mdtype << 8 | np`. */
export const W_NSH = 53;
/** `spi << 8 | si`. */
export const W_NSH_PATH = 54;
export const W_NSH_CONTEXT = 55;
export const W_TUN_ID = 59;
export const W_TUN_SRC = 61;
export const W_TUN_DST = 62;
export const W_TUN_IPV6_SRC = 63;
export const W_TUN_IPV6_DST = 67;
/** `tun_flags << 16 | tun_tos << 8 | tun_ttl`. */
export const W_TUN_FLAGS_TOS_TTL = 71;
export const W_TUN_TP = 72;
/** `gbp_id << 16 | gbp_flags << 8 | erspan_ver`. */
export const W_TUN_GBP_ERSPAN = 73;
export const W_TUN_ERSPAN_IDX = 74;
/** `erspan_dir << 24 | erspan_hwid << 16 | gtpu_flags << 8 | gtpu_msgtype`. */
export const W_TUN_ERSPAN_GTPU = 75;
/** `gnv_present << 24 | gnv_len << 16`: Geneve options in words 77.., `gnv_len` bytes of them. */
export const W_TUN_GNV_LEN = 76;
export const W_TUN_GNV = 77;

/** End (exclusive) of the words that a frame itself can fill: 2..32 and {@link W_NSH} .. {@link W_TUN_ID}. */
export const FRAME_WORDS_END = 33;

/** What must hold in a key for a field to mean something. Checked by flow validation. */
export type Prerequisite =
  | 'none'
  | 'ethernet'
  | 'vlan'
  | 'inner vlan'
  | 'ip'
  | 'ipv4'
  | 'ipv6'
  | 'arp'
  | 'mpls'
  | 'nsh'
  | 'tcp'
  | 'transport'
  | 'igmp'
  | 'nd'
  | 'tunnel'
  | 'conntrack';

/** One field of the packed key. */
export interface Field {
  /** Name in the style of OVS's `struct flow`, unique in the table. */
  readonly name: string;
  /** The OVS_KEY_ATTR_* attribute (dpctl spelling) that carries it. */
  readonly attr: string;
  /** Byte offset in the row; word is `offset >> 2`. */
  readonly offset: number;
  /** Length in bytes. */
  readonly bytes: number;
  readonly needs: Prerequisite;
}

const row = (
  name: string,
  attr: string,
  word: number,
  byteInWord: number,
  bytes: number,
  needs: Prerequisite,
): Field => ({ name, attr, offset: word * 4 + byteInWord, bytes, needs });

export const FIELDS: readonly Field[] = [
  row('in_port', 'in_port', W_IN_PORT, 0, 4, 'none'),
  row('recirc_id', 'recirc_id', W_RECIRC_ID, 0, 4, 'none'),
  row('packet_type', 'packet_type', W_PACKET_TYPE, 0, 4, 'none'),
  row('dl_dst', 'eth', W_ETH, 0, 6, 'ethernet'),
  row('dl_src', 'eth', W_ETH, 6, 6, 'ethernet'),
  row('dl_type', 'eth_type', W_TYPE_FRAG_PROTO, 0, 2, 'none'),
  row('nw_frag', 'ipv4', W_TYPE_FRAG_PROTO, 2, 1, 'ip'),
  row('nw_proto', 'ipv4', W_TYPE_FRAG_PROTO, 3, 1, 'ip'),
  row('vlan_tpid', 'eth_type', W_VLAN0, 0, 2, 'vlan'),
  row('vlan_tci', 'vlan', W_VLAN0, 2, 2, 'vlan'),
  row('vlan1_tpid', 'eth_type', W_VLAN1, 0, 2, 'inner vlan'),
  row('vlan1_tci', 'vlan', W_VLAN1, 2, 2, 'inner vlan'),
  row('nw_src', 'ipv4', W_NW_SRC, 0, 4, 'ipv4'),
  row('nw_dst', 'ipv4', W_NW_DST, 0, 4, 'ipv4'),
  row('nw_tos', 'ipv4', W_TOS_TTL_FLAGS, 0, 1, 'ip'),
  row('nw_ttl', 'ipv4', W_TOS_TTL_FLAGS, 1, 1, 'ip'),
  row('tcp_flags', 'tcp_flags', W_TOS_TTL_FLAGS, 2, 2, 'tcp'),
  row('tp_src', 'tcp', W_TP, 0, 2, 'transport'),
  row('tp_dst', 'tcp', W_TP, 2, 2, 'transport'),
  row('ipv6_src', 'ipv6', W_IPV6_SRC, 0, 16, 'ipv6'),
  row('ipv6_dst', 'ipv6', W_IPV6_DST, 0, 16, 'ipv6'),
  row('ipv6_label', 'ipv6', W_IPV6_LABEL, 0, 4, 'ipv6'),
  row('arp_sha', 'arp', W_ARP_HA, 0, 6, 'arp'),
  row('arp_tha', 'arp', W_ARP_HA, 6, 6, 'arp'),
  row('nd_target', 'nd', W_ND_TARGET, 0, 16, 'nd'),
  row('igmp_group', 'nd_ext', W_IGMP_GROUP, 0, 4, 'igmp'),
  row('mpls_lse0', 'mpls', W_MPLS, 0, 4, 'mpls'),
  row('mpls_lse1', 'mpls', W_MPLS + 1, 0, 4, 'mpls'),
  row('mpls_lse2', 'mpls', W_MPLS + 2, 0, 4, 'mpls'),
  row('dp_hash', 'dp_hash', W_DP_HASH, 0, 4, 'none'),
  row('skb_priority', 'skb_priority', W_SKB_PRIORITY, 0, 4, 'none'),
  row('skb_mark', 'skb_mark', W_SKB_MARK, 0, 4, 'none'),
  row('ct_state', 'ct_state', W_CT_STATE_PROTO_ZONE, 0, 1, 'none'),
  row('ct_nw_proto', 'ct_tuple4', W_CT_STATE_PROTO_ZONE, 1, 1, 'conntrack'),
  row('ct_zone', 'ct_zone', W_CT_STATE_PROTO_ZONE, 2, 2, 'none'),
  row('ct_mark', 'ct_mark', W_CT_MARK, 0, 4, 'none'),
  row('ct_label', 'ct_label', W_CT_LABEL, 0, 16, 'none'),
  row('ct_nw_src', 'ct_tuple4', W_CT_NW_SRC, 0, 4, 'conntrack'),
  row('ct_nw_dst', 'ct_tuple4', W_CT_NW_DST, 0, 4, 'conntrack'),
  row('ct_tp_src', 'ct_tuple4', W_CT_TP, 0, 2, 'conntrack'),
  row('ct_tp_dst', 'ct_tuple4', W_CT_TP, 2, 2, 'conntrack'),
  row('ct_ipv6_src', 'ct_tuple6', W_CT_IPV6_SRC, 0, 16, 'conntrack'),
  row('ct_ipv6_dst', 'ct_tuple6', W_CT_IPV6_DST, 0, 16, 'conntrack'),
  row('nsh_flags', 'nsh', W_NSH, 0, 1, 'nsh'),
  row('nsh_ttl', 'nsh', W_NSH, 1, 1, 'nsh'),
  row('nsh_mdtype', 'nsh', W_NSH, 2, 1, 'nsh'),
  row('nsh_np', 'nsh', W_NSH, 3, 1, 'nsh'),
  row('nsh_spi', 'nsh', W_NSH_PATH, 0, 3, 'nsh'),
  row('nsh_si', 'nsh', W_NSH_PATH, 3, 1, 'nsh'),
  row('nsh_c1', 'nsh', W_NSH_CONTEXT, 0, 4, 'nsh'),
  row('nsh_c2', 'nsh', W_NSH_CONTEXT + 1, 0, 4, 'nsh'),
  row('nsh_c3', 'nsh', W_NSH_CONTEXT + 2, 0, 4, 'nsh'),
  row('nsh_c4', 'nsh', W_NSH_CONTEXT + 3, 0, 4, 'nsh'),
  row('tun_id', 'tunnel', W_TUN_ID, 0, 8, 'tunnel'),
  row('tun_src', 'tunnel', W_TUN_SRC, 0, 4, 'tunnel'),
  row('tun_dst', 'tunnel', W_TUN_DST, 0, 4, 'tunnel'),
  row('tun_ipv6_src', 'tunnel', W_TUN_IPV6_SRC, 0, 16, 'tunnel'),
  row('tun_ipv6_dst', 'tunnel', W_TUN_IPV6_DST, 0, 16, 'tunnel'),
  row('tun_flags', 'tunnel', W_TUN_FLAGS_TOS_TTL, 0, 2, 'tunnel'),
  row('tun_tos', 'tunnel', W_TUN_FLAGS_TOS_TTL, 2, 1, 'tunnel'),
  row('tun_ttl', 'tunnel', W_TUN_FLAGS_TOS_TTL, 3, 1, 'tunnel'),
  row('tun_tp_src', 'tunnel', W_TUN_TP, 0, 2, 'tunnel'),
  row('tun_tp_dst', 'tunnel', W_TUN_TP, 2, 2, 'tunnel'),
  row('tun_gbp_id', 'tunnel', W_TUN_GBP_ERSPAN, 0, 2, 'tunnel'),
  row('tun_gbp_flags', 'tunnel', W_TUN_GBP_ERSPAN, 2, 1, 'tunnel'),
  row('tun_erspan_ver', 'tunnel', W_TUN_GBP_ERSPAN, 3, 1, 'tunnel'),
  row('tun_erspan_idx', 'tunnel', W_TUN_ERSPAN_IDX, 0, 4, 'tunnel'),
  row('tun_erspan_dir', 'tunnel', W_TUN_ERSPAN_GTPU, 0, 1, 'tunnel'),
  row('tun_erspan_hwid', 'tunnel', W_TUN_ERSPAN_GTPU, 1, 1, 'tunnel'),
  row('tun_gtpu_flags', 'tunnel', W_TUN_ERSPAN_GTPU, 2, 1, 'tunnel'),
  row('tun_gtpu_msgtype', 'tunnel', W_TUN_ERSPAN_GTPU, 3, 1, 'tunnel'),
  row('tun_gnv_present', 'tunnel', W_TUN_GNV_LEN, 0, 1, 'tunnel'),
  row('tun_gnv_len', 'tunnel', W_TUN_GNV_LEN, 1, 1, 'tunnel'),
  row('tun_gnv_opts', 'tunnel', W_TUN_GNV, 0, 252, 'tunnel'),
];

const byName = new Map(FIELDS.map((field) => [field.name, field]));

/** The field called `name`; throws a `RangeError` for a name that is not in the table. */
export function field(name: string): Field {
  const found = byName.get(name);
  if (found === undefined) throw new RangeError(`no flow field is called ${name}`);
  return found;
}
