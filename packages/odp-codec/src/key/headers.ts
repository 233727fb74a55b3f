/** Shapes of the attributes that are neither one value nor a plain struct: ports, flag sets, VLAN and MPLS. */

import type { NlWriter } from '../netlink.js';
import {
  CT_STATE_NAMES,
  type FlagNames,
  printFlags,
  printMaskedFlags,
  scanFlags,
  TCP_FLAG_NAMES,
} from '../text/flags.js';
import { MAX_MPLS_LABELS, VLAN_CFI } from './attributes.js';
import { type BitField, bitNames, bitsOf, maskOf, putBits, scanBitField } from './bits.js';
import { getBe16, getBe32, getLe32, putBe32 } from './bytes.js';
import { alternateHex, isUint } from './kind.js';
import { u32 } from './kinds.js';
import { bad, endsList, type Shape, scanValue, show, value } from './shape.js';

/** A datapath port: by number, or by name where the options know names. A partial mask shows the number. */
export const port: Shape<number> = {
  ...value(u32),
  print(value, mask, exact, { portName }) {
    const no = getLe32(value.bytes, value.at);
    if (exact || mask === undefined) return portName?.(no) ?? no.toString();
    return `${no}/${alternateHex(getLe32(mask.bytes, mask.at))}`;
  },
  parse(type, scan, key, mask, { options }) {
    const mark = key.length;
    const maskMark = mask?.length ?? 0;
    if (!scanValue(type, u32, scan, key, mask, true)) {
      const name = scan.until(')');
      const wanted =
        options.portNumber === undefined ? 'a port number' : 'a port number or the name of a port';
      const known = scan.need(options.portNumber?.(name), wanted);
      key.rewind(mark);
      key.u32(type, known);
      mask?.rewind(maskMark);
      mask?.u32(type, 0xffff_ffff);
      scan.position += name.length;
    }
    scan.expect(')');
  },
};

interface FlagLayout {
  readonly names: FlagNames;
  readonly bytes: 2 | 4;
  /** Bits that a text may name. */
  readonly allowed: number;
  /** The mask that counts as all bits. */
  readonly full: number;
  /** Whether verbose text is numeric. */
  readonly numeric: boolean;
}

function flags({ names, bytes, allowed, full, numeric }: FlagLayout): Shape<number> {
  const get = bytes === 2 ? getBe16 : getLe32;
  const max = 2 ** (8 * bytes) - 1;
  const put = (out: NlWriter, type: number, value: number): void =>
    bytes === 2 ? out.be16(type, value) : out.u32(type, value);
  const expected = `flags of ${names.join(', ')}`;
  return {
    print(value, mask, exact, { verbose }) {
      const bits = get(value.bytes, value.at);
      const wild = exact || mask === undefined ? undefined : get(mask.bytes, mask.at);
      if (verbose && numeric)
        return alternateHex(bits) + (wild === undefined ? '' : `/${alternateHex(wild)}`);
      return wild === undefined
        ? printFlags(names, bits)
        : printMaskedFlags(names, bits, (wild & full) >>> 0, full);
    },
    parse(type, scan, key, mask) {
      // No flags at all are fewer than the text needs; those of a tunnel may be none.
      if (scan.at(')')) scan.fail(expected);
      const found = scan.need(scanFlags(scan, names, ')', allowed, true), expected);
      scan.expect(')');
      put(key, type, found.value);
      if (mask !== undefined) put(mask, type, found.mask);
    },
    decode: (value) => get(value.bytes, value.at),
    encode(type, model, out, what) {
      if (!isUint(model, max)) throw bad(`${what} must be a number 0..${max}, not ${show(model)}`);
      put(out, type, model);
    },
    text: 'a|b, +a-b or value/mask',
  };
}

export const tcpFlags = flags({
  names: TCP_FLAG_NAMES,
  bytes: 2,
  allowed: 0xfff,
  full: 0xfff,
  numeric: false,
});
export const ctState = flags({
  names: CT_STATE_NAMES,
  bytes: 4,
  allowed: 0xff,
  full: 0xffff_ffff,
  numeric: true,
});

const VID = { name: 'vid', shift: 0, bits: 12 } as const;
const PCP = { name: 'pcp', shift: 13, bits: 3 } as const;
const CFI = { name: 'cfi', shift: 12, bits: 1 } as const;
const TCI_PARTS = [VID, PCP, CFI] as const;
const TCI_NAMES = bitNames(TCI_PARTS);

export interface VlanModel {
  vid: number;
  pcp: number;
  /** 1 for a tag that is there. */
  cfi: number;
}

