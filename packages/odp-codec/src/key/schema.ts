/**
 * The attribute table: one row per OVS_KEY_ATTR_*. Netlink lengths, text both ways, the JSON model, the rules for when
 * a mask counts as "all" or "nothing", and the table in the README come from it. Adding an attribute is adding a row.
 */
import { KEY_ATTR, KEY_ATTR_MAX, LENGTH_INVALID, LENGTH_NESTED, LENGTH_VARIABLE } from './attributes.js';
import { allBytes, getBe16, getBe32 } from './bytes.js';
import { encap } from './encap.js';
import { ctState, mpls, port, tcpFlags, vlan } from './headers.js';
import { be16, be16x, etherType, frag, ipv6Label, ndReserved, u8, u8x, u16x, u32x } from './kinds.js';
import { nsh } from './nsh.js';
import { type Shape, type Span, struct, value } from './shape.js';
import { tunnel } from './tunnel.js';
import { eth, ipv4, ipv6, u128 } from './wide-kinds.js';

export interface AttributeRow<N extends string = string, M = unknown> {
  /** dpctl's name. */
  readonly name: N;
  /** `name(`. */
  readonly opening: string;
  /** `,name(`. */
  readonly nextOpening: string;
  readonly type: number;
  /** Payload bytes, or one of the LENGTH_ constants. */
  readonly length: number;
  readonly shape: Shape<M>;
  /** Whether the bits of a mask that count are all those of `byte`, which is 0 or 255. */
  readonly isConstant: (mask: Span, byte: number) => boolean;
  /** For the documentation. */
  readonly meaning: string;
}

const whole = ({ bytes, at, length }: Span, byte: number): boolean => allBytes(bytes, at, length, byte);
/** Without padding at the end. */
const first =
  (count: number) =>
  ({ bytes, at }: Span, byte: number): boolean =>
    allBytes(bytes, at, count, byte);
const never = (): boolean => false;

function row<N extends string, M>(
  type: number,
  name: N,
  length: number,
  shape: Shape<M>,
  meaning: string,
  isConstant: (mask: Span, byte: number) => boolean = whole,
): AttributeRow<N, M> {
  const { print, parse, decode, encode, text } = shape;
  // Shapes with their properties in one order, for the reason given in kinds.ts.
  return {
    name,
    opening: `${name}(`,
    nextOpening: `,${name}(`,
    type,
    length,
    shape: { print, parse, decode, encode, text },
    isConstant,
    meaning,
  };
}

const ports = struct(4, (field) => ({ src: field(be16, 0), dst: field(be16, 2) }));
const icmp = struct(2, (field) => ({ type: field(u8, 0), code: field(u8, 1) }));
const wild = { hideWildcard: true };

/** Twelve bits of TCP flags count. */
const tcpFlagsConstant = ({ bytes, at }: Span, byte: number): boolean =>
  (getBe16(bytes, at) & 0xfff) === (byte === 0 ? 0 : 0xfff);

/** Twenty bits of the flow label count. */
const ipv6Constant = ({ bytes, at }: Span, byte: number): boolean =>
  allBytes(bytes, at, 32, byte) &&
  (getBe32(bytes, at + 32) & 0xfffff) === (byte === 0 ? 0 : 0xfffff) &&
  allBytes(bytes, at + 36, 4, byte);

