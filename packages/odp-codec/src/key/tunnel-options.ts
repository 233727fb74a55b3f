/** Shapes of the tunnel options with an inside: VXLAN group policy, Geneve options, ERSPAN and GTP-U metadata. */
import { NlReader, type NlWriter } from '../netlink.js';
import { hexOf } from '../text/address.js';
import type { Masked } from '../text/flags.js';
import type { Scanner } from '../text/scanner.js';
import { LENGTH_INVALID, MAX_GENEVE_BYTES, VXLAN_EXT_GBP } from './attributes.js';
import { allBytes, getBe32, getLe16, getLe32, putBe16, putBe32, putLe32 } from './bytes.js';
import { alternateHex, type FieldKind, isUint, printField } from './kind.js';
import { be16, be16x, be32, u8, u8x, u32 } from './kinds.js';
import { badLength, findAttribute, printUnknown, wildcard } from './payload.js';
import { bad, fieldsCodec, isObject, type Span, show } from './shape.js';
import { readHex, wideHex } from './wide-kinds.js';

export interface OptionShape<M = unknown> {
  /** What the text begins with; it ends with a parenthesis, or with two if it opens two. */
  readonly opening: string;
  print(value: Span, mask: Span | undefined, verbose: boolean): string;
  /** Reads what follows the opening, up to the last parenthesis, and appends the attributes. */
  parse(type: number, scan: Scanner, key: NlWriter, mask: NlWriter | undefined): void;
  decode(value: Span): M;
  encode(type: number, model: unknown, out: NlWriter, what: string): void;
}

/** Reads `name=value[/mask]` if the name is there. A mask not given is all ones; a field not given is 0/0. */
function scanNamed(scan: Scanner, name: string, kind: FieldKind<number>): Masked {
  if (!scan.accept(name)) return { value: 0, mask: 0 };
  const value = new Uint8Array(kind.bytes);
  const mask = new Uint8Array(kind.bytes);
  if (!kind.scan(scan, value, 0, mask, 0, true)) scan.fail(kind.expected);
  return { value: kind.toJson(value, 0), mask: kind.toJson(mask, 0) };
}

const joined = (...parts: string[]): string => parts.filter((part) => part !== '').join(',');

/** The VXLAN extension numbers that OVS reserves end here (the GPE flag). */
const VXLAN_EXT_MAX = 8;

function vxlanLength(type: number): number {
  if (type > VXLAN_EXT_MAX) return LENGTH_INVALID;
  return type === VXLAN_EXT_GBP ? 4 : 0;
}

/** One 32-bit word: flags in the upper half, group id in the lower. */
function printGbp(value: number, mask: number | undefined, verbose: boolean): string {
  const split = (word: number): Uint8Array => {
    const parts = new Uint8Array(3);
    putBe16(parts, 0, word & 0xffff);
    parts[2] = word >>> 16;
    return parts;
  };
  const parts = split(value);
  const wild = mask === undefined ? undefined : split(mask);
  const id = printField(be16, 'id=', parts, 0, wild, 0, verbose);
  return `gbp(${joined(id, printField(u8x, 'flags=', parts, 2, wild, 2, verbose))})`;
}

function putVxlan(out: NlWriter, type: number, gbp: number): void {
  const mark = out.begin(type);
  out.u32(VXLAN_EXT_GBP, gbp);
  out.end(mark);
}

