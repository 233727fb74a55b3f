/** The TUNNEL attribute and the tunnel words of a packed row. */
import {
  MAX_GENEVE_BYTES,
  TUN_F_CSUM,
  TUN_F_DF,
  TUN_F_KEY,
  TUN_F_OAM,
  TUNNEL_ATTR,
  VXLAN_EXT_GBP,
} from '../key/attributes.js';
import { getBe16, getBe32, getLe32, putBe32, putLe32 } from '../key/bytes.js';
import { tunnelLength } from '../key/tunnel-lengths.js';
import { NlReader, type NlWriter } from '../netlink.js';
import {
  W_TUN_DST,
  W_TUN_ERSPAN_GTPU,
  W_TUN_ERSPAN_IDX,
  W_TUN_FLAGS_TOS_TTL,
  W_TUN_GBP_ERSPAN,
  W_TUN_GNV,
  W_TUN_GNV_LEN,
  W_TUN_ID,
  W_TUN_IPV6_DST,
  W_TUN_IPV6_SRC,
  W_TUN_SRC,
  W_TUN_TP,
} from './fields.js';
import { type FitnessResult, failed, PERFECT, TOO_MUCH } from './fitness.js';

const ERSPAN_BYTES = 12;

/** Four words, big-endian. */
export function readIpv6(bytes: Uint8Array, at: number, words: Int32Array, word: number): void {
  for (let i = 0; i < 4; i++) words[word + i] = getBe32(bytes, at + 4 * i);
}

export function writeIpv6(words: Int32Array, word: number, bytes: Uint8Array, at: number): void {
  for (let i = 0; i < 4; i++) putBe32(bytes, at + 4 * i, words[word + i]!);
}

export const isIpv6Set = (words: Int32Array, word: number): boolean =>
  (words[word]! | words[word + 1]! | words[word + 2]! | words[word + 3]!) !== 0;

/** A tunnel is there if its destination is. */
export const hasTunnel = (words: Int32Array, base: number): boolean =>
  words[base + W_TUN_DST] !== 0 || isIpv6Set(words, base + W_TUN_IPV6_DST);

/** Whether either end of a tunnel is there: then a key has the attribute. */
export const hasTunnelEnd = (words: Int32Array, base: number): boolean =>
  hasTunnel(words, base) || words[base + W_TUN_SRC] !== 0 || isIpv6Set(words, base + W_TUN_IPV6_SRC);

const reader = new NlReader(new Uint8Array(0));
const inner = new NlReader(new Uint8Array(0));

/** The last group policy word among the VXLAN extensions, or -1 when OVS would refuse them. */
function readGbp(bytes: Uint8Array, start: number, end: number): number {
  let at = -1;
  inner.reset(bytes, start, end);
  while (inner.next()) {
    if (inner.type !== VXLAN_EXT_GBP) continue;
    if (inner.length !== 4) return -1;
    at = inner.offset;
  }
  return inner.leftover > 0 ? -1 : at;
}

/**
 * Reads the attribute in `bytes[start, end)` into the tunnel words of the row at `base`, which must be zero. A mask
 * that has Geneve options matches their total length exactly.
 */
