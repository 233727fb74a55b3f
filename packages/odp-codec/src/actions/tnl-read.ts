/**
 * Reads the text of a `tnl_push` header into bytes.
 *
 * Open vSwitch leaves bytes that its text does not mention uninitialised (the IPv6 payload length, the UDP header in
 * front of GTP-U ...). They are zero here: lengths and checksums are for the datapath to fill in, packet by packet.
 */
import { getBe16, putBe16, putBe32 } from '../key/bytes.js';
import { geneve } from '../key/tunnel-options.js';
import { NLA_HEADER, NlWriter } from '../netlink.js';
import { VPORT_TYPE } from './attrs.js';
import type { ActionReader } from './reader.js';
import {
  ERSPAN_AT,
  ETH_LENGTH,
  ETH_TYPE_ERSPAN1,
  ETH_TYPE_ERSPAN2,
  ETH_TYPE_IPV4,
  ETH_TYPE_TEB,
  GENEVE_CRITICAL,
  GENEVE_OAM,
  GRE_CSUM,
  GRE_KEY,
  GRE_LENGTH,
  GRE_SEQ,
  HEADER_MAX,
  IPV4_LENGTH,
  IPV6_LENGTH,
  SEGMENT_LENGTH,
  SRV6_LENGTH,
  SRV6_MAX_SEGMENTS,
  UDP_LENGTH,
  UDP_TUNNEL_LENGTH,
} from './tnl-header.js';

const IP_PROTO_ROUTING = 43;
const ROUTING_TYPE_SEGMENTS = 4;

/** The bytes so far, and where the next layer starts. */
interface Layers {
  readonly bytes: Uint8Array;
  at: number;
  readonly ipv4: boolean;
}

/** Reads `eth(..)` and what follows it, up to the parenthesis that closes `header(`, which stays. */
export function readHeader(reader: ActionReader): { type: number; bytes: Uint8Array } {
  const { scan } = reader;
  const bytes = new Uint8Array(HEADER_MAX);
  scan.expect('eth(dst=');
  bytes.set(scan.need(scan.eth(), 'an Ethernet address'), 0);
  scan.expect(',src=');
  bytes.set(scan.need(scan.eth(), 'an Ethernet address'), 6);
  putBe16(bytes, 12, reader.number(',dl_type=0x%x),'));
  const layers = { bytes, at: ETH_LENGTH, ipv4: getBe16(bytes, 12) === ETH_TYPE_IPV4 };
  if (layers.ipv4) readIpv4(reader, layers);
  else readIpv6(reader, layers);
  const type = readTunnel(reader, layers);
  return { type, bytes: bytes.slice(0, layers.at) };
}

/** Identification and total length stay zero; the checksum counts them so. */
function readIpv4(reader: ActionReader, layers: Layers): void {
  const { scan } = reader;
  const ip = layers.bytes.subarray(layers.at);
  scan.expect('ipv4(src=');
  ip.set(scan.need(scan.ipv4(), 'an IPv4 address'), 12);
  scan.expect(',dst=');
  ip.set(scan.need(scan.ipv4(), 'an IPv4 address'), 16);
  const [proto, tos, ttl, frag] = reader.pattern(',proto=%i,tos=%i,ttl=%i,frag=0x%x),');
  ip[0] = 0x45;
  ip[1] = tos;
  putBe16(ip, 6, frag);
  ip[8] = ttl;
  ip[9] = proto;
  putBe16(ip, 10, checksum(ip.subarray(0, IPV4_LENGTH)));
  layers.at += IPV4_LENGTH;
}

/** RFC 1071, over an even number of bytes. */
function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += getBe16(bytes, i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}

function readIpv6(reader: ActionReader, layers: Layers): void {
  const { scan } = reader;
  const ip = layers.bytes.subarray(layers.at);
  scan.expect('ipv6(src=');
  ip.set(scan.need(scan.ipv6(), 'an IPv6 address'), 8);
  scan.expect(',dst=');
  ip.set(scan.need(scan.ipv6(), 'an IPv6 address'), 24);
  const label = reader.number(',label=%i');
  if (label > 0xfffff) scan.fail('a 20-bit label before');
  const [proto, tclass, hlimit] = reader.pattern(',proto=%i,tclass=0x%x,hlimit=%i),');
  putBe32(ip, 0, 0x6000_0000 | ((tclass & 0xff) << 20) | label);
  ip[6] = proto;
  ip[7] = hlimit;
  layers.at += IPV6_LENGTH;
}

/** Reads the tunnel's own header and returns its OVS_VPORT_TYPE. */
function readTunnel(reader: ActionReader, layers: Layers): number {
  const { scan, strict } = reader;
  if (scan.at('udp(')) return readOverUdp(reader, layers);
  if (scan.at('gre(')) return readGre(reader, layers);
  if (scan.at('srv6(')) return readSrv6(reader, layers);
  // Open vSwitch reads GTP-U without, and prints it with, the UDP header.
  if (scan.at('gtpu(')) {
    layers.at += UDP_LENGTH;
    return readGtpu(reader, layers);
  }
  if (!strict && scan.at('erspan(')) return readErspan(reader, layers);
  return scan.fail('udp(, gre(, srv6(, gtpu( or erspan(');
}

function readOverUdp(reader: ActionReader, layers: Layers): number {
  const { scan, strict } = reader;
  const [src, dst, csum] = reader.pattern('udp(src=%i,dst=%i,csum=0x%x),');
  const udp = layers.bytes.subarray(layers.at);
  putBe16(udp, 0, src);
  putBe16(udp, 2, dst);
  putBe16(udp, 6, csum);
  layers.at += UDP_LENGTH;
  if (scan.at('vxlan(')) return readVxlan(reader, layers);
  if (scan.at('geneve(')) return readGeneve(reader, layers);
  if (!strict && scan.at('gtpu(')) return readGtpu(reader, layers);
  return scan.fail('vxlan(, geneve( or gtpu(');
}

