/**
 * Builds frames from plain parameters, layer by layer and with right checksums. Shares no code with the packages under
 * test and works in the most literal way, so that tests can take it as their oracle.
 *
 *     ethernet({ vlans: [{ vid: 5 }] }, ipv4({ src: '10.0.0.1', dst: '10.0.0.2' }, udp({ src: 1, dst: 2 }, payload)))
 *
 * Numbers out of their field's range throw a `RangeError`.
 */

import { ipv4Bytes, ipv6Bytes, macBytes } from './addresses.js';

/** What an Ethernet frame carries: an EtherType and the bytes behind it. */
export interface Layer3 {
  readonly etherType: number;
  readonly bytes: Uint8Array;
}

/** What an IP packet carries. `bytes` gets the pseudo header that this packet's checksum covers. */
export interface Layer4 {
  /** IP protocol over IPv4 and over IPv6. */
  readonly proto: (version: 4 | 6) => number;
  readonly bytes: (pseudoHeader: (proto: number, length: number) => Uint8Array, version: 4 | 6) => Uint8Array;
}

export interface VlanTag {
  /** 0..4095. */
  readonly vid: number;
  /** 0..7, default 0. */
  readonly pcp?: number;
  readonly dei?: boolean;
  /** Default 0x8100. */
  readonly tpid?: number;
}

const DEFAULT_SRC = '02:00:00:00:00:01';
const DEFAULT_DST = '02:00:00:00:00:02';

/** An Ethernet frame: 14 bytes, 4 per tag (outermost first), payload. Not padded: see {@link pad}. */
export function ethernet(
  header: { readonly src?: string; readonly dst?: string; readonly vlans?: readonly VlanTag[] },
  payload: Layer3,
): Uint8Array {
  const tags = (header.vlans ?? []).map(({ vid, pcp = 0, dei = false, tpid = 0x8100 }) => {
    const tci = (field('pcp', pcp, 3) << 13) | (dei ? 0x1000 : 0) | field('vid', vid, 12);
    return concat(be16(field('tpid', tpid, 16)), be16(tci));
  });
  return concat(
    macBytes(header.dst ?? DEFAULT_DST),
    macBytes(header.src ?? DEFAULT_SRC),
    ...tags,
    be16(field('EtherType', payload.etherType, 16)),
    payload.bytes,
  );
}

/** Any payload under any EtherType. */
export function raw(etherType: number, bytes: Uint8Array = new Uint8Array()): Layer3 {
  return { etherType, bytes };
}

/** `frame` with zeros behind it to `length` bytes; default 60, the least that Ethernet carries. Longer ones stay. */
export function pad(frame: Uint8Array, length = 60): Uint8Array {
  return frame.length >= length ? frame : concat(frame, new Uint8Array(length - frame.length));
}

/** An ARP message for Ethernet and IPv4 (RFC 826). `op` 1 asks, 2 answers. */
export function arp(fields: {
  readonly op: number;
  readonly sha?: string;
  readonly spa: string;
  readonly tha?: string;
  readonly tpa: string;
}): Layer3 {
  return raw(
    0x0806,
    concat(
      be16(1),
      be16(0x0800),
      bytesOf(6, 4),
      be16(field('op', fields.op, 16)),
      macBytes(fields.sha ?? DEFAULT_SRC),
      ipv4Bytes(fields.spa),
      macBytes(fields.tha ?? '00:00:00:00:00:00'),
      ipv4Bytes(fields.tpa),
    ),
  );
}

export interface Ipv4Header {
  readonly src: string;
  readonly dst: string;
  /** Default: the payload's own; 253 (RFC 3692 experiments) for plain bytes. */
  readonly proto?: number;
  readonly tos?: number;
  /** Default 64. */
  readonly ttl?: number;
  readonly id?: number;
  readonly dontFragment?: boolean;
  readonly moreFragments?: boolean;
  /** In bytes, a multiple of 8. */
  readonly fragmentOffset?: number;
  /** Length a multiple of 4, at most 40. */
  readonly options?: Uint8Array;
}

/** An IPv4 packet (RFC 791). */
export function ipv4(header: Ipv4Header, payload: Layer4 | Uint8Array): Layer3 {
  const src = ipv4Bytes(header.src);
  const dst = ipv4Bytes(header.dst);
  const options = header.options ?? new Uint8Array();
  if (options.length % 4 !== 0 || options.length > 40) {
    throw new RangeError(`IPv4 options of ${options.length} bytes: give a multiple of 4 up to 40`);
  }
  const offset = header.fragmentOffset ?? 0;
  if (offset % 8 !== 0) throw new RangeError(`fragment offset ${offset} is not a multiple of 8`);
  const proto = header.proto ?? (isBytes(payload) ? 253 : payload.proto(4));
  const body = isBytes(payload)
    ? payload
    : payload.bytes((p, length) => concat(src, dst, bytesOf(0, p), be16(length)), 4);
  const ihl = 5 + options.length / 4;
  const flags = (header.dontFragment === true ? 2 : 0) | (header.moreFragments === true ? 1 : 0);
  const bytes = concat(
    bytesOf(0x40 | ihl, field('tos', header.tos ?? 0, 8)),
    be16(field('IPv4 total length', ihl * 4 + body.length, 16)),
    be16(field('id', header.id ?? 0, 16)),
    be16((flags << 13) | field('fragment offset / 8', offset / 8, 13)),
    bytesOf(field('ttl', header.ttl ?? 64, 8), field('proto', proto, 8)),
    be16(0),
    src,
    dst,
    options,
    body,
  );
  patch16(bytes, 10, checksum(bytes.subarray(0, ihl * 4)));
  return { etherType: 0x0800, bytes };
}

