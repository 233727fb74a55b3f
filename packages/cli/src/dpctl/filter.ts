/**
 * The `filter=` of dump-flows: an OpenFlow flow such as `tcp,tp_dst=80`, with values but no masks. A flow passes when
 * some packet could match both, so only bits that neither side wildcards are compared.
 */

import { type Field, field, KEY_WORDS } from '@etherloom/odp-codec';
import {
  bigEndian,
  complainOfNumber,
  ctStateKind,
  fragmentKind,
  ipv4,
  ipv6,
  mac,
  numberKind,
  packetTypeKind,
  portKind,
  tcpFlagsKind,
  tunnelFlagsKind,
  unsigned,
  type ValueKind,
} from './filter-values.js';

/** The filter cannot be read; the message is Open vSwitch's, less the filter itself in front. */
export class FilterError extends Error {
  override readonly name = 'FilterError';
}

/** What a filter asks for: bytes of a packed row (big-endian) and which bits of them count. */
class Wanted {
  /** Fields of OpenFlow's own that have a value. */
  readonly others = new Set<string>();
  readonly value = new Uint8Array(KEY_WORDS * 4);
  readonly mask = new Uint8Array(KEY_WORDS * 4);

  get({ offset, bytes }: Field): number {
    let value = 0;
    for (let i = 0; i < bytes; i++) value = value * 256 + this.value[offset + i]!;
    return value;
  }

  /** Whether it asks for a value other than 0 there: Open vSwitch takes a 0 for nothing yet. */
  isSet({ offset, bytes }: Field, bits: readonly number[]): boolean {
    for (let i = 0; i < bytes; i++) if ((this.value[offset + i]! & bits[i]!) !== 0) return true;
    return false;
  }

  set({ offset }: Field, value: readonly number[], bits: readonly number[]): void {
    bits.forEach((bit, i) => {
      this.mask[offset + i]! |= bit;
      this.value[offset + i]! |= value[i]! & bit;
    });
  }

  /** Puts a 16-bit value in the place of what was asked for there; further bits count. */
  replace({ offset }: Field, value: number, bits: number): void {
    this.value.set(bigEndian(value, 2), offset);
    bigEndian(bits, 2).forEach((bit, i) => {
      this.mask[offset + i]! |= bit;
    });
  }
}

const IN_PORT = field('in_port');
const DL_TYPE = field('dl_type');
const NW_PROTO = field('nw_proto');
const NW_FRAG = field('nw_frag');
const PACKET_TYPE = field('packet_type');
const VLAN_TPID = field('vlan_tpid');
const VLAN_TCI = field('vlan_tci');
const CT_STATE = field('ct_state');
const TP_SRC = field('tp_src');
const TP_DST = field('tp_dst');

const IPV4 = 0x0800;
const IPV6 = 0x86dd;
const ARP = 0x0806;
const RARP = 0x8035;
const MPLS = 0x8847;
const MPLS_MULTICAST = 0x8848;
const NSH = 0x894f;
const ETH_TYPE_VLAN = 0x8100;
const VLAN_PRESENT = 0x1000;
const VLAN_VID = 0xfff;
const VLAN_PCP = 0xe000;
const LATER_FRAGMENT = 2;
/** new, est, rpl: the connection's first direction is known then. */
const CT_VALID = 0x0b;
const ND_SOLICIT = 135;
const ND_ADVERT = 136;

/** Words that stand for an Ethertype and perhaps a protocol. */
const PROTOCOLS = new Map<string, readonly [type: number, proto?: number]>([
  ['ip', [IPV4]],
  ['ipv4', [IPV4]],
  ['ip4', [IPV4]],
  ['icmp', [IPV4, 1]],
  ['tcp', [IPV4, 6]],
  ['udp', [IPV4, 17]],
  ['sctp', [IPV4, 132]],
  ['ipv6', [IPV6]],
  ['ip6', [IPV6]],
  ['icmp6', [IPV6, 58]],
  ['tcp6', [IPV6, 6]],
  ['udp6', [IPV6, 17]],
  ['sctp6', [IPV6, 132]],
  ['arp', [ARP]],
  ['rarp', [RARP]],
  ['mpls', [MPLS]],
  ['mplsm', [MPLS_MULTICAST]],
]);

