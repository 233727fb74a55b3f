/**
 * Numbers of the actions and of what is nested in them (uapi linux/openvswitch.h and the userspace-only part of Open
 * vSwitch's copy of it). Plain constants without imports, so that hot-path files may use them too.
 */

/** OVS_ACTION_ATTR_*. The last three exist in userspace datapaths only. */
export const ACTION_ATTR = {
  OUTPUT: 1,
  USERSPACE: 2,
  SET: 3,
  PUSH_VLAN: 4,
  POP_VLAN: 5,
  SAMPLE: 6,
  RECIRC: 7,
  HASH: 8,
  PUSH_MPLS: 9,
  POP_MPLS: 10,
  SET_MASKED: 11,
  CT: 12,
  TRUNC: 13,
  PUSH_ETH: 14,
  POP_ETH: 15,
  CT_CLEAR: 16,
  PUSH_NSH: 17,
  POP_NSH: 18,
  METER: 19,
  CLONE: 20,
  CHECK_PKT_LEN: 21,
  ADD_MPLS: 22,
  DEC_TTL: 23,
  DROP: 24,
  PSAMPLE: 25,
  TUNNEL_PUSH: 26,
  TUNNEL_POP: 27,
  LB_OUTPUT: 28,
} as const;

/** OVS_USERSPACE_ATTR_*. */
export const USERSPACE_ATTR = { PID: 1, USERDATA: 2, EGRESS_TUN_PORT: 3, ACTIONS: 4 } as const;

/** OVS_SAMPLE_ATTR_*. */
export const SAMPLE_ATTR = { PROBABILITY: 1, ACTIONS: 2 } as const;

/** OVS_CT_ATTR_*. */
export const CT_ATTR = {
  COMMIT: 1,
  ZONE: 2,
  MARK: 3,
  LABELS: 4,
  HELPER: 5,
  NAT: 6,
  FORCE_COMMIT: 7,
  EVENTMASK: 8,
  TIMEOUT: 9,
} as const;

/** OVS_NAT_ATTR_*, nested in CT_ATTR.NAT. */
export const NAT_ATTR = {
  SRC: 1,
  DST: 2,
  IP_MIN: 3,
  IP_MAX: 4,
  PROTO_MIN: 5,
  PROTO_MAX: 6,
  PERSISTENT: 7,
  PROTO_HASH: 8,
  PROTO_RANDOM: 9,
} as const;

/** OVS_CHECK_PKT_LEN_ATTR_*. */
export const CHECK_PKT_LEN_ATTR = { PKT_LEN: 1, ACTIONS_IF_GREATER: 2, ACTIONS_IF_LESS_EQUAL: 3 } as const;

/** OVS_DEC_TTL_ATTR_*. */
export const DEC_TTL_ATTR = { ACTION: 1 } as const;

/** OVS_PSAMPLE_ATTR_*. */
export const PSAMPLE_ATTR = { GROUP: 1, COOKIE: 2 } as const;

/** Longest psample cookie, in bytes. */
export const PSAMPLE_COOKIE_MAX = 16;

/** OVS_HASH_ALG_*. */
export const HASH_ALG = { L4: 0, SYM_L4: 1 } as const;

/** OVS_VPORT_TYPE_* of the tunnels that a `tnl_push` header may be of. */
export const VPORT_TYPE = {
  GRE: 3,
  VXLAN: 4,
  GENEVE: 5,
  ERSPAN: 107,
  IP6ERSPAN: 108,
  IP6GRE: 109,
  GTPU: 110,
  SRV6: 112,
} as const;

/** Type of the cookie in the user data of a `userspace` action (Open vSwitch's own clients put one there). */
export const COOKIE_TYPE = { SFLOW: 1, SLOW_PATH: 2, FLOW_SAMPLE: 3, IPFIX: 4, CONTROLLER: 5 } as const;

/** Bytes of such a cookie. */
export const COOKIE_LENGTH = 48;

/** Most bytes that one list of actions may have: what the length field of the attribute around it can say. */
export const ACTIONS_MAX = 0xffff;

/** Deepest nesting of actions that the text parser reads, as in Open vSwitch: 31 levels. */
export const TEXT_NESTING_MAX = 31;

/** Deepest nesting of actions in bytes and models that this codec follows; the kernel stops far earlier. */
export const BYTES_NESTING_MAX = 64;