export const KEY_ATTRIBUTES = [
  row(KEY_ATTR.ENCAP, 'encap', LENGTH_NESTED, encap, 'what follows a VLAN tag', never),
  row(KEY_ATTR.PRIORITY, 'skb_priority', 4, value(u32x), 'QoS priority'),
  row(KEY_ATTR.IN_PORT, 'in_port', 4, port, 'datapath port'),
  row(
    KEY_ATTR.ETHERNET,
    'eth',
    12,
    struct(12, (field) => ({ src: field(eth, 0), dst: field(eth, 6) })),
    'Ethernet addresses',
  ),
  row(KEY_ATTR.VLAN, 'vlan', 2, vlan, 'tag control information; the TPID is in eth_type'),
  row(
    KEY_ATTR.ETHERTYPE,
    'eth_type',
    2,
    value(etherType, { zeroIsAbsent: true }),
    'Ethertype, or TPID of a tag',
  ),
  row(
    KEY_ATTR.IPV4,
    'ipv4',
    12,
    struct(12, (field) => ({
      src: field(ipv4, 0),
      dst: field(ipv4, 4),
      proto: field(u8, 8),
      tos: field(u8x, 9),
      ttl: field(u8, 10),
      frag: field(frag, 11),
    })),
    'IPv4 header',
  ),
  row(
    KEY_ATTR.IPV6,
    'ipv6',
    40,
    struct(40, (field) => ({
      src: field(ipv6, 0),
      dst: field(ipv6, 16),
      label: field(ipv6Label, 32),
      proto: field(u8, 36),
      tclass: field(u8x, 37),
      hlimit: field(u8, 38),
      frag: field(frag, 39),
    })),
    'IPv6 header',
    ipv6Constant,
  ),
  row(KEY_ATTR.TCP, 'tcp', 4, ports, 'TCP ports'),
  row(KEY_ATTR.UDP, 'udp', 4, ports, 'UDP ports'),
  row(KEY_ATTR.ICMP, 'icmp', 2, icmp, 'ICMP message'),
  row(KEY_ATTR.ICMPV6, 'icmpv6', 2, icmp, 'ICMPv6 message'),
  row(
    KEY_ATTR.ARP,
    'arp',
    24,
    struct(24, (field) => ({
      sip: field(ipv4, 0),
      tip: field(ipv4, 4),
      op: field(be16, 8),
      sha: field(eth, 10),
      tha: field(eth, 16),
    })),
    'ARP or RARP message; 2 bytes of padding',
    first(22),
  ),
  row(
    KEY_ATTR.ND,
    'nd',
    28,
    struct(28, (field) => ({ target: field(ipv6, 0), sll: field(eth, 16), tll: field(eth, 22) })),
    'IPv6 neighbor discovery',
  ),
  row(KEY_ATTR.SKB_MARK, 'skb_mark', 4, value(u32x), 'packet mark'),
  row(KEY_ATTR.TUNNEL, 'tunnel', LENGTH_NESTED, tunnel, 'outer header of a tunnel'),
  row(KEY_ATTR.SCTP, 'sctp', 4, ports, 'SCTP ports'),
  row(KEY_ATTR.TCP_FLAGS, 'tcp_flags', 2, tcpFlags, '12 bits', tcpFlagsConstant),
  row(KEY_ATTR.DP_HASH, 'dp_hash', 4, value(u32x), 'hash by the datapath, 0 for none'),
  row(KEY_ATTR.RECIRC_ID, 'recirc_id', 4, value(u32x, { noMask: true }), 'recirculation, always exact'),
  row(KEY_ATTR.MPLS, 'mpls', LENGTH_VARIABLE, mpls, 'label stack, outermost first'),
  row(KEY_ATTR.CT_STATE, 'ct_state', 4, ctState, 'connection state'),
  row(KEY_ATTR.CT_ZONE, 'ct_zone', 2, value(u16x, wild), 'connection zone'),
  row(KEY_ATTR.CT_MARK, 'ct_mark', 4, value(u32x, wild), 'connection mark'),
  row(KEY_ATTR.CT_LABELS, 'ct_label', 16, value(u128, wild), 'connection labels'),
  row(
    KEY_ATTR.CT_ORIG_TUPLE_IPV4,
    'ct_tuple4',
    16,
    struct(16, (field) => ({
      src: field(ipv4, 0),
      dst: field(ipv4, 4),
      proto: field(u8, 12),
      tp_src: field(be16, 8),
      tp_dst: field(be16, 10),
    })),
    'original direction of an IPv4 connection; 3 bytes of padding',
    first(13),
  ),
  row(
    KEY_ATTR.CT_ORIG_TUPLE_IPV6,
    'ct_tuple6',
    40,
    struct(40, (field) => ({
      src: field(ipv6, 0),
      dst: field(ipv6, 16),
      proto: field(u8, 36),
      src_port: field(be16, 32, 'tp_src'),
      dst_port: field(be16, 34, 'tp_dst'),
    })),
    'original direction of an IPv6 connection; 3 bytes of padding',
    first(37),
  ),
  row(KEY_ATTR.NSH, 'nsh', LENGTH_NESTED, nsh, 'network service header'),
  row(
    KEY_ATTR.PACKET_TYPE,
    'packet_type',
    4,
    struct(4, (field) => ({ ns: field(be16, 0), id: field(be16x, 2) })),
    'namespace and type; 0/0 is Ethernet',
  ),
  row(
    KEY_ATTR.ND_EXTENSIONS,
    'nd_ext',
    8,
    struct(8, (field) => ({ nd_reserved: field(ndReserved, 0), nd_options_type: field(u8, 4) })),
    'reserved word and option type of ND; 3 bytes of padding',
  ),
] as const;

type Rows = (typeof KEY_ATTRIBUTES)[number];
type ModelOf<R> = R extends AttributeRow<string, infer M> ? M : never;

type Attributes = { [R in Rows as R['name']]?: ModelOf<R> };

/**
 * A key, or a mask, as plain JSON: one property for each row of the table. The order of the properties is the order of
 * the attributes.
 */
export interface KeyModel extends Attributes {
  /** An attribute of a type that the table does not know: `key99: '0x..'`. */
  [unknown: `key${number}`]: string;
}

export const ROW_BY_NAME: ReadonlyMap<string, AttributeRow> = new Map(
  KEY_ATTRIBUTES.map((each) => [each.name, each]),
);

/** Indexed by type; a hole is a number that no attribute of a flow has. */
export const ROW_BY_TYPE: readonly (AttributeRow | undefined)[] = ((): (AttributeRow | undefined)[] => {
  const rows: (AttributeRow | undefined)[] = new Array(KEY_ATTR_MAX + 1).fill(undefined);
  for (const each of KEY_ATTRIBUTES) rows[each.type] = each;
  return rows;
})();

/** By type; {@link keyLength} is asked for every attribute of every key. */
const LENGTHS = Int32Array.from(ROW_BY_TYPE, (each) => each?.length ?? 0);

/** Payload length of a flow key attribute: reserved numbers count as empty, larger ones are LENGTH_INVALID. */
export const keyLength = (type: number): number => (type > KEY_ATTR_MAX ? LENGTH_INVALID : LENGTHS[type]!);

/** What OVS calls an attribute. */
export function keyName(type: number): string {
  if (type === KEY_ATTR.UNSPEC) return 'unspec';
  if (type === KEY_ATTR.TUNNEL_INFO) return '<error: kernel-only tunnel_info>';
  return ROW_BY_TYPE[type]?.name ?? `key${type}`;
}

/** The table as Markdown, as the README shows it. */
export function keyTable(): string {
  const rows = KEY_ATTRIBUTES.map(({ type, name, length, shape, meaning }) => {
    const bytes = length === LENGTH_NESTED ? 'nested' : length === LENGTH_VARIABLE ? 'any' : length;
    return `| ${type} | ${bytes} | \`${name}(${shape.text})\` | ${meaning} |`;
  });
  return ['| # | bytes | text | what it is |', '| --- | --- | --- | --- |', ...rows]
    .join('\n')
    .replaceAll('a|b', 'a\\|b');
}