export const vxlan: OptionShape<{ gbp: { id: number; flags: number } }> = {
  opening: 'vxlan(gbp(',
  print(value, mask, verbose) {
    let out = '';
    // As for the options of the tunnel itself: a mask that was made for an extension of a wrong length is printed once more.
    let made: Span | undefined;
    const reader = new NlReader(value.bytes, value.at, value.at + value.length);
    while (reader.next()) {
      const { type } = reader;
      const part = { bytes: value.bytes, at: reader.offset, length: reader.length };
      let partMask = mask && findAttribute(mask, type);
      if (mask !== undefined && partMask === undefined) {
        made ??= wildcard(part.length);
        partMask = made;
      }
      const broken = badLength(`key${type}`, part, partMask, vxlanLength(type));
      if (broken !== undefined) {
        out += broken;
        continue;
      }
      made = undefined;
      if (type === VXLAN_EXT_GBP) {
        const wild = partMask && getLe32(partMask.bytes, partMask.at);
        out += `${printGbp(getLe32(part.bytes, part.at), wild, verbose)},`;
      } else {
        out += `${printUnknown(type, part, partMask)},`;
      }
    }
    return out.endsWith(',') ? out.slice(0, -1) : out;
  },
  parse(type, scan, key, mask) {
    const id = scanNamed(scan, 'id=', be16);
    scan.accept(',');
    const flags = scanNamed(scan, 'flags=', u8);
    scan.expect('))');
    const value = (flags.value << 16) | id.value;
    const wild = (flags.mask << 16) | id.mask;
    if (value !== 0) putVxlan(key, type, value);
    if (wild !== 0 && mask !== undefined) putVxlan(mask, type, wild);
  },
  decode(value) {
    const gbp = findAttribute(value, VXLAN_EXT_GBP);
    if (gbp === undefined || gbp.length !== 4 || value.length !== 8)
      throw bad('vxlan must hold one gbp of 4 bytes');
    return { gbp: { id: getLe16(gbp.bytes, gbp.at), flags: getLe16(gbp.bytes, gbp.at + 2) } };
  },
  encode(type, model, out, what) {
    const gbp = isObject(model) ? model.gbp : undefined;
    if (!isObject(gbp) || !isUint(gbp.id, 0xffff) || !isUint(gbp.flags, 0xffff)) {
      throw bad(`${what} must be { gbp: { id: 0..65535; flags: 0..65535 } }, not ${show(model)}`);
    }
    putVxlan(out, type, ((gbp.flags << 16) | gbp.id) >>> 0);
  },
};

/** Class (2 bytes), type, and a byte with the length in words in its low five bits. */
const GENEVE_HEADER = 4;
const GENEVE_MAX_DATA = 124;

function printGeneveOption(value: Span, mask: Span | undefined, verbose: boolean): string {
  const { bytes, at } = value;
  const dataLength = value.length - GENEVE_HEADER;
  const header = Uint8Array.of(bytes[at]!, bytes[at + 1]!, bytes[at + 2]!, dataLength);
  let wild: Uint8Array | undefined;
  if (mask !== undefined) {
    const lengthMask = mask.bytes[mask.at + 3]! & 0x1f;
    wild = mask.bytes.slice(mask.at, mask.at + GENEVE_HEADER);
    wild[3] = lengthMask === 0x1f ? 0xff : lengthMask;
  }
  let data = '';
  if (dataLength > 0) {
    const dataMask = mask && mask.at + GENEVE_HEADER;
    const hidden = mask !== undefined && allBytes(mask.bytes, mask.at + GENEVE_HEADER, dataLength, 0);
    if (verbose || !hidden) {
      data = wideHex(bytes, at + GENEVE_HEADER, dataLength);
      if (mask !== undefined && dataMask !== undefined && !allBytes(mask.bytes, dataMask, dataLength, 0xff)) {
        data += `/${wideHex(mask.bytes, dataMask, dataLength)}`;
      }
    }
  }
  return `{${joined(
    printField(be16x, 'class=', header, 0, wild, 0, verbose),
    printField(u8x, 'type=', header, 2, wild, 2, verbose),
    printField(u8, 'len=', header, 3, wild, 3, verbose),
    data,
  )}}`;
}

/** Reads the inside of one `{...}` into `value[at..]` and `wild[at..]`; returns the length of the option. */
function scanGeneveOption(scan: Scanner, value: Uint8Array, wild: Uint8Array, at: number): number {
  let dataLength = 0;
  const kindAt = scan.position;
  const room = value.length - at - GENEVE_HEADER;
  const optClass = scanNamed(scan, 'class=', be16);
  putBe16(value, at, optClass.value);
  putBe16(wild, at, optClass.mask);
  scan.accept(',');
  const type = scanNamed(scan, 'type=', u8);
  value[at + 2] = type.value;
  wild[at + 2] = type.mask;
  scan.accept(',');
  if (scan.at('len=')) {
    const lengthAt = scan.position;
    const length = scanNamed(scan, 'len=', u8);
    dataLength = length.value;
    if (dataLength > GENEVE_MAX_DATA || dataLength % 4 !== 0 || dataLength > room) {
      scan.fail(`len= and a multiple of 4 up to ${Math.min(GENEVE_MAX_DATA, room)}`, 'EINVAL', lengthAt);
    }
    value[at + 3] = dataLength >> 2;
    wild[at + 3] = length.mask & 0x1f;
  } else {
    // OVS forgets the mask of the type here and keeps the one of the length.
    wild[at + 2] = 0;
    wild[at + 3] = 0x1f;
  }
  const data = at + GENEVE_HEADER;
  wild.fill(0xff, data, data + dataLength);
  if (scan.accept(',')) {
    value.set(scan.need(scan.wide(dataLength), `a number of ${dataLength} bytes`), data);
  }
  if (scan.accept('/')) {
    wild.set(scan.need(scan.wide(dataLength), `a mask of ${dataLength} bytes`), data);
  }
  if (!scan.accept('}')) scan.fail(scan.position === kindAt ? "class=, type=, len=, data or '}'" : "'}'");
  return GENEVE_HEADER + dataLength;
}

