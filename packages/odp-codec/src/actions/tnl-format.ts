/** The text of a `tnl_push` header, layer by layer; a layer that the bytes end in the middle of is said to be cut. */
import { getBe16, getBe32 } from '../key/bytes.js';
import { alternateHex } from '../key/kind.js';
import { geneve } from '../key/tunnel-options.js';
import { formatEth, formatIpv4, formatIpv6 } from '../text/address.js';
import { VPORT_TYPE } from './attrs.js';
import {
  ERSPAN_AT,
  ETH_LENGTH,
  ETH_TYPE_IPV4,
  GENEVE_CRITICAL,
  GENEVE_OAM,
  GRE_CSUM,
  GRE_KEY,
  GRE_LENGTH,
  GRE_SEQ,
  IPV4_LENGTH,
  IPV6_LENGTH,
  SEGMENT_LENGTH,
  SRV6_LENGTH,
  UDP_LENGTH,
  UDP_TUNNEL_LENGTH,
} from './tnl-header.js';

const hex = (value: number): string => `0x${value.toString(16)}`;
const cut = (layer: string): string => ` ${layer}(truncated header)`;

/** What stands between `type=N,` and the parenthesis that closes `header(`. */
export function formatHeader(header: Uint8Array, type: number): string {
  if (header.length < ETH_LENGTH) return cut('eth');
  const etherType = getBe16(header, 12);
  const ethernet =
    `eth(dst=${formatEth(header, 0)},src=${formatEth(header, 6)}` +
    `,dl_type=0x${etherType.toString(16).padStart(4, '0')}),`;
  const rest = header.subarray(ETH_LENGTH);
  return ethernet + (etherType === ETH_TYPE_IPV4 ? formatOverIpv4(rest, type) : formatOverIpv6(rest, type));
}

function formatOverIpv4(ip: Uint8Array, type: number): string {
  if (ip.length < IPV4_LENGTH) return cut('ipv4');
  return (
    `ipv4(src=${formatIpv4(ip, 12)},dst=${formatIpv4(ip, 16)},proto=${ip[9]},tos=${alternateHex(ip[1]!)}` +
    `,ttl=${ip[8]},frag=${hex(getBe16(ip, 6))}),${formatTunnel(ip.subarray(IPV4_LENGTH), type)}`
  );
}

function formatOverIpv6(ip: Uint8Array, type: number): string {
  if (ip.length < IPV6_LENGTH) return cut('ipv6');
  const flow = getBe32(ip, 0);
  return (
    `ipv6(src=${formatIpv6(ip, 8)},dst=${formatIpv6(ip, 24)},label=${flow & 0xfffff},proto=${ip[6]}` +
    `,tclass=${hex((flow >>> 20) & 0xff)},hlimit=${ip[7]}),${formatTunnel(ip.subarray(IPV6_LENGTH), type)}`
  );
}

/** The tunnel's own header; nothing for a type that has none. */
function formatTunnel(bytes: Uint8Array, type: number): string {
  switch (type) {
    case VPORT_TYPE.VXLAN:
      return overUdp(
        bytes,
        'vxlan',
        (vxlan) => `vxlan(flags=${hex(getBe32(vxlan, 0))},vni=${hex(vniOf(vxlan))})`,
      );
    case VPORT_TYPE.GENEVE:
      return overUdp(bytes, 'geneve', formatGeneve);
    case VPORT_TYPE.GTPU:
      return overUdp(
        bytes,
        'gtpu',
        (gtpu) => `gtpu(flags=${hex(gtpu[0]!)},msgtype=${gtpu[1]},teid=${hex(getBe32(gtpu, 4))})`,
      );
    case VPORT_TYPE.SRV6:
      return formatSrv6(bytes);
    case VPORT_TYPE.GRE:
    case VPORT_TYPE.IP6GRE:
      return formatGre(bytes);
    case VPORT_TYPE.ERSPAN:
    case VPORT_TYPE.IP6ERSPAN:
      return formatErspan(bytes);
    default:
      return '';
  }
}

/** The upper 24 bits of the second word. */
const vniOf = (tunnel: Uint8Array): number => getBe32(tunnel, 4) >>> 8;

function overUdp(bytes: Uint8Array, name: string, format: (tunnel: Uint8Array) => string): string {
  if (bytes.length < UDP_LENGTH) return cut('udp');
  const udp = `udp(src=${getBe16(bytes, 0)},dst=${getBe16(bytes, 2)},csum=${hex(getBe16(bytes, 6))}),`;
  const tunnel = bytes.subarray(UDP_LENGTH);
  return udp + (tunnel.length < UDP_TUNNEL_LENGTH ? cut(name) : format(tunnel));
}

function formatGeneve(bytes: Uint8Array): string {
  let out = 'geneve(';
  if (bytes[1]! & GENEVE_OAM) out += 'oam,';
  if (bytes[1]! & GENEVE_CRITICAL) out += 'crit,';
  out += `vni=${hex(vniOf(bytes))}`;
  const length = (bytes[0]! & 0x3f) * 4;
  const options = bytes.subarray(UDP_TUNNEL_LENGTH, UDP_TUNNEL_LENGTH + length);
  if (length > 0) {
    out += `,options(${geneve.print({ bytes: options, at: 0, length: options.length }, undefined, false)})`;
  }
  return `${out})`;
}

function formatSrv6(bytes: Uint8Array): string {
  const count = bytes[4]! + 1;
  if (bytes.length < SRV6_LENGTH + count * SEGMENT_LENGTH) return cut('srv6');
  const segments: string[] = [];
  for (let i = count - 1; i >= 0; i--) segments.push(formatIpv6(bytes, SRV6_LENGTH + i * SEGMENT_LENGTH));
  return `srv6(segments_left=${bytes[3]},segs(${segments.join(',')}))`;
}

function formatGre(bytes: Uint8Array): string {
  if (bytes.length < GRE_LENGTH) return cut('gre');
  const flags = getBe16(bytes, 0);
  let out = `gre((flags=${hex(flags)},proto=${hex(getBe16(bytes, 2))})`;
  let at = GRE_LENGTH;
  for (const [flag, name] of [
    [GRE_CSUM, 'csum'],
    [GRE_KEY, 'key'],
    [GRE_SEQ, 'seq'],
  ] as const) {
    if ((flags & flag) === 0) continue;
    if (bytes.length < at + 4) return out + cut(name);
    out += `,${name}=${hex(flag === GRE_CSUM ? getBe16(bytes, at) : getBe32(bytes, at))}`;
    at += 4;
  }
  return `${out})`;
}

/** Prints nothing for an unknown version. */
function formatErspan(bytes: Uint8Array): string {
  const at = ERSPAN_AT + 4;
  if (bytes.length < at) return cut('erspan');
  const version = bytes[ERSPAN_AT]! >> 4;
  if (version !== 1 && version !== 2) return '';
  if (bytes.length < at + 4 * version) return cut('erspan');
  const session = getBe16(bytes, ERSPAN_AT + 2) & 0x3ff;
  if (version === 1) return `erspan(ver=1,sid=${hex(session)},idx=${hex(getBe32(bytes, at))})`;
  const hardware = ((bytes[at + 6]! & 3) << 4) | (bytes[at + 7]! >> 4);
  return `erspan(ver=2,sid=${hex(session)},dir=${(bytes[at + 7]! >> 3) & 1},hwid=${hex(hardware)})`;
}
