/**
 * The `filter=` of dump-flows: an OpenFlow flow such as `tcp,tp_dst=80`, with values but no masks. A flow passes when
 * some packet could match both, so only bits that neither side wildcards are compared.
 */

import { isIPv4, isIPv6 } from 'node:net';
import { type Field, field, KEY_WORDS } from '@etherloom/odp-codec';

/** The filter cannot be read; the message is Open vSwitch's, less the filter itself in front. */
export class FilterError extends Error {
  override readonly name = 'FilterError';
}

/** What a filter asks for: bytes of a packed row (big-endian) and which bits of them count. */
class Wanted {
  readonly value = new Uint8Array(KEY_WORDS * 4);
  readonly mask = new Uint8Array(KEY_WORDS * 4);

  get({ offset, bytes }: Field): number {
    let value = 0;
    for (let i = 0; i < bytes; i++) value = value * 256 + this.value[offset + i]!;
    return value;
  }

  isSet({ offset, bytes }: Field, bits: readonly number[]): boolean {
    for (let i = 0; i < bytes; i++) if ((this.mask[offset + i]! & bits[i]!) !== 0) return true;
    return false;
  }

  set({ offset }: Field, value: readonly number[], bits: readonly number[]): void {
    bits.forEach((bit, i) => {
      this.mask[offset + i]! |= bit;
      this.value[offset + i]! |= value[i]! & bit;
    });
  }
}

const IN_PORT = field('in_port');
const DL_TYPE = field('dl_type');
const NW_PROTO = field('nw_proto');
const NW_FRAG = field('nw_frag');
const VLAN_TCI = field('vlan_tci');
const TP_SRC = field('tp_src');
const TP_DST = field('tp_dst');

const IPV4 = 0x0800;
const IPV6 = 0x86dd;
const ARP = 0x0806;
const RARP = 0x8035;
const MPLS = 0x8847;
const MPLS_MULTICAST = 0x8848;
const VLAN_PRESENT = 0x1000;
const LATER_FRAGMENT = 2;
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

interface FilterField {
  readonly target: Field;
  readonly needs: Test;
  /** Which bits of the target it is, and what `text` means there; undefined for a text that means nothing. */
  readonly bits: readonly number[];
  read(text: string): readonly number[] | undefined;
  /** Open vSwitch's words for a text that means nothing; `name` is the field's first one. */
  complain(text: string, name: string): string;
}

const WILDCARDS = 'wildcards not allowed here';
const complainOfNumber =
  (bits: number) =>
  (text: string, name: string): string => {
    if (unsigned(text, 0xffff_ffff) === undefined) return `${text}: bad syntax for ${name} value`;
    const bytes = bits > 16 ? 4 : bits > 8 ? 2 : 1;
    return `${text}: value too large for ${bytes}-byte field ${name}`;
  };
const complainOfAddress = (what: string) => (text: string) =>
  text.includes('/') ? `${text}: ${WILDCARDS}` : `${text}: invalid ${what} address`;

const bigEndian = (value: number, bytes: number): number[] =>
  Array.from({ length: bytes }, (_, i) => Math.floor(value / 2 ** (8 * (bytes - 1 - i))) & 0xff);

function unsigned(text: string, max: number): number | undefined {
  if (!/^(?:0x[0-9a-f]{1,8}|\d{1,10})$/i.test(text)) return undefined;
  const value = Number(text);
  return value <= max ? value : undefined;
}

/** A number of `width` bits, `shift` bits up in its target, with `fixed` bits that it implies. */
function number(name: string, needs: Test = always, width = 0, shift = 0, fixed = 0): FilterField {
  const target = field(name);
  const size = width === 0 ? target.bytes * 8 : width;
  const max = 2 ** size - 1;
  return {
    target,
    needs,
    bits: bigEndian(max * 2 ** shift + fixed, target.bytes),
    read(text) {
      const value = unsigned(text, max);
      return value === undefined ? undefined : bigEndian(value * 2 ** shift + fixed, target.bytes);
    },
    complain: complainOfNumber(size),
  };
}