export function tunnelToFlow(
  bytes: Uint8Array,
  start: number,
  end: number,
  words: Int32Array,
  base: number,
  isMask: boolean,
): FitnessResult {
  let flags = 0;
  let tos = 0;
  let ttl = -1;
  let unknown = false;
  reader.reset(bytes, start, end);
  while (reader.next()) {
    const { type, offset: at, length } = reader;
    const expected = tunnelLength(type);
    if (expected >= 0 && length !== expected) {
      return failed(`tunnel option ${type} must be ${expected} bytes long, not ${length}`);
    }
    switch (type) {
      case TUNNEL_ATTR.ID:
        words[base + W_TUN_ID] = getBe32(bytes, at);
        words[base + W_TUN_ID + 1] = getBe32(bytes, at + 4);
        flags |= TUN_F_KEY;
        break;
      case TUNNEL_ATTR.IPV4_SRC:
        words[base + W_TUN_SRC] = getBe32(bytes, at);
        break;
      case TUNNEL_ATTR.IPV4_DST:
        words[base + W_TUN_DST] = getBe32(bytes, at);
        break;
      case TUNNEL_ATTR.IPV6_SRC:
        readIpv6(bytes, at, words, base + W_TUN_IPV6_SRC);
        break;
      case TUNNEL_ATTR.IPV6_DST:
        readIpv6(bytes, at, words, base + W_TUN_IPV6_DST);
        break;
      case TUNNEL_ATTR.TOS:
        tos = bytes[at]!;
        break;
      case TUNNEL_ATTR.TTL:
        ttl = bytes[at]!;
        break;
      case TUNNEL_ATTR.DONT_FRAGMENT:
        flags |= TUN_F_DF;
        break;
      case TUNNEL_ATTR.CSUM:
        flags |= TUN_F_CSUM;
        break;
      case TUNNEL_ATTR.OAM:
        flags |= TUN_F_OAM;
        break;
      case TUNNEL_ATTR.TP_SRC:
        words[base + W_TUN_TP] = (words[base + W_TUN_TP]! & 0xffff) | (getBe16(bytes, at) << 16);
        break;
      case TUNNEL_ATTR.TP_DST:
        words[base + W_TUN_TP] = (words[base + W_TUN_TP]! & ~0xffff) | getBe16(bytes, at);
        break;
      case TUNNEL_ATTR.VXLAN_OPTS: {
        const gbpAt = readGbp(bytes, at, at + length);
        if (gbpAt < 0) return failed('tunnel option vxlan must hold one gbp of 4 bytes');
        const gbp = getLe32(bytes, gbpAt);
        const version = words[base + W_TUN_GBP_ERSPAN]! & 0xff;
        words[base + W_TUN_GBP_ERSPAN] = (gbp << 16) | ((gbp >>> 8) & 0xff00) | version;
        break;
      }
      case TUNNEL_ATTR.GENEVE_OPTS:
        if (length > MAX_GENEVE_BYTES) {
          return failed(`tunnel option geneve holds at most ${MAX_GENEVE_BYTES} bytes, not ${length}`);
        }
        words[base + W_TUN_GNV_LEN] = isMask ? 0xffff_0000 | 0 : (1 << 24) | (length << 16);
        readGeneve(bytes, at, length, words, base + W_TUN_GNV);
        break;
      case TUNNEL_ATTR.ERSPAN_OPTS:
        readErspan(bytes, at, words, base);
        break;
      case TUNNEL_ATTR.GTPU_OPTS:
        // A shorter attribute is read on into what follows, as OVS does.
        words[base + W_TUN_ERSPAN_GTPU] =
          (words[base + W_TUN_ERSPAN_GTPU]! & ~0xffff) | ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
        break;
      default:
        unknown = true;
    }
  }
  words[base + W_TUN_FLAGS_TOS_TTL] = (flags << 16) | (tos << 8) | Math.max(ttl, 0);
  if (ttl < 0) return failed('the tunnel has no ttl');
  return unknown ? TOO_MUCH : PERFECT;
}

function readGeneve(bytes: Uint8Array, at: number, length: number, words: Int32Array, word: number): void {
  const full = length & ~3;
  for (let i = 0; i < full; i += 4) words[word + (i >> 2)] = getBe32(bytes, at + i);
  let last = 0;
  for (let i = full; i < length; i++) last |= bytes[at + i]! << (24 - 8 * (i - full));
  if (length > full) words[word + (full >> 2)] = last;
}

/** Only what the version has: an index, or direction and hardware id. A short attribute is read on into what follows. */
function readErspan(bytes: Uint8Array, at: number, words: Int32Array, base: number): void {
  const byte = (i: number): number => bytes[at + i] ?? 0;
  const version = byte(0);
  words[base + W_TUN_GBP_ERSPAN] = (words[base + W_TUN_GBP_ERSPAN]! & ~0xff) | version;
  if (version === 1) {
    words[base + W_TUN_ERSPAN_IDX] = (byte(4) << 24) | (byte(5) << 16) | (byte(6) << 8) | byte(7);
  } else if (version === 2) {
    const direction = (byte(11) >> 3) & 1;
    const hardware = ((byte(10) & 3) << 4) | (byte(11) >> 4);
    words[base + W_TUN_ERSPAN_GTPU] =
      (words[base + W_TUN_ERSPAN_GTPU]! & 0xffff) | (direction << 24) | (hardware << 16);
  }
}

/**
 * Appends the TUNNEL attribute for the row at `base`. `flow`/`flowBase` is the key when the row is a mask (then the
 * Geneve options are as long as the key's), otherwise the row itself.
 */