export const geneve: OptionShape<string> = {
  opening: 'geneve(',
  print(value, mask, verbose) {
    if (mask !== undefined && mask.length !== value.length) {
      return `value len ${value.length} different from mask len ${mask.length}`;
    }
    let out = '';
    for (let done = 0; done < value.length; ) {
      const left = value.length - done;
      if (left < GENEVE_HEADER) return `${out}opt len ${left} less than minimum ${GENEVE_HEADER}`;
      const length = GENEVE_HEADER + 4 * (value.bytes[value.at + done + 3]! & 0x1f);
      if (length > left) return `${out}opt len ${length} greater than remaining ${left}`;
      const wild = mask && { bytes: mask.bytes, at: mask.at + done, length };
      out += printGeneveOption({ bytes: value.bytes, at: value.at + done, length }, wild, verbose);
      done += length;
    }
    return out;
  },
  parse(type, scan, key, mask) {
    const value = new Uint8Array(MAX_GENEVE_BYTES);
    const wild = new Uint8Array(MAX_GENEVE_BYTES);
    let length = 0;
    while (MAX_GENEVE_BYTES - length >= GENEVE_HEADER && scan.accept('{')) {
      length += scanGeneveOption(scan, value, wild, length);
    }
    if (!scan.accept(')'))
      scan.fail(scan.at('{') ? `at most ${MAX_GENEVE_BYTES} bytes of options` : "'{' or ')'");
    key.put(type, value.subarray(0, length));
    mask?.put(type, wild.subarray(0, length));
  },
  decode(value) {
    if (value.length > MAX_GENEVE_BYTES) {
      throw bad(`Geneve options of ${value.length} bytes: at most ${MAX_GENEVE_BYTES} are possible`);
    }
    return `0x${hexOf(value.bytes, value.at, value.length)}`;
  },
  encode(type, model, out, what) {
    const length = typeof model === 'string' ? (model.length - 2) / 2 : -1;
    const payload = new Uint8Array(
      Number.isInteger(length) && length >= 0 && length <= MAX_GENEVE_BYTES ? length : 0,
    );
    const good = length === 0 ? model === '0x' : payload.length > 0 && readHex(model, payload, 0, length);
    if (!good) {
      throw bad(
        `${what} must be '0x' and up to ${MAX_GENEVE_BYTES} bytes in hexadecimal, not ${show(model)}`,
      );
    }
    out.put(type, payload);
  },
};

/** Version in host order; then the session index of version 1, or timestamp, group and `md2` of version 2. */
const ERSPAN_BYTES = 12;
const erspanFields = fieldsCodec(ERSPAN_BYTES, (field) => ({
  version: field(u32, 0),
  index: field(be32, 4),
  sgt: field(be16, 8),
  md2: field(be16, 10),
}));
/** The last byte: hardware id in the upper four bits, direction below. The upper two bits of the id have no text. */
const AT_MD2 = 11;

function printBits(
  name: string,
  value: number,
  mask: number | undefined,
  show: (n: number) => string,
  verbose: boolean,
): string {
  if (mask === undefined) return `${name}=${show(value)}`;
  return mask === 0 && !verbose ? '' : `${name}=${show(value)}/${alternateHex(mask)}`;
}

/** The first bytes of an attribute. A shorter one is read on into what follows, as OVS does. */
function head(value: Span, length: number): Uint8Array {
  const out = new Uint8Array(length);
  for (let i = 0; i < length; i++) out[i] = value.bytes[value.at + i] ?? 0;
  return out;
}