function address(name: string, needs: Test, { read, what }: AddressKind): FilterField {
  const target = field(name);
  const bits = new Array<number>(target.bytes).fill(0xff);
  return { target, needs, bits, read, complain: complainOfAddress(what) };
}

interface AddressKind {
  readonly what: string;
  read(text: string): readonly number[] | undefined;
}

const readMac = (text: string): number[] | undefined =>
  /^(?:[0-9a-f]{1,2}:){5}[0-9a-f]{1,2}$/i.test(text)
    ? text.split(':').map((byte) => Number.parseInt(byte, 16))
    : undefined;
const readIpv4 = (text: string): number[] | undefined =>
  isIPv4(text) ? text.split('.').map(Number) : undefined;

function readIpv6(text: string): number[] | undefined {
  if (!isIPv6(text) || text.includes('%')) return undefined;
  const groups = (part: string): number[] =>
    part === ''
      ? []
      : part.split(':').flatMap((group) => readIpv4(group) ?? bigEndian(Number.parseInt(group, 16), 2));
  const [head = '', tail] = text.split('::');
  const front = groups(head);
  const back = tail === undefined ? [] : groups(tail);
  return [...front, ...new Array<number>(16 - front.length - back.length).fill(0), ...back];
}

const mac: AddressKind = { what: 'Ethernet', read: readMac };
const ipv4: AddressKind = { what: 'IP', read: readIpv4 };
const ipv6: AddressKind = { what: 'IPv6', read: readIpv6 };

const FRAGMENTS: ReadonlyMap<string, number> = new Map([
  ['no', 0],
  ['first', 1],
  ['later', 3],
]);
const NO_VLAN = 0xffff;

const vlan: FilterField = {
  target: VLAN_TCI,
  needs: always,
  bits: [0x1f, 0xff],
  read(text) {
    const vid = unsigned(text, NO_VLAN);
    if (vid === NO_VLAN) return [0, 0];
    return vid === undefined || vid > 0xfff ? undefined : bigEndian(vid | VLAN_PRESENT, 2);
  },
  complain: complainOfNumber(16),
};
const pcp = number('vlan_tci', always, 3, 13, VLAN_PRESENT);
const tos: FilterField = {
  target: field('nw_tos'),
  needs: ip,
  bits: [0xfc],
  read(text) {
    const value = unsigned(text, 0xff);
    return value === undefined || (value & 3) !== 0 ? undefined : [value];
  },
  complain: complainOfNumber(8),
};
const frag: FilterField = {
  target: NW_FRAG,
  needs: ip,
  bits: [0xff],
  read(text) {
    const value = FRAGMENTS.get(text);
    return value === undefined ? undefined : [value];
  },
  complain: (text) =>
    text === 'yes' || text === 'not_later'
      ? `${text}: ${WILDCARDS}`
      : // Open vSwitch leaves the parenthesis open.
        `${text}: unknown fragment type (valid types are "no", "yes", "first", "later", "not_later"`,
};
const inPort: FilterField = {
  ...number('in_port'),
  complain: (text) => `${text}: invalid or unknown port for in_port`,
};

const isIpv4 = isType(IPV4);
const isIpv6 = isType(IPV6);