function readVxlan(reader: ActionReader, layers: Layers): number {
  const [flags, vni] = reader.pattern('vxlan(flags=0x%x,vni=0x%x)');
  putBe32(layers.bytes, layers.at, flags);
  putBe32(layers.bytes, layers.at + 4, vni << 8);
  layers.at += UDP_TUNNEL_LENGTH;
  return VPORT_TYPE.VXLAN;
}

function readGeneve(reader: ActionReader, layers: Layers): number {
  const { scan } = reader;
  const header = layers.bytes.subarray(layers.at);
  scan.expect('geneve(');
  if (scan.accept('oam,')) header[1]! |= GENEVE_OAM;
  if (scan.accept('crit,')) header[1]! |= GENEVE_CRITICAL;
  const vni = reader.number('vni=%i');
  putBe16(header, 2, ETH_TYPE_TEB);
  putBe32(header, 4, vni << 8);
  layers.at += UDP_TUNNEL_LENGTH;
  if (scan.accept(',options(')) {
    const options = new NlWriter();
    if (scan.until(')').includes('/')) scan.fail('options without masks');
    geneve.parse(0, scan, options, undefined);
    const found = options.peek().subarray(NLA_HEADER);
    header[0] = found.length >> 2;
    layers.bytes.set(found, layers.at);
    layers.at += found.length;
  }
  scan.expect(')');
  return VPORT_TYPE.GENEVE;
}

function readGtpu(reader: ActionReader, layers: Layers): number {
  const [flags, msgtype, teid] = reader.pattern('gtpu(flags=%i,msgtype=%u,teid=0x%x)');
  layers.bytes[layers.at] = flags;
  layers.bytes[layers.at + 1] = msgtype;
  putBe32(layers.bytes, layers.at + 4, teid);
  layers.at += UDP_TUNNEL_LENGTH;
  return VPORT_TYPE.GTPU;
}

function readGre(reader: ActionReader, layers: Layers): number {
  const { bytes } = layers;
  const [flags, protocol] = reader.pattern('gre((flags=0x%x,proto=0x%x)');
  putBe16(bytes, layers.at, flags);
  putBe16(bytes, layers.at + 2, protocol);
  layers.at += GRE_LENGTH;
  if (flags & GRE_CSUM) {
    putBe16(bytes, layers.at, reader.number(',csum=0x%x'));
    layers.at += 4;
  }
  if (flags & GRE_KEY) {
    putBe32(bytes, layers.at, reader.number(',key=0x%x'));
    layers.at += 4;
  }
  if (flags & GRE_SEQ) {
    putBe32(bytes, layers.at, reader.number(',seq=0x%x'));
    layers.at += 4;
  }
  reader.scan.expect(')');
  return layers.ipv4 ? VPORT_TYPE.GRE : VPORT_TYPE.IP6GRE;
}

/** Only what Open vSwitch prints; its own parser for it never matches. */
function readErspan(reader: ActionReader, layers: Layers): number {
  const { scan } = reader;
  const gre = layers.bytes.subarray(layers.at);
  const version1 = scan.at('erspan(ver=1,');
  const session = reader.number(`erspan(ver=${version1 ? 1 : 2},sid=0x%x,`);
  putBe16(gre, 0, GRE_SEQ);
  putBe16(gre, 2, version1 ? ETH_TYPE_ERSPAN1 : ETH_TYPE_ERSPAN2);
  gre[ERSPAN_AT] = version1 ? 0x10 : 0x20;
  putBe16(gre, ERSPAN_AT + 2, session & 0x3ff);
  const at = ERSPAN_AT + 4;
  if (version1) {
    putBe32(gre, at, reader.number('idx=0x%x)'));
  } else {
    const [direction, hardware] = reader.pattern('dir=%u,hwid=0x%x)');
    gre[at + 6] = (hardware >> 4) & 3;
    gre[at + 7] = ((hardware & 0xf) << 4) | ((direction & 1) << 3);
  }
  layers.at += at + (version1 ? 4 : 8);
  return layers.ipv4 ? VPORT_TYPE.ERSPAN : VPORT_TYPE.IP6ERSPAN;
}

/** Segments come in the order of travel and are stored the other way round. */
function readSrv6(reader: ActionReader, layers: Layers): number {
  const { scan } = reader;
  const left = reader.number('srv6(segments_left=%u') & 0xff;
  const count = left + 1;
  if (count > SRV6_MAX_SEGMENTS) scan.fail(`at most ${SRV6_MAX_SEGMENTS - 1} segments left before`);
  if (layers.ipv4) scan.fail('srv6 over ipv6');
  const { bytes, at } = layers;
  bytes[ETH_LENGTH + 6] = IP_PROTO_ROUTING;
  bytes[at + 1] = 2 * count;
  bytes[at + 2] = ROUTING_TYPE_SEGMENTS;
  bytes[at + 3] = left;
  bytes[at + 4] = left;
  scan.expect(',segs(');
  for (let i = left; i >= 0; i--) {
    bytes.set(scan.need(scan.ipv6(), `${i + 1} more segments`), at + SRV6_LENGTH + i * SEGMENT_LENGTH);
    scan.accept(',');
  }
  scan.expect('))');
  layers.at += SRV6_LENGTH + count * SEGMENT_LENGTH;
  return VPORT_TYPE.SRV6;
}