export interface Ipv6Header {
  readonly src: string;
  readonly dst: string;
  /** Next header, default: the payload's own; 253 for plain bytes. */
  readonly proto?: number;
  readonly tclass?: number;
  /** Flow label, 20 bits. */
  readonly label?: number;
  /** Default 64. */
  readonly hlimit?: number;
  /** Extension headers in front of the payload, outermost first; each one's first byte is set to link the chain. */
  readonly extensions?: readonly { readonly type: number; readonly bytes: Uint8Array }[];
}

/** An IPv6 packet (RFC 8200). */
export function ipv6(header: Ipv6Header, payload: Layer4 | Uint8Array): Layer3 {
  const src = ipv6Bytes(header.src);
  const dst = ipv6Bytes(header.dst);
  const proto = header.proto ?? (isBytes(payload) ? 253 : payload.proto(6));
  const body = isBytes(payload)
    ? payload
    : payload.bytes((p, length) => concat(src, dst, be32(length), bytesOf(0, 0, 0, p)), 6);
  const extensions = header.extensions ?? [];
  const chain = extensions.map(({ bytes }, i) => {
    const copy = concat(bytes);
    copy[0] = extensions[i + 1]?.type ?? field('proto', proto, 8);
    return copy;
  });
  const rest = concat(...chain, body);
  const first =
    0x6000_0000 + field('tclass', header.tclass ?? 0, 8) * 0x10_0000 + field('label', header.label ?? 0, 20);
  const bytes = concat(
    be32(first),
    be16(field('IPv6 payload length', rest.length, 16)),
    bytesOf(extensions[0]?.type ?? field('proto', proto, 8), field('hlimit', header.hlimit ?? 64, 8)),
    src,
    dst,
    rest,
  );
  return { etherType: 0x86dd, bytes };
}

/** A TCP segment (RFC 9293). `flags` is the byte of CWR..FIN (2 = SYN, 16 = ACK). */
export function tcp(
  header: {
    readonly src: number;
    readonly dst: number;
    readonly seq?: number;
    readonly ack?: number;
    readonly flags?: number;
    readonly window?: number;
    readonly options?: Uint8Array;
  },
  payload: Uint8Array = new Uint8Array(),
): Layer4 {
  const options = header.options ?? new Uint8Array();
  if (options.length % 4 !== 0 || options.length > 40) {
    throw new RangeError(`TCP options of ${options.length} bytes: give a multiple of 4 up to 40`);
  }
  const bytes = concat(
    be16(field('source port', header.src, 16)),
    be16(field('destination port', header.dst, 16)),
    be32(field('seq', header.seq ?? 0, 32)),
    be32(field('ack', header.ack ?? 0, 32)),
    bytesOf((5 + options.length / 4) << 4, field('flags', header.flags ?? 16, 8)),
    be16(field('window', header.window ?? 65_535, 16)),
    be32(0),
    options,
    payload,
  );
  return layer4(6, 6, bytes, 16);
}

/** A UDP datagram (RFC 768). `checksum: false` leaves it 0, "none was computed" (IPv4 only). */
export function udp(
  header: { readonly src: number; readonly dst: number; readonly checksum?: boolean },
  payload: Uint8Array = new Uint8Array(),
): Layer4 {
  const bytes = concat(
    be16(field('source port', header.src, 16)),
    be16(field('destination port', header.dst, 16)),
    be16(field('UDP length', 8 + payload.length, 16)),
    be16(0),
    payload,
  );
  const whole = layer4(17, 17, bytes, 6, true);
  return header.checksum === false ? { ...whole, bytes: () => bytes } : whole;
}

/** An ICMP message: ICMP (RFC 792) in IPv4, ICMPv6 (RFC 4443) in IPv6. `rest` is the second 32-bit word. */
export function icmp(
  header: { readonly type: number; readonly code?: number; readonly rest?: number },
  payload: Uint8Array = new Uint8Array(),
): Layer4 {
  const bytes = concat(
    bytesOf(field('type', header.type, 8), field('code', header.code ?? 0, 8)),
    be16(0),
    be32(field('rest', header.rest ?? 0, 32)),
    payload,
  );
  return layer4(1, 58, bytes, 2);
}

/** The Internet checksum of `bytes` (RFC 1071), one 16-bit word after the other. */
export function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) {
    sum += ((bytes[at] ?? 0) << 8) + (bytes[at + 1] ?? 0);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return 0xffff - sum;
}

/** `length` bytes that differ along the way (period 251, so that a shift by a power of two shows). */
export function pattern(length: number, seed = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i + seed) % 251);
}

/** Byte strings one behind the other. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function layer4(proto4: number, proto6: number, bytes: Uint8Array, at: number, zeroIsNone = false): Layer4 {
  const proto = (version: 4 | 6): number => (version === 4 ? proto4 : proto6);
  return {
    proto,
    bytes: (pseudoHeader, version) => {
      const out = concat(bytes);
      // Only ICMP in IPv4 does without a pseudo header.
      const front = proto(version) === 1 ? new Uint8Array() : pseudoHeader(proto(version), out.length);
      const sum = checksum(concat(front, out));
      patch16(out, at, sum === 0 && zeroIsNone ? 0xffff : sum);
      return out;
    },
  };
}

function isBytes(payload: Layer4 | Uint8Array): payload is Uint8Array {
  return payload instanceof Uint8Array;
}

function field(name: string, value: number, bits: number): number {
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** bits) {
    throw new RangeError(`${name} ${value} does not fit ${bits} bits`);
  }
  return value;
}

function bytesOf(...values: number[]): Uint8Array {
  return Uint8Array.from(values);
}

function be16(value: number): Uint8Array {
  return bytesOf(value >>> 8, value & 0xff);
}

function be32(value: number): Uint8Array {
  return bytesOf(value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff);
}

function patch16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value & 0xff;
}