/** Names, the one that Open vSwitch uses in messages first. */
const ROWS: readonly (readonly [names: readonly string[], field: FilterField])[] = [
  [['in_port'], inPort],
  [['recirc_id'], number('recirc_id')],
  [['dp_hash'], number('dp_hash')],
  [['pkt_mark'], number('skb_mark')],
  [['ct_zone'], number('ct_zone')],
  [['ct_mark'], number('ct_mark')],
  [['eth_src', 'dl_src'], address('dl_src', always, mac)],
  [['eth_dst', 'dl_dst'], address('dl_dst', always, mac)],
  [['eth_type', 'dl_type'], number('dl_type')],
  [['dl_vlan'], vlan],
  [['vlan_vid'], vlan],
  [['dl_vlan_pcp'], pcp],
  [['vlan_pcp'], pcp],
  [['vlan_tci'], number('vlan_tci')],
  [['ip_src', 'nw_src'], address('nw_src', isIpv4, ipv4)],
  [['ip_dst', 'nw_dst'], address('nw_dst', isIpv4, ipv4)],
  [['ipv6_src'], address('ipv6_src', isIpv6, ipv6)],
  [['ipv6_dst'], address('ipv6_dst', isIpv6, ipv6)],
  [['ipv6_label'], number('ipv6_label', isIpv6, 20)],
  [['nw_proto', 'ip_proto'], number('nw_proto', ip)],
  [['nw_tos'], tos],
  [['ip_dscp'], number('nw_tos', ip, 6, 2)],
  [['nw_ecn', 'ip_ecn'], number('nw_tos', ip, 2)],
  [['nw_ttl'], number('nw_ttl', ip)],
  [['ip_frag', 'nw_frag'], frag],
  [['tcp_src', 'tp_src'], number('tp_src', transport(6))],
  [['tcp_dst', 'tp_dst'], number('tp_dst', transport(6))],
  [['tcp_flags'], number('tcp_flags', transport(6), 12)],
  [['udp_src'], number('tp_src', transport(17))],
  [['udp_dst'], number('tp_dst', transport(17))],
  [['sctp_src'], number('tp_src', transport(132))],
  [['sctp_dst'], number('tp_dst', transport(132))],
  [['icmp_type'], number('tp_src', transport(1, isIpv4), 8)],
  [['icmp_code'], number('tp_dst', transport(1, isIpv4), 8)],
  [['icmpv6_type'], number('tp_src', icmp6, 8)],
  [['icmpv6_code'], number('tp_dst', icmp6, 8)],
  [['nd_target'], address('nd_target', neighbour(ND_SOLICIT, ND_ADVERT), ipv6)],
  [['nd_sll'], address('arp_sha', neighbour(ND_SOLICIT), mac)],
  [['nd_tll'], address('arp_tha', neighbour(ND_ADVERT), mac)],
  [['arp_op'], number('nw_proto', arp)],
  [['arp_spa'], address('nw_src', arp, ipv4)],
  [['arp_tpa'], address('nw_dst', arp, ipv4)],
  [['arp_sha'], address('arp_sha', arp, mac)],
  [['arp_tha'], address('arp_tha', arp, mac)],
  [['mpls_label'], number('mpls_lse0', mpls, 20, 12)],
  [['mpls_tc'], number('mpls_lse0', mpls, 3, 9)],
  [['mpls_bos'], number('mpls_lse0', mpls, 1, 8)],
  [['mpls_ttl'], number('mpls_lse0', mpls, 8)],
];

const FILTER_FIELDS: ReadonlyMap<string, FilterField & { readonly name: string }> = new Map(
  ROWS.flatMap(([names, row]) => names.map((name) => [name, { ...row, name: names[0]! }] as const)),
);

/** Whether a flow, as packed rows of its key and its mask, passes. */
export type FlowFilter = (key: Int32Array, mask: Int32Array) => boolean;

/** Reads a filter. `portNumber` finds ports by name. Throws a {@link FilterError}. */
export function parseFilter(text: string, portNumber: (name: string) => number | undefined): FlowFilter {
  const wanted = new Wanted();
  for (const [, key = '', value = ''] of text.matchAll(/([^=,\s]+)(?:=([^,\s]*))?/g)) {
    const protocol = PROTOCOLS.get(key);
    if (protocol !== undefined) setProtocol(wanted, protocol);
    else setField(wanted, key, value, portNumber);
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
  const found = FILTER_FIELDS.get(name);
  if (found === undefined) throw new FilterError(`unknown field ${name}`);
  const { target, bits } = found;
  if (!found.needs(wanted)) throw new FilterError(`prerequisites not met for setting ${name}`);
  if (wanted.isSet(target, bits)) throw new FilterError(`field ${name} set multiple times`);
  const port = target === IN_PORT ? portNumber(text) : undefined;
  const value = port === undefined ? found.read(text) : bigEndian(port, target.bytes);
  if (value === undefined)
    throw new FilterError(`bad value for ${name} (${found.complain(text, found.name)})`);
  // A vlan of 0xffff asks for packets without any tag: then all of the tag counts.
  wanted.set(target, value, found.read === vlan.read && value[0] === 0 ? [0xff, 0xff] : bits);
}
