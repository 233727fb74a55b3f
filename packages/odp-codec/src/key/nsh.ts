/** The shape of the NSH attribute: nested base and context, printed as one list of fields. */
import { NlReader, type NlWriter } from '../netlink.js';
import { LENGTH_INVALID, LENGTH_VARIABLE, NSH_ATTR } from './attributes.js';
import { getBe32 } from './bytes.js';
import { be24, be32, u8 } from './kinds.js';
import { badLength, findAttribute } from './payload.js';
import {
  bad,
  endsList,
  type Field,
  fieldNames,
  fieldsOf,
  isObject,
  putField,
  type Shape,
  type Span,
  show,
} from './shape.js';

const NSH_BASE = 8;
const NSH_CONTEXT = 16;
const MDTYPE_1 = 1;

/** Offsets in the buffer that holds a whole NSH key: the base, then the context words of metadata type 1. */
const AT_MDTYPE = 2;
const AT_SPI = 4;
const AT_SI = 7;

const nshFields = fieldsOf((field) => ({
  flags: field(u8, 0),
  ttl: field(u8, 1),
  mdtype: field(u8, AT_MDTYPE),
  np: field(u8, 3),
  spi: field(be24, AT_SPI),
  si: field(u8, AT_SI),
  c1: field(be32, NSH_BASE),
  c2: field(be32, NSH_BASE + 4),
  c3: field(be32, NSH_BASE + 8),
  c4: field(be32, NSH_BASE + 12),
}));
const NSH_NAMES = fieldNames(nshFields, false);

/** Payload length of an attribute inside an NSH key, as OVS's table has it. */
export function nshLength(type: number): number {
  if (type === NSH_ATTR.UNSPEC) return 0;
  if (type === NSH_ATTR.BASE) return NSH_BASE;
  if (type === NSH_ATTR.MD1) return NSH_CONTEXT;
  return type === NSH_ATTR.MD2 ? LENGTH_VARIABLE : LENGTH_INVALID;
}

/** Gathers base and context of an NSH key into 24 bytes; returns the texts of what has a wrong length. */
function gatherNsh(value: Span, mask: Span | undefined, nsh: Uint8Array, wild: Uint8Array): string {
  let broken = '';
  const reader = new NlReader(value.bytes, value.at, value.at + value.length);
  while (reader.next()) {
    const { type } = reader;
    const part = { bytes: value.bytes, at: reader.offset, length: reader.length };
    const partMask = mask && findAttribute(mask, type);
    const wrong = badLength(`key${type}`, part, partMask, nshLength(type));
    if (wrong !== undefined) {
      broken += wrong;
    } else if (type === NSH_ATTR.BASE || type === NSH_ATTR.MD1) {
      const at = type === NSH_ATTR.BASE ? 0 : NSH_BASE;
      for (let i = 0; i < part.length; i++) {
        nsh[at + i] = part.bytes[part.at + i]!;
        if (partMask !== undefined) wild[at + i] = partMask.bytes[partMask.at + i]!;
      }
    }
  }
  return broken;
}

const hex = (value: number, digits = 0): string => `0x${value.toString(16).padStart(digits, '0')}`;

function printNshExact(nsh: Uint8Array): string {
  const spi = getBe32(nsh, AT_SPI) >>> 8;
  let out = `flags=${nsh[0]},ttl=${nsh[1]},mdtype=${nsh[2]},np=${nsh[3]},spi=${hex(spi)},si=${nsh[AT_SI]}`;
  if (nsh[AT_MDTYPE] !== MDTYPE_1) return out;
  for (let i = 0; i < 4; i++) out += `,c${i + 1}=${hex(getBe32(nsh, NSH_BASE + 4 * i))}`;
  return out;
}

/** Wildcarded fields are left out whether the text is verbose or not. */
function printNshMasked(nsh: Uint8Array, wild: Uint8Array): string {
  const out: string[] = [];
  const small = (name: string, at: number): void => {
    if (wild[at] === 0xff) out.push(`${name}=${nsh[at]}`);
    else if (wild[at] !== 0) out.push(`${name}=${hex(nsh[at]!, 2)}/${hex(wild[at]!, 2)}`);
  };
  const large = (name: string, value: number, mask: number, full: number): void => {
    if (mask === full) out.push(`${name}=${hex(value)}`);
    else if (mask !== 0) out.push(`${name}=${hex(value)}/${hex(mask, 8)}`);
  };
  small('flags', 0);
  small('ttl', 1);
  small('mdtype', AT_MDTYPE);
  small('np', 3);
  large('spi', getBe32(nsh, AT_SPI) >>> 8, getBe32(wild, AT_SPI) >>> 8, 0xffffff);
  small('si', AT_SI);
  for (let i = 0; i < 4; i++) {
    const at = NSH_BASE + 4 * i;
    large(`c${i + 1}`, getBe32(nsh, at), getBe32(wild, at), 0xffff_ffff);
  }
  return out.join(',');
}