export const erspan: OptionShape = {
  opening: 'erspan(',
  print(value, mask, verbose) {
    const opts = head(value, ERSPAN_BYTES);
    const wild = mask && head(mask, ERSPAN_BYTES);
    const ver = printField(u8, 'ver=', opts, 0, wild, 0, verbose);
    const version = getLe32(opts, 0);
    if (version === 1) {
      const index = alternateHex(getBe32(opts, 4));
      return joined(ver, `idx=${index}${wild === undefined ? '' : `/${alternateHex(getBe32(wild, 4))}`}`);
    }
    if (version !== 2) return ver;
    const md2 = opts[AT_MD2]!;
    const md2Mask = wild?.[AT_MD2];
    return joined(
      ver,
      printBits(
        'dir',
        (md2 >> 3) & 1,
        md2Mask === undefined ? undefined : (md2Mask >> 3) & 1,
        String,
        verbose,
      ),
      printBits('hwid', md2 >> 4, md2Mask === undefined ? undefined : md2Mask >> 4, alternateHex, verbose),
    );
  },
  parse(type, scan, key, mask) {
    const opts = new Uint8Array(ERSPAN_BYTES);
    const wild = new Uint8Array(ERSPAN_BYTES).fill(0xff);
    const start = scan.position;
    const { value: version } = scanNamed(scan, 'ver=', u8);
    scan.accept(',');
    if (version !== 1 && version !== 2) scan.fail('ver=1 or ver=2', 'EINVAL', start);
    if (version === 1) {
      const index = scanNamed(scan, 'idx=', be32);
      if (scan.accept(')')) {
        putLe32(opts, 0, version);
        putBe32(opts, 4, index.value);
        putBe32(wild, 4, index.mask);
      }
    } else {
      const dir = scanNamed(scan, 'dir=', u8);
      scan.accept(',');
      const hwid = scanNamed(scan, 'hwid=', u8);
      if (scan.accept(')')) {
        putLe32(opts, 0, version);
        opts[AT_MD2] = ((hwid.value & 0xf) << 4) | ((dir.value & 1) << 3);
        wild[AT_MD2] = ((hwid.mask & 0xf) << 4) | ((dir.mask & 1) << 3) | 7;
      }
    }
    // Without its closing parenthesis OVS takes the option as zeros and reads on.
    key.put(type, opts);
    mask?.put(type, wild);
  },
  decode(value) {
    if (value.length !== ERSPAN_BYTES)
      throw bad(`erspan must be ${ERSPAN_BYTES} bytes long, not ${value.length}`);
    return erspanFields.decode(value);
  },
  encode: erspanFields.encode,
};

const GTPU_BYTES = 2;
const gtpuFields = fieldsCodec(GTPU_BYTES, (field) => ({ flags: field(u8x, 0), msgtype: field(u8, 1) }));

export const gtpu: OptionShape = {
  opening: 'gtpu(',
  print(value, mask, verbose) {
    const opts = head(value, GTPU_BYTES);
    const wild = mask && head(mask, GTPU_BYTES);
    return joined(
      ...gtpuFields.fields.map(({ label, at, kind }) => printField(kind, label, opts, at, wild, at, verbose)),
    );
  },
  parse(type, scan, key, mask) {
    const opts = new Uint8Array(GTPU_BYTES);
    const wild = new Uint8Array(GTPU_BYTES).fill(0xff);
    const start = scan.position;
    const flags = scanNamed(scan, 'flags=', u8);
    scan.accept(',');
    const msgtype = scanNamed(scan, 'msgtype=', u8);
    if (scan.accept(')')) {
      opts.set([flags.value, msgtype.value]);
      wild.set([flags.mask, msgtype.mask]);
    }
    // As for ERSPAN: an option that is not closed counts as zeros.
    if (scan.position === start) scan.fail("flags=, msgtype= or ')'");
    key.put(type, opts);
    mask?.put(type, wild);
  },
  decode(value) {
    if (value.length !== GTPU_BYTES) throw bad(`gtpu must be ${GTPU_BYTES} bytes long, not ${value.length}`);
    return gtpuFields.decode(value);
  },
  encode: gtpuFields.encode,
};