type Test = (wanted: Wanted) => boolean;

const isType =
  (...types: number[]): Test =>
  (wanted) =>
    types.includes(wanted.get(DL_TYPE));
const always: Test = () => true;
const ethernet: Test = (wanted) => wanted.get(PACKET_TYPE) === 0;
const connection: Test = (wanted) => (wanted.get(CT_STATE) & CT_VALID) !== 0;
const nsh = isType(NSH);
const ip = isType(IPV4, IPV6);
const arp = isType(ARP, RARP);
const mpls = isType(MPLS, MPLS_MULTICAST);
const transport =
  (proto: number, type: Test = ip): Test =>
  (wanted) =>
    type(wanted) && wanted.get(NW_PROTO) === proto && (wanted.get(NW_FRAG) & LATER_FRAGMENT) === 0;
const icmp6 = transport(58, isType(IPV6));
const neighbour =
  (...types: number[]): Test =>
  (wanted) =>
    icmp6(wanted) && types.includes(wanted.get(TP_SRC)) && wanted.get(TP_DST) === 0;

interface FilterField extends ValueKind {
  readonly target: Field;
  readonly needs: Test;
  /** Which bits of the target it is. */
  readonly bits: readonly number[];
}

/** A number of `width` bits, `shift` bits up in its target; `readBits` when Open vSwitch reads a longer one. */
function number(name: string, needs: Test = always, width = 0, shift = 0, readBits?: number): FilterField {
  const target = field(name);
  const size = width === 0 ? target.bytes * 8 : width;
  return {
    target,
    needs,
    bits: bigEndian(((1n << BigInt(size)) - 1n) << BigInt(shift), target.bytes),
    ...numberKind(size, shift, target.bytes, readBits),
  };
}

/** All of a target, of some kind. */
function whole(name: string, needs: Test, kind: ValueKind): FilterField {
  const target = field(name);
  return { target, needs, bits: new Array<number>(target.bytes).fill(0xff), ...kind };
}

const NO_VLAN = 0xffff;

/** A part of the outer tag: what becomes of the tag's TCI, and which of its bits count then. */
interface VlanField {
  readonly bytes: 1 | 2;
  /** That another field asked for a tag. */
  readonly needsTag?: true;
  /** Which bits are its value. */
  readonly bits: number;
  readonly counts: number;
  set(tci: number, value: number): number;
}

const vlanPcp: VlanField = {
  bytes: 1,
  bits: VLAN_PCP,
  counts: VLAN_PCP | VLAN_PRESENT,
  set: (tci, value) => (tci & ~VLAN_PCP) | VLAN_PRESENT | ((value & 7) << 13),
};
const VLAN_FIELDS: ReadonlyMap<string, VlanField> = new Map<string, VlanField>([
  ['vlan_tci', { bytes: 2, bits: 0xffff, counts: 0xffff, set: (_tci, value) => value }],
  [
    'dl_vlan',
    {
      bytes: 2,
      bits: VLAN_VID,
      counts: VLAN_VID | VLAN_PRESENT,
      set: (tci, value) => (value === NO_VLAN ? 0 : (tci & ~VLAN_VID) | VLAN_PRESENT | (value & VLAN_VID)),
    },
  ],
  [
    'vlan_vid',
    {
      bytes: 2,
      bits: VLAN_VID | VLAN_PRESENT,
      counts: VLAN_VID | VLAN_PRESENT,
      set: (tci, value) => (tci & VLAN_PCP) | (value & ~VLAN_PCP),
    },
  ],
  ['dl_vlan_pcp', vlanPcp],
  ['vlan_pcp', { ...vlanPcp, needsTag: true }],
]);

