/** The `push_nsh` action. Its payload is one nested NSH attribute, as a flow key has it, but with room for TLVs. */
import { KEY_ATTR, NSH_ATTR } from '../key/attributes.js';
import { getBe32, putBe32 } from '../key/bytes.js';
import { wideHex } from '../key/wide-kinds.js';
import { NlReader, type NlWriter } from '../netlink.js';
import { Scanner } from '../text/scanner.js';
import { ACTION_ATTR } from './attrs.js';
import type { ActionOf } from './model.js';
import type { ActionReader } from './reader.js';
import { type ActionRow, VARIABLE } from './row.js';
import { blob, fromBlob, reject, uint } from './values.js';

/** Bytes of the base: flags, ttl, mdtype, np, then service path and index in one word. */
const BASE = 8;
const CONTEXT = 16;
/** Most bytes of TLVs: with the base, what the 6-bit length of the header can count. */
const MD2_MAX = 248;
const DEFAULT_TTL = 63;
const NP_ETHERNET = 3;
const SI_DEFAULT = 255;
/** Longest run of digits that Open vSwitch's scanner takes. */
const MD2_DIGITS = 511;

/** What a header holds. Context and TLVs are the words behind the base. */
interface Header {
  flags: number;
  ttl: number;
  mdtype: number;
  np: number;
  path: number;
  /** Context, or TLVs of which `length` bytes count. */
  metadata: Uint8Array;
  length: number;
}

export const pushNsh: ActionRow<'push_nsh'> = {
  type: 'push_nsh',
  attr: ACTION_ATTR.PUSH_NSH,
  length: VARIABLE,
  text: 'push_nsh(flags=F,ttl=T,mdtype=1,np=N,spi=0xP,si=I,c1=0xW,..,c4=0xW) or push_nsh(..,mdtype=2,..,md2=0xTLVS)',
  about: 'puts a network service header in front',
  keyword: 'push_nsh(',
  format(payload) {
    const { flags, ttl, mdtype, np, path, metadata, length } = headerOf(payload);
    let out = `push_nsh(flags=${flags},ttl=${ttl},mdtype=${mdtype},np=${np}`;
    out += `,spi=0x${(path >>> 8).toString(16)},si=${path & 0xff}`;
    if (mdtype === 1) {
      for (let i = 0; i < 4; i++) out += `,c${i + 1}=0x${getBe32(metadata, 4 * i).toString(16)}`;
    } else {
      out += mdtype === 2 ? `,md2=${wideHex(metadata, 0, length)}` : ',<error: unknown mdtype>';
    }
    return `${out})`;
  },
  parse(reader) {
    const { scan, out } = reader;
    const start = scan.position;
    scan.expect('push_nsh(');
    const base = Uint8Array.of(0, DEFAULT_TTL, 1, NP_ETHERNET, 0, 0, 0, 0);
    const context = new Uint8Array(CONTEXT);
    const state: State = { base, context, md2: new Uint8Array(0), spi: 0, si: SI_DEFAULT };
    for (scan.skipDelimiters(); !scan.accept(')'); scan.skipDelimiters()) readField(reader, state, start);
    putBe32(base, 4, (state.spi << 8) | state.si);
    putHeader(out, base, base[2] === 1 ? context : undefined, base[2] === 2 ? state.md2 : undefined);
  },
  decode(payload) {
    const inner = innerOf(payload);
    const base = inner && nextPart(inner);
    if (inner === undefined || base?.type !== NSH_ATTR.BASE || base.value.length !== BASE) return undefined;
    const path = getBe32(base.value, 4);
    const action: ActionOf<'push_nsh'> = {
      type: 'push_nsh',
      flags: base.value[0]!,
      ttl: base.value[1]!,
      mdtype: base.value[2]!,
      np: base.value[3]!,
      spi: path >>> 8,
      si: path & 0xff,
    };
    const metadata = nextPart(inner);
    if (metadata?.type === NSH_ATTR.MD1 && metadata.value.length === CONTEXT) {
      const word = (i: number) => getBe32(metadata.value, 4 * i);
      action.context = [word(0), word(1), word(2), word(3)];
    } else if (metadata?.type === NSH_ATTR.MD2) {
      action.md2 = fromBlob(metadata.value);
    }
    return action;
  },
  encode(out, action) {
    const base = Uint8Array.of(
      uint(action.flags, 8, 'flags'),
      uint(action.ttl, 8, 'ttl'),
      uint(action.mdtype, 8, 'mdtype'),
      uint(action.np, 8, 'np'),
      0,
      0,
      0,
      0,
    );
    putBe32(base, 4, uint(action.spi, 24, 'spi') * 256 + uint(action.si, 8, 'si'));
    putHeader(
      out,
      base,
      action.context === undefined ? undefined : contextBytes(action.context),
      action.md2 === undefined ? undefined : blob(action.md2, 'md2'),
    );
  },
};