/** Appends an NSH key; a mask always has the context words. */
function putNsh(out: NlWriter, type: number, nsh: Uint8Array, context: boolean): void {
  const mark = out.begin(type);
  out.put(NSH_ATTR.BASE, nsh.subarray(0, NSH_BASE));
  if (context) out.put(NSH_ATTR.MD1, nsh.subarray(NSH_BASE));
  out.end(mark);
}

export interface NshModel {
  flags: number;
  ttl: number;
  mdtype: number;
  np: number;
  /** 24 bits. */
  spi: number;
  si: number;
  /** Context words of metadata type 1; all four or none. */
  c1?: number;
  c2?: number;
  c3?: number;
  c4?: number;
}

/**
 * A network service header of metadata type 1. OVS prints it but reads it never (after a good `nsh(...)` its parser
 * goes on to want `encap(`), so a strict parse refuses it.
 */
export const nsh: Shape<NshModel> = {
  print(value, mask) {
    const whole = new Uint8Array(NSH_BASE + NSH_CONTEXT);
    const wild = new Uint8Array(NSH_BASE + NSH_CONTEXT).fill(0xff);
    const broken = gatherNsh(value, mask, whole, wild);
    return broken + (mask === undefined ? printNshExact(whole) : printNshMasked(whole, wild));
  },
  parse(type, scan, key, mask, { options }) {
    if (options.strict) scan.fail('what Open vSwitch reads', 'EINVAL', scan.position - 'nsh('.length);
    const whole = new Uint8Array(NSH_BASE + NSH_CONTEXT);
    const wild = new Uint8Array(NSH_BASE + NSH_CONTEXT);
    let context = false;
    let found: Field | undefined;
    do {
      found = NSH_NAMES.take(scan);
      if (found === undefined) continue;
      const { at, kind } = found;
      if (at >= NSH_BASE) context = true;
      if (!kind.scan(scan, whole, at, mask && wild, at, false)) scan.fail(kind.expected);
    } while (!endsList(scan, found !== undefined, 'flags=, ttl=, mdtype=, np=, spi=, si=, c1= .. c4='));
    putNsh(key, type, whole, context || whole[AT_MDTYPE] === MDTYPE_1);
    if (mask !== undefined) putNsh(mask, type, wild, true);
  },
  decode(value) {
    const reader = new NlReader(value.bytes, value.at, value.at + value.length);
    const base = reader.next() && reader.type === NSH_ATTR.BASE && reader.length === NSH_BASE;
    if (!base) throw bad('nsh must begin with its base of 8 bytes');
    const { bytes, offset: at } = reader;
    const path = getBe32(bytes, at + AT_SPI);
    const model: NshModel = {
      flags: bytes[at]!,
      ttl: bytes[at + 1]!,
      mdtype: bytes[at + AT_MDTYPE]!,
      np: bytes[at + 3]!,
      spi: path >>> 8,
      si: path & 0xff,
    };
    if (reader.next()) {
      if (reader.type !== NSH_ATTR.MD1 || reader.length !== NSH_CONTEXT || reader.next()) {
        throw bad('nsh can hold a base and 16 bytes of context, nothing else');
      }
      const context = at + NSH_BASE + 4;
      model.c1 = getBe32(bytes, context);
      model.c2 = getBe32(bytes, context + 4);
      model.c3 = getBe32(bytes, context + 8);
      model.c4 = getBe32(bytes, context + 12);
    }
    if (reader.leftover !== 0) throw bad('nsh ends in the middle of an attribute');
    return model;
  },
  encode(type, model, out, what) {
    if (!isObject(model)) throw bad(`${what} must be an object, not ${show(model)}`);
    const whole = new Uint8Array(NSH_BASE + NSH_CONTEXT);
    const context = model.c1 !== undefined;
    for (const { name, at, kind } of nshFields) {
      if (at >= NSH_BASE && !context) continue;
      putField(kind, model[name], whole, at, what, name);
    }
    putNsh(out, type, whole, context);
  },
  text: 'flags=..,ttl=..,mdtype=..,np=..,spi=..,si=..[,c1=..,c2=..,c3=..,c4=..]',
};