const isIpv4 = isType(IPV4);
const isIpv6 = isType(IPV6);

/** Names, the one that Open vSwitch uses in messages first. */
const ROWS: readonly (readonly [names: readonly string[], field: FilterField])[] = [
  [['in_port'], whole('in_port', always, portKind)],
  [['in_port_oxm'], whole('in_port', always, portKind)],
  [['packet_type'], whole('packet_type', always, packetTypeKind)],
  [['recirc_id'], number('recirc_id')],
  [['dp_hash'], number('dp_hash')],
  [['pkt_mark'], number('skb_mark')],
  [['skb_priority'], number('skb_priority')],
  [['ct_state'], whole('ct_state', always, ctStateKind)],
  [['ct_zone'], number('ct_zone')],
  [['ct_mark'], number('ct_mark')],
  [['ct_label'], number('ct_label')],
  [['ct_nw_proto'], number('ct_nw_proto', connection)],
  [['ct_nw_src'], whole('ct_nw_src', connection, ipv4)],
  [['ct_nw_dst'], whole('ct_nw_dst', connection, ipv4)],
  [['ct_ipv6_src'], whole('ct_ipv6_src', connection, ipv6)],
  [['ct_ipv6_dst'], whole('ct_ipv6_dst', connection, ipv6)],
  [['ct_tp_src'], number('ct_tp_src', connection)],
  [['ct_tp_dst'], number('ct_tp_dst', connection)],
  [['tun_id', 'tunnel_id'], number('tun_id')],
  [['tun_src'], whole('tun_src', always, ipv4)],
  [['tun_dst'], whole('tun_dst', always, ipv4)],
  [['tun_ipv6_src'], whole('tun_ipv6_src', always, ipv6)],
  [['tun_ipv6_dst'], whole('tun_ipv6_dst', always, ipv6)],
  [['tun_flags'], { ...number('tun_flags', always, 4), ...tunnelFlagsKind }],
  [['tun_tos'], number('tun_tos')],
  [['tun_ttl'], number('tun_ttl')],
  [['tun_gbp_id'], number('tun_gbp_id')],
  [['tun_gbp_flags'], number('tun_gbp_flags')],
  [['tun_erspan_ver'], number('tun_erspan_ver', always, 4)],
  [['tun_erspan_idx'], number('tun_erspan_idx', always, 20)],
  [['tun_erspan_dir'], number('tun_erspan_dir', always, 1)],
  [['tun_erspan_hwid'], number('tun_erspan_hwid', always, 6)],
  [['tun_gtpu_flags'], number('tun_gtpu_flags')],
  [['tun_gtpu_msgtype'], number('tun_gtpu_msgtype')],
  [['eth_src', 'dl_src'], whole('dl_src', ethernet, mac)],
  [['eth_dst', 'dl_dst'], whole('dl_dst', ethernet, mac)],
  [['eth_type', 'dl_type'], number('dl_type')],
  [['ip_src', 'nw_src'], whole('nw_src', isIpv4, ipv4)],
  [['ip_dst', 'nw_dst'], whole('nw_dst', isIpv4, ipv4)],
  [['ipv6_src'], whole('ipv6_src', isIpv6, ipv6)],
  [['ipv6_dst'], whole('ipv6_dst', isIpv6, ipv6)],
  [['ipv6_label'], number('ipv6_label', isIpv6, 20)],
  [['nw_proto', 'ip_proto'], number('nw_proto', ip)],
  // The lower two bits are left out.
  [['nw_tos'], { ...number('nw_tos', ip), bits: [0xfc] }],
  [['ip_dscp'], number('nw_tos', ip, 6, 2)],
  [['nw_ecn', 'ip_ecn'], number('nw_tos', ip, 2)],
  [['nw_ttl'], number('nw_ttl', ip)],
  [['ip_frag', 'nw_frag'], whole('nw_frag', ip, fragmentKind)],
  [['tcp_src', 'tp_src'], number('tp_src', transport(6))],
  [['tcp_dst', 'tp_dst'], number('tp_dst', transport(6))],
  [['tcp_flags'], { ...number('tcp_flags', transport(6), 12), ...tcpFlagsKind }],
  [['udp_src'], number('tp_src', transport(17))],
  [['udp_dst'], number('tp_dst', transport(17))],
  [['sctp_src'], number('tp_src', transport(132))],
  [['sctp_dst'], number('tp_dst', transport(132))],
  [['icmp_type'], number('tp_src', transport(1, isIpv4), 8)],
  [['icmp_code'], number('tp_dst', transport(1, isIpv4), 8)],
  [['icmpv6_type'], number('tp_src', icmp6, 8)],
  [['icmpv6_code'], number('tp_dst', icmp6, 8)],
  [['nd_target'], whole('nd_target', neighbour(ND_SOLICIT, ND_ADVERT), ipv6)],
  [['nd_reserved'], number('igmp_group', neighbour(ND_SOLICIT, ND_ADVERT))],
  [['nd_options_type'], number('tcp_flags', neighbour(ND_SOLICIT, ND_ADVERT), 8)],
  [['nd_sll'], whole('arp_sha', neighbour(ND_SOLICIT), mac)],
  [['nd_tll'], whole('arp_tha', neighbour(ND_ADVERT), mac)],
  [['arp_op'], number('nw_proto', arp, 0, 0, 16)],
  [['arp_spa'], whole('nw_src', arp, ipv4)],
  [['arp_tpa'], whole('nw_dst', arp, ipv4)],
  [['arp_sha'], whole('arp_sha', arp, mac)],
  [['arp_tha'], whole('arp_tha', arp, mac)],
  [['mpls_label'], number('mpls_lse0', mpls, 20, 12)],
  [['mpls_tc'], number('mpls_lse0', mpls, 3, 9)],
  [['mpls_bos'], number('mpls_lse0', mpls, 1, 8)],
  [['mpls_ttl'], number('mpls_lse0', mpls, 8)],
  [['nsh_flags'], number('nsh_flags', nsh)],
  [['nsh_ttl'], number('nsh_ttl', nsh, 6)],
  [['nsh_mdtype'], number('nsh_mdtype', nsh)],
  [['nsh_np'], number('nsh_np', nsh)],
  [['nsh_spi', 'nsp'], number('nsh_spi', nsh)],
  [['nsh_si', 'nsi'], number('nsh_si', nsh)],
  [['nsh_c1'], number('nsh_c1', nsh)],
  [['nsh_c2'], number('nsh_c2', nsh)],
  [['nsh_c3'], number('nsh_c3', nsh)],
  [['nsh_c4'], number('nsh_c4', nsh)],
];