function contextBytes(context: unknown): Uint8Array {
  if (!Array.isArray(context) || context.length !== 4)
    return reject('context', 'an array of 4 numbers', context);
  const bytes = new Uint8Array(CONTEXT);
  for (let i = 0; i < 4; i++) putBe32(bytes, 4 * i, uint(context[i], 32, 'context'));
  return bytes;
}

/** TLVs of length 0 leave their attribute out. */
function putHeader(
  out: NlWriter,
  base: Uint8Array,
  context: Uint8Array | undefined,
  md2: Uint8Array | undefined,
): void {
  const action = out.begin(ACTION_ATTR.PUSH_NSH);
  const nsh = out.begin(KEY_ATTR.NSH);
  out.put(NSH_ATTR.BASE, base);
  if (context !== undefined) out.put(NSH_ATTR.MD1, context);
  if (md2 !== undefined && md2.length > 0) out.put(NSH_ATTR.MD2, md2);
  out.end(nsh);
  out.end(action);
}

/** The next attribute of a run. */
function nextPart(run: NlReader): { type: number; value: Uint8Array } | undefined {
  return run.next() ? { type: run.type, value: run.payload() } : undefined;
}

/** The attributes in the NSH attribute. */
function innerOf(payload: Uint8Array): NlReader | undefined {
  const outer = new NlReader(payload);
  return outer.next() ? outer.nested() : undefined;
}

/**
 * The header as Open vSwitch builds it from the attributes before it prints: flags keep 2 bits and the ttl 6, metadata
 * counts in whole words, and a contradiction leaves flags and ttl zero.
 */
function headerOf(payload: Uint8Array): Header {
  const header: Header = {
    flags: 0,
    ttl: 0,
    mdtype: 0,
    np: 0,
    path: 0,
    metadata: new Uint8Array(CONTEXT),
    length: 0,
  };
  const inner = innerOf(payload);
  let flags = 0;
  let ttl = DEFAULT_TTL;
  let metadataType = 0;
  let unknown = false;
  while (inner?.next()) {
    const value = inner.payload();
    const { type } = inner;
    if (type === NSH_ATTR.BASE) {
      if (value.length !== BASE) return header;
      flags = value[0]!;
      ttl = value[1]!;
      header.mdtype = value[2]!;
      header.np = value[3]!;
      header.path = getBe32(value, 4);
    } else if (type === NSH_ATTR.MD1 || type === NSH_ATTR.MD2) {
      if (type === NSH_ATTR.MD1 ? value.length !== CONTEXT : value.length > MD2_MAX) return header;
      metadataType = type === NSH_ATTR.MD1 ? 1 : 2;
      header.metadata = new Uint8Array(Math.max(CONTEXT, value.length));
      header.metadata.set(value);
      header.length = value.length & ~3;
    } else {
      unknown = true;
    }
  }
  if (unknown || (metadataType !== 0 && metadataType !== header.mdtype)) return header;
  header.flags = flags & 3;
  header.ttl = ttl & 0x3f;
  return header;
}

/** What has been read so far. */
interface State {
  base: Uint8Array;
  context: Uint8Array;
  md2: Uint8Array;
  spi: number;
  si: number;
}

/** The plain fields of the base, by offset. */
const FIELDS = [
  ['flags=', 0],
  ['ttl=', 1],
  ['mdtype=', 2],
  ['np=', 3],
] as const;

function readField({ scan, strict }: ActionReader, state: State, start: number): void {
  const { base } = state;
  for (const [name, at] of FIELDS) {
    if (!scan.accept(name)) continue;
    base[at] = scan.need(scan.u8(), 'a number');
    if (at !== 2) return;
    if (base[at] !== 1 && base[at] !== 2) scan.fail('mdtype 1 or 2 before');
    state.md2 = new Uint8Array(0);
    return;
  }
  if (scan.accept('spi=0x')) {
    if (!scan.integer(16)) scan.fail('a number');
    state.spi = scan.lo;
  } else if (scan.accept('si=')) {
    state.si = scan.need(scan.u8(), 'a number');
  } else if (base[2] === 1) {
    const word = ['c1=0x', 'c2=0x', 'c3=0x', 'c4=0x'].findIndex((name) => scan.accept(name));
    if (word < 0) scan.fail('flags=, ttl=, mdtype=, np=, spi=, si=, c1= .. c4=');
    if (!scan.integer(16)) scan.fail('a number');
    putBe32(state.context, 4 * word, scan.lo);
  } else if (scan.accept('md2=0x')) {
    const digits = scan.need(scan.run('0123456789abcdefABCDEF', MD2_DIGITS), 'hexadecimal digits');
    // Open vSwitch measures the whole text of the action here, not just the digits.
    if ((scan.position - start) >> 1 > MD2_MAX) scan.fail(`up to ${MD2_MAX} bytes of TLVs before`);
    const bytes = new Scanner(digits).hexBytes();
    state.md2 = new Uint8Array((bytes.length + 3) & ~3);
    state.md2.set(bytes);
  } else if (strict || !scan.accept('md2=0')) {
    scan.fail('flags=, ttl=, mdtype=, np=, spi=, si= or md2=');
  }
}
