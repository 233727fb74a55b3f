/**
 * The shape of the TUNNEL attribute: one row per option. Plain options are one value, flag options are attributes
 * without payload that print together as `flags(...)`, and the options of VXLAN, Geneve, ERSPAN and GTP-U have shapes
 * of their own in `tunnel-options.ts`.
 */
import { NlReader, type NlWriter } from '../netlink.js';
import { printFlags, printMaskedFlags, scanFlags, TUNNEL_FLAG_NAMES } from '../text/flags.js';
import { Keywords } from '../text/keywords.js';
import type { Scanner } from '../text/scanner.js';
import { LENGTH_NESTED, TUN_F_CSUM, TUN_F_DF, TUN_F_KEY, TUN_F_OAM, TUNNEL_ATTR } from './attributes.js';
import { type FieldKind, printField } from './kind.js';
import { be16, u8, u8x } from './kinds.js';
import { badLength, findAttribute, printUnknown, wildcard } from './payload.js';
import {
  bad,
  endNested,
  endsList,
  isObject,
  putField,
  type Shape,
  type Span,
  scanValue,
  show,
} from './shape.js';
import { tunnelLength } from './tunnel-lengths.js';
import { erspan, geneve, gtpu, type OptionShape, vxlan } from './tunnel-options.js';
import { be64, ipv4, ipv6 } from './wide-kinds.js';

interface PlainRow {
  readonly type: number;
  readonly kind: FieldKind;
}
interface FlagRow {
  readonly type: number;
  readonly flag: number;
}
interface OptionRow {
  readonly type: number;
  readonly option: OptionShape;
}
type Row = PlainRow | FlagRow | OptionRow;

/** The model of a tunnel; the order of the properties is the order of the attributes. */
export interface TunnelModel {
  /** `0x..`, 64 bits. */
  tun_id?: string;
  src?: string;
  dst?: string;
  ipv6_src?: string;
  ipv6_dst?: string;
  tos?: number;
  ttl?: number;
  df?: true;
  csum?: true;
  tp_src?: number;
  tp_dst?: number;
  oam?: true;
  vxlan?: { gbp: { id: number; flags: number } };
  /** `0x..`: the options as on the wire. */
  geneve?: string;
  /** `index` is the session index of version 1; version 2 has hardware id and direction in `md2`. */
  erspan?: { version: number; index: number; sgt: number; md2: number };
  gtpu?: { flags: number; msgtype: number };
}

/** The options by the name they have in text and in the model, in the order in which OVS writes them. */
const ROWS: Readonly<Record<keyof TunnelModel, Row>> = {
  tun_id: { type: TUNNEL_ATTR.ID, kind: be64 },
  src: { type: TUNNEL_ATTR.IPV4_SRC, kind: ipv4 },
  dst: { type: TUNNEL_ATTR.IPV4_DST, kind: ipv4 },
  ipv6_src: { type: TUNNEL_ATTR.IPV6_SRC, kind: ipv6 },
  ipv6_dst: { type: TUNNEL_ATTR.IPV6_DST, kind: ipv6 },
  tos: { type: TUNNEL_ATTR.TOS, kind: u8x },
  ttl: { type: TUNNEL_ATTR.TTL, kind: u8 },
  df: { type: TUNNEL_ATTR.DONT_FRAGMENT, flag: TUN_F_DF },
  csum: { type: TUNNEL_ATTR.CSUM, flag: TUN_F_CSUM },
  tp_src: { type: TUNNEL_ATTR.TP_SRC, kind: be16 },
  tp_dst: { type: TUNNEL_ATTR.TP_DST, kind: be16 },
  oam: { type: TUNNEL_ATTR.OAM, flag: TUN_F_OAM },
  vxlan: { type: TUNNEL_ATTR.VXLAN_OPTS, option: vxlan },
  geneve: { type: TUNNEL_ATTR.GENEVE_OPTS, option: geneve },
  erspan: { type: TUNNEL_ATTR.ERSPAN_OPTS, option: erspan },
  gtpu: { type: TUNNEL_ATTR.GTPU_OPTS, option: gtpu },
};

const BY_NAME: ReadonlyMap<string, Row> = new Map(Object.entries(ROWS));
const NAMES = [...BY_NAME.keys()];
const BY_TYPE = new Map([...BY_NAME].map(([name, row]) => [row.type, { name, label: `${name}=`, row }]));
/** What the text of each option begins with. Flags come together, in `flags(`. */
const OPENINGS: (readonly [opening: string, row: PlainRow | OptionRow])[] = [];
for (const [name, row] of BY_NAME) {
  if ('kind' in row) OPENINGS.push([`${name}=`, row]);
  else if ('option' in row) OPENINGS.push([row.option.opening, row]);
}
const OPTION_NAMES = new Keywords(OPENINGS);
const EXPECTED = [...OPENINGS.map(([opening]) => opening), 'flags('].join(', ');
const PUBLIC_FLAGS = TUN_F_OAM | TUN_F_DF | TUN_F_CSUM | TUN_F_KEY;

function printFlagSet(flags: number, mask: number | undefined, verbose: boolean): string {
  if (mask === undefined) return `flags(${printFlags(TUNNEL_FLAG_NAMES, flags)})`;
  if (mask === 0 && !verbose) return '';
  return `flags(${printMaskedFlags(TUNNEL_FLAG_NAMES, flags, mask, PUBLIC_FLAGS)})`;
}

/** Appends the flag attributes that `flags` has; the key flag has none. */
function putFlags(out: NlWriter, flags: number): void {
  for (const { row } of BY_TYPE.values()) {
    if ('flag' in row && (flags & row.flag) !== 0) out.flag(row.type);
  }
}