/** Bytes of OpenFlow's own fields, which no flow of a datapath has: whatever is asked of them, all flows pass. */
const CLIENT_FIELDS: readonly (readonly [name: RegExp, bytes: number])[] = [
  [/^(?:conj_id|reg(?:\d|1[0-5]))$/, 4],
  [/^(?:metadata|xreg[0-7])$/, 8],
  [/^xxreg[0-3]$/, 16],
  [/^tun_metadata(?:\d|[1-5]\d|6[0-3])$/, 124],
];

const FILTER_FIELDS: ReadonlyMap<string, FilterField & { readonly name: string }> = new Map(
  ROWS.flatMap(([names, row]) => names.map((name) => [name, { ...row, name: names[0]! }] as const)),
);

/** `key=value`, `key:value`, `key(value)` or a key alone, after separators. A value may hold some between parentheses. */
const PAIR = /[,\s]*([^:=(,\s]*)(?:[:=]((?:\([^)]*\)|[^,\s])*)|\(([^)]*)\)?|[,\s]|$)/gy;
const SEPARATORS = /^[,\s]*$/;

/** Whether a flow, as packed rows of its key and its mask, passes. */
export type FlowFilter = (key: Int32Array, mask: Int32Array) => boolean;

/** Reads a filter. `portNumber` finds ports by name. Throws a {@link FilterError}. */
export function parseFilter(text: string, portNumber: (name: string) => number | undefined): FlowFilter {
  const wanted = new Wanted();
  for (const [pair, key = '', value = '', argument = value] of text.matchAll(PAIR)) {
    if (SEPARATORS.test(pair)) continue;
    const protocol = PROTOCOLS.get(key);
    if (protocol !== undefined) setProtocol(wanted, protocol);
    else setField(wanted, key, argument, portNumber);
  }
  const value = new DataView(wanted.value.buffer);
  const mask = new DataView(wanted.mask.buffer);
  return (flowKey, flowMask) => {
    for (let word = 0; word < KEY_WORDS; word++) {
      const bits = mask.getInt32(word * 4) & flowMask[word]!;
      if (((flowKey[word]! ^ value.getInt32(word * 4)) & bits) !== 0) return false;
    }
    return true;
  };
}