/** `vlan(vid=10,pcp=3)`: the CFI bit is set, and exact, unless the text says otherwise. */
export const vlan: Shape<VlanModel> = {
  print(value, mask, _exact, { verbose }) {
    const tci = getBe16(value.bytes, value.at);
    const wild = mask === undefined ? 0xffff : getBe16(mask.bytes, mask.at);
    const parts: string[] = [];
    for (const part of [VID, PCP]) {
      const bits = bitsOf(tci, part);
      const maskBits = bitsOf(wild, part);
      if (!verbose && bits === 0 && maskBits === 0) continue;
      parts.push(`${part.name}=${bits}${maskBits === maskOf(part) ? '' : `/0x${maskBits.toString(16)}`}`);
    }
    if ((tci & VLAN_CFI) === 0) parts.push('cfi=0');
    return parts.join(',');
  },
  parse(type, scan, key, mask) {
    let tci = VLAN_CFI;
    let wild = VLAN_CFI;
    let part: BitField | undefined;
    do {
      part = TCI_PARTS[TCI_NAMES.take(scan) ?? -1];
      if (part !== undefined) [tci, wild] = scanBitField(scan, 0xffff, part, tci, mask && wild);
    } while (!endsList(scan, part !== undefined, 'vid=, pcp=, cfi='));
    key.be16(type, tci);
    mask?.be16(type, wild);
  },
  decode(value) {
    const tci = getBe16(value.bytes, value.at);
    return { vid: bitsOf(tci, VID), pcp: bitsOf(tci, PCP), cfi: bitsOf(tci, CFI) };
  },
  encode: (type, model, out, what) => out.be16(type, putBits(model, TCI_PARTS, what)),
  text: 'vid=..,pcp=..,cfi=..',
};

const LSE_PARTS = [
  { name: 'label', shift: 12, bits: 20 },
  { name: 'tc', shift: 9, bits: 3 },
  { name: 'ttl', shift: 0, bits: 8 },
  { name: 'bos', shift: 8, bits: 1 },
] as const;
const LSE_NAMES = bitNames(LSE_PARTS);

export interface MplsModel {
  label: number;
  tc: number;
  ttl: number;
  bos: number;
}

function printLse(lse: number, wild: number | undefined): string {
  const [label, tc, ttl, bos] = LSE_PARTS.map((part) => bitsOf(lse, part));
  if (wild === undefined) return `label=${label},tc=${tc},ttl=${ttl},bos=${bos}`;
  const [labelMask, tcMask, ttlMask, bosMask] = LSE_PARTS.map((part) => bitsOf(wild, part).toString(16));
  return `label=${label}/0x${labelMask},tc=${tc}/${tcMask},ttl=${ttl}/0x${ttlMask},bos=${bos}/${bosMask}`;
}

/** A label stack, outermost first: a field that comes again starts the next label. */
export const mpls: Shape<MplsModel[]> = {
  print(value, mask, exact) {
    // OVS leaves the closing parenthesis of mpls( out after these two texts.
    if (value.length === 0 || value.length % 4 !== 0) return `(bad key length ${value.length}`;
    const wild = exact ? undefined : mask;
    if (wild !== undefined && wild.length !== value.length) {
      return `(key length ${value.length} != mask length ${wild.length}`;
    }
    const out: string[] = [];
    for (let i = 0; i < value.length; i += 4) {
      out.push(printLse(getBe32(value.bytes, value.at + i), wild && getBe32(wild.bytes, wild.at + i)));
    }
    return out.join(',');
  },
  parse(type, scan, key, mask) {
    const stack = new Uint8Array(4 * MAX_MPLS_LABELS);
    const wildcard = new Uint8Array(4 * MAX_MPLS_LABELS);
    let at = 0;
    let seen = 0;
    let part: BitField | undefined;
    do {
      const which = LSE_NAMES.take(scan) ?? -1;
      part = LSE_PARTS[which];
      if (part === undefined) continue;
      if ((seen & (1 << which)) !== 0) {
        seen = 0;
        at += 4;
        if (at === stack.length) scan.fail(`at most ${MAX_MPLS_LABELS} labels`);
      }
      const wildBefore = mask && getBe32(wildcard, at);
      const [lse, wild] = scanBitField(scan, 0xffff_ffff, part, getBe32(stack, at), wildBefore);
      putBe32(stack, at, lse);
      putBe32(wildcard, at, wild);
      seen |= 1 << which;
    } while (!endsList(scan, part !== undefined, 'label=, tc=, ttl=, bos='));
    key.put(type, stack.subarray(0, at + 4));
    mask?.put(type, wildcard.subarray(0, at + 4));
  },
  decode(value) {
    if (value.length === 0 || value.length % 4 !== 0) {
      throw bad(`mpls must be a multiple of 4 bytes long, not ${value.length}`);
    }
    const out: MplsModel[] = [];
    for (let i = 0; i < value.length; i += 4) {
      const lse = getBe32(value.bytes, value.at + i);
      const [label, tc, ttl, bos] = LSE_PARTS;
      out.push({
        label: bitsOf(lse, label),
        tc: bitsOf(lse, tc),
        ttl: bitsOf(lse, ttl),
        bos: bitsOf(lse, bos),
      });
    }
    return out;
  },
  encode(type, model, out, what) {
    if (!Array.isArray(model) || model.length === 0) throw bad(`${what} must be a list of labels`);
    const stack = new Uint8Array(4 * model.length);
    model.forEach((label: unknown, i) => {
      putBe32(stack, 4 * i, putBits(label, LSE_PARTS, `${what}[${i}]`));
    });
    out.put(type, stack);
  },
  text: 'label=..,tc=..,ttl=..,bos=..[,label=..]',
};