/** The flags whose attributes are in `run`. */
function flagsIn(run: Span): number {
  let flags = 0;
  const reader = new NlReader(run.bytes, run.at, run.at + run.length);
  while (reader.next()) {
    const row = BY_TYPE.get(reader.type)?.row;
    if (row !== undefined && 'flag' in row) flags |= row.flag;
  }
  return flags;
}

function parseOption(scan: Scanner, key: NlWriter, mask: NlWriter | undefined, strict: boolean): boolean {
  if (scan.accept('flags(')) {
    const found = scan.need(
      scanFlags(scan, TUNNEL_FLAG_NAMES, ')', PUBLIC_FLAGS, true),
      'flags of oam, df, csum, key',
    );
    scan.expect(')');
    putFlags(key, found.value);
    if (mask !== undefined) putFlags(mask, found.mask);
    return true;
  }
  const row = OPTION_NAMES.take(scan);
  if (row === undefined) return false;
  if ('option' in row) row.option.parse(row.type, scan, key, mask);
  else if (!scanValue(row.type, row.kind, scan, key, mask, strict)) scan.fail(row.kind.expected);
  return true;
}

export const tunnel: Shape<TunnelModel> = {
  print(value, mask, _exact, { verbose }) {
    let out = '';
    let flags = 0;
    let wildFlags = mask === undefined ? 0 : flagsIn(mask);
    // Behind an option of a wrong length OVS prints the mask that it made for that one once more, until one has the right length.
    let made: Span | undefined;
    const reader = new NlReader(value.bytes, value.at, value.at + value.length);
    while (reader.next()) {
      const { type } = reader;
      const part = { bytes: value.bytes, at: reader.offset, length: reader.length };
      const length = tunnelLength(type);
      let partMask = mask && findAttribute(mask, type);
      if (mask !== undefined && partMask === undefined) {
        made ??= wildcard(length === LENGTH_NESTED ? 0 : part.length);
        partMask = made;
      }
      const broken = badLength(`key${type}`, part, partMask, length);
      if (broken !== undefined) {
        out += broken;
        continue;
      }
      made = undefined;
      if (type === TUNNEL_ATTR.PAD) continue;
      const known = BY_TYPE.get(type);
      if (known === undefined) {
        out += `${printUnknown(type, part, partMask)},`;
      } else if ('flag' in known.row) {
        flags |= known.row.flag;
      } else if ('option' in known.row) {
        out += `${known.name}(${known.row.option.print(part, partMask, verbose)}),`;
      } else {
        const { kind } = known.row;
        const text = printField(
          kind,
          known.label,
          part.bytes,
          part.at,
          partMask?.bytes,
          partMask?.at ?? 0,
          verbose,
        );
        if (text !== '') out += `${text},`;
        if (type === TUNNEL_ATTR.ID) {
          flags |= TUN_F_KEY;
          if (mask !== undefined) wildFlags |= TUN_F_KEY;
        }
      }
    }
    const last = printFlagSet(flags, mask && wildFlags, verbose);
    return last === '' && out.endsWith(',') ? out.slice(0, -1) : out + last;
  },
  parse(type, scan, key, mask, { options }) {
    const keyMark = key.begin(type);
    const maskMark = mask?.begin(type) ?? 0;
    const strict = options.strict ?? false;
    while (!endsList(scan, parseOption(scan, key, mask, strict), EXPECTED));
    endNested(key, keyMark, scan);
    if (mask !== undefined) endNested(mask, maskMark, scan);
  },
  decode(value) {
    const model: Record<string, unknown> = {};
    const reader = new NlReader(value.bytes, value.at, value.at + value.length);
    while (reader.next()) {
      const known = BY_TYPE.get(reader.type);
      if (known === undefined) throw bad(`tunnel has an option of unknown type ${reader.type}`);
      const { name, row } = known;
      if (name in model) throw bad(`tunnel has two ${name} options`);
      const expected = tunnelLength(reader.type);
      if (expected >= 0 && expected !== reader.length) {
        throw bad(`tunnel option ${name} must be ${expected} bytes long, not ${reader.length}`);
      }
      const part = { bytes: value.bytes, at: reader.offset, length: reader.length };
      if ('flag' in row) model[name] = true;
      else model[name] = 'kind' in row ? row.kind.toJson(part.bytes, part.at) : row.option.decode(part);
    }
    if (reader.leftover !== 0) throw bad('tunnel ends in the middle of an attribute');
    // Every property was set from the row of its name; the rows and TunnelModel are one list, side by side above.
    return model as TunnelModel;
  },
  encode(type, model, out, what) {
    if (!isObject(model)) throw bad(`${what} must be an object, not ${show(model)}`);
    const mark = out.begin(type);
    for (const name in model) {
      const row = BY_NAME.get(name);
      if (row === undefined) throw bad(`${what} has no option ${name}; it has ${NAMES.join(', ')}`);
      const option = model[name];
      if ('flag' in row) {
        if (option !== true) throw bad(`${what}.${name} must be true or absent, not ${show(option)}`);
        out.flag(row.type);
      } else if ('option' in row) {
        row.option.encode(row.type, option, out, name);
      } else {
        const at = out.reserve(row.type, row.kind.bytes);
        putField(row.kind, option, out.memory, at, what, name);
      }
    }
    out.end(mark);
  },
  text: `${EXPECTED.split(', ')
    .map((opening) => `${opening}..${opening.endsWith('(') ? ')' : ''}`)
    .join(',')}`,
};