function setProtocol(wanted: Wanted, [type, proto]: readonly [number, number?]): void {
  if (wanted.get(DL_TYPE) !== 0) throw new FilterError('Ethernet type set multiple times');
  wanted.set(DL_TYPE, bigEndian(type, 2), [0xff, 0xff]);
  if (proto === undefined) return;
  if (wanted.get(NW_PROTO) !== 0) throw new FilterError('network protocol set multiple times');
  wanted.set(NW_PROTO, [proto], [0xff]);
}

function setField(
  wanted: Wanted,
  name: string,
  text: string,
  portNumber: (name: string) => number | undefined,
): void {
  const part = VLAN_FIELDS.get(name);
  if (part !== undefined) {
    setVlan(wanted, name, part, text);
    return;
  }
  const own = CLIENT_FIELDS.find(([names]) => names.test(name));
  if (own !== undefined) {
    setOther(wanted, name, own[1], text);
    return;
  }
  const found = FILTER_FIELDS.get(name);
  if (found === undefined) throw new FilterError(`unknown field ${name}`);
  const { target, bits } = found;
  if (!found.needs(wanted)) throw new FilterError(`prerequisites not met for setting ${name}`);
  if (wanted.isSet(target, bits)) throw new FilterError(`field ${name} set multiple times`);
  const port = target === IN_PORT ? portNumber(text) : undefined;
  const value = port === undefined ? found.read(text) : bigEndian(port, target.bytes);
  if (value === undefined) {
    throw new FilterError(`bad value for ${name} (${found.complain(text, found.name)})`);
  }
  wanted.set(target, value, bits);
}

/**
 * Open vSwitch gives a tag that is asked for the TPID 0x8100, and the mask of the TPID the same value: tags with another are found
 * only where those two bits agree.
 */
function setVlan(wanted: Wanted, name: string, part: VlanField, text: string): void {
  const before = wanted.get(VLAN_TCI);
  if (!ethernet(wanted) || (part.needsTag && (before & VLAN_PRESENT) === 0)) {
    throw new FilterError(`prerequisites not met for setting ${name}`);
  }
  if ((before & part.bits) !== 0) throw new FilterError(`field ${name} set multiple times`);
  const tci = part.set(before, Number(readNumber(name, part.bytes, text)));
  wanted.replace(VLAN_TCI, tci, part.counts);
  const tagged = tci !== 0 || wanted.get(VLAN_TPID) !== 0;
  wanted.replace(VLAN_TPID, tagged ? ETH_TYPE_VLAN : 0, ETH_TYPE_VLAN);
}

function setOther(wanted: Wanted, name: string, bytes: number, text: string): void {
  if (wanted.others.has(name)) throw new FilterError(`field ${name} set multiple times`);
  if (readNumber(name, bytes, text) !== 0n) wanted.others.add(name);
}

function readNumber(name: string, bytes: number, text: string): bigint {
  const value = unsigned(text, bytes);
  if (value !== undefined) return value;
  throw new FilterError(`bad value for ${name} (${complainOfNumber(text, name, bytes)})`);
}