export function tunnelFromFlow(
  type: number,
  words: Int32Array,
  base: number,
  flow: Int32Array,
  flowBase: number,
  out: NlWriter,
): void {
  const mark = out.begin(type);
  const fixed = words[base + W_TUN_FLAGS_TOS_TTL]!;
  const flags = fixed >>> 16;
  // A mask may have a tun_id without the flag.
  if ((words[base + W_TUN_ID]! | words[base + W_TUN_ID + 1]!) !== 0 || (flags & TUN_F_KEY) !== 0) {
    const at = out.reserve(TUNNEL_ATTR.ID, 8);
    const bytes = out.memory;
    putBe32(bytes, at, words[base + W_TUN_ID]!);
    putBe32(bytes, at + 4, words[base + W_TUN_ID + 1]!);
  }
  if (words[base + W_TUN_SRC] !== 0) out.be32(TUNNEL_ATTR.IPV4_SRC, words[base + W_TUN_SRC]!);
  if (words[base + W_TUN_DST] !== 0) out.be32(TUNNEL_ATTR.IPV4_DST, words[base + W_TUN_DST]!);
  if (isIpv6Set(words, base + W_TUN_IPV6_SRC)) {
    const at = out.reserve(TUNNEL_ATTR.IPV6_SRC, 16);
    writeIpv6(words, base + W_TUN_IPV6_SRC, out.memory, at);
  }
  if (isIpv6Set(words, base + W_TUN_IPV6_DST)) {
    const at = out.reserve(TUNNEL_ATTR.IPV6_DST, 16);
    writeIpv6(words, base + W_TUN_IPV6_DST, out.memory, at);
  }
  if ((fixed & 0xff00) !== 0) out.u8(TUNNEL_ATTR.TOS, (fixed >>> 8) & 0xff);
  out.u8(TUNNEL_ATTR.TTL, fixed & 0xff);
  if ((flags & TUN_F_DF) !== 0) out.flag(TUNNEL_ATTR.DONT_FRAGMENT);
  if ((flags & TUN_F_CSUM) !== 0) out.flag(TUNNEL_ATTR.CSUM);
  const ports = words[base + W_TUN_TP]!;
  if (ports >>> 16 !== 0) out.be16(TUNNEL_ATTR.TP_SRC, ports >>> 16);
  if ((ports & 0xffff) !== 0) out.be16(TUNNEL_ATTR.TP_DST, ports & 0xffff);
  if ((flags & TUN_F_OAM) !== 0) out.flag(TUNNEL_ATTR.OAM);
  optionsFromFlow(words, base, flow, flowBase, out);
  out.end(mark);
}

function optionsFromFlow(
  words: Int32Array,
  base: number,
  flow: Int32Array,
  flowBase: number,
  out: NlWriter,
): void {
  const gbp = words[base + W_TUN_GBP_ERSPAN]!;
  if (gbp >>> 8 !== 0) {
    const mark = out.begin(TUNNEL_ATTR.VXLAN_OPTS);
    out.u32(VXLAN_EXT_GBP, ((gbp & 0xff00) << 8) | (gbp >>> 16));
    out.end(mark);
  }
  const geneve = flow[flowBase + W_TUN_GNV_LEN]!;
  if (geneve >>> 24 !== 0) {
    const length = (geneve >>> 16) & 0xff;
    const at = out.reserve(TUNNEL_ATTR.GENEVE_OPTS, length);
    const bytes = out.memory;
    for (let i = 0; i < length; i++) {
      bytes[at + i] = words[base + W_TUN_GNV + (i >> 2)]! >>> (24 - 8 * (i & 3));
    }
  }
  const version = gbp & 0xff;
  const options = words[base + W_TUN_ERSPAN_GTPU]!;
  if (version === 1 || version === 2) {
    const at = out.reserve(TUNNEL_ATTR.ERSPAN_OPTS, ERSPAN_BYTES);
    const bytes = out.memory;
    putLe32(bytes, at, version);
    if (version === 1) {
      putBe32(bytes, at + 4, words[base + W_TUN_ERSPAN_IDX]!);
    } else {
      const hardware = (options >>> 16) & 0xff;
      bytes[at + 10] = (hardware >> 4) & 3;
      bytes[at + 11] = ((hardware & 0xf) << 4) | (((options >>> 24) & 1) << 3);
    }
  }
  if ((options & 0xff00) !== 0 && (options & 0xff) !== 0) {
    const at = out.reserve(TUNNEL_ATTR.GTPU_OPTS, 2);
    const bytes = out.memory;
    bytes[at] = options >>> 8;
    bytes[at + 1] = options;
  }
}
