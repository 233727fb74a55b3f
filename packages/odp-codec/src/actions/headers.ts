/** Actions that push or pop one header with a fixed-size argument: VLAN, Ethernet, MPLS; and the hash. */
import { getBe16, getBe32, getLe16, getLe32, putBe16, putBe32, putLe16, putLe32 } from '../key/bytes.js';
import { formatEth } from '../text/address.js';
import { ACTION_ATTR, HASH_ALG } from './attrs.js';
import type { MplsEntry } from './model.js';
import type { ActionReader } from './reader.js';
import type { ActionRow } from './row.js';
import { eth, uint } from './values.js';

const VLAN_TPID = 0x8100;
const VLAN_CFI = 0x1000;

export const pushVlan: ActionRow<'push_vlan'> = {
  type: 'push_vlan',
  attr: ACTION_ATTR.PUSH_VLAN,
  length: 4,
  text: 'push_vlan([tpid=0xTYPE,]vid=ID,pcp=PRIORITY[,cfi=0])',
  about: 'puts a VLAN tag in front; tpid is 0x8100 if not given',
  keyword: 'push_vlan(',
  format(payload) {
    const tpid = getBe16(payload, 0);
    const tci = getBe16(payload, 2);
    const type = tpid === VLAN_TPID ? '' : `tpid=0x${tpid.toString(16).padStart(4, '0')},`;
    return `push_vlan(${type}vid=${tci & 0xfff},pcp=${tci >> 13}${tci & VLAN_CFI ? '' : ',cfi=0'})`;
  },
  parse(reader) {
    const { scan, out } = reader;
    scan.expect('push_vlan(');
    const tpid = scan.at('tpid=') ? reader.number('tpid=%i,') : VLAN_TPID;
    const start = scan.position;
    const [vid, pcp] = reader.pattern('vid=%i,pcp=%i');
    if (vid > 0xfff || pcp > 7) scan.fail('a vid up to 4095 and a pcp up to 7', 'EINVAL', start);
    const cfi = scan.at(',') ? reader.number(',cfi=%i') : 1;
    scan.expect(')');
    const at = out.reserve(ACTION_ATTR.PUSH_VLAN, 4);
    const bytes = out.memory;
    putBe16(bytes, at, tpid);
    putBe16(bytes, at + 2, vid | (pcp << 13) | (cfi === 0 ? 0 : VLAN_CFI));
  },
  decode(payload) {
    const tci = getBe16(payload, 2);
    return {
      type: 'push_vlan',
      tpid: getBe16(payload, 0),
      vid: tci & 0xfff,
      pcp: tci >> 13,
      cfi: (tci >> 12) & 1,
    };
  },
  encode(out, { tpid, vid, pcp, cfi }) {
    const tci = uint(vid, 12, 'vid') | (uint(pcp, 3, 'pcp') << 13) | (uint(cfi, 1, 'cfi') << 12);
    const at = out.reserve(ACTION_ATTR.PUSH_VLAN, 4);
    putBe16(out.memory, at, uint(tpid, 16, 'tpid'));
    putBe16(out.memory, at + 2, tci);
  },
};

export const pushEth: ActionRow<'push_eth'> = {
  type: 'push_eth',
  attr: ACTION_ATTR.PUSH_ETH,
  length: 12,
  text: 'push_eth(src=MAC,dst=MAC)',
  about: 'puts an Ethernet header in front of a layer 3 packet',
  keyword: 'push_eth(',
  printOnly: true,
  format: (payload) => `push_eth(src=${formatEth(payload, 0)},dst=${formatEth(payload, 6)})`,
  parse(reader) {
    readPushEth(reader, '');
  },
  decode: (payload) => ({ type: 'push_eth', src: formatEth(payload, 0), dst: formatEth(payload, 6) }),
  encode(out, { src, dst }) {
    const bytes = new Uint8Array(12);
    bytes.set(eth(src, 'src'));
    bytes.set(eth(dst, 'dst'), 6);
    out.put(ACTION_ATTR.PUSH_ETH, bytes);
  },
};

/** Reads `push_eth(src=MAC,dst=MAC` and then the pattern `rest` and `)`. */
export function readPushEth(reader: ActionReader, rest: string): void {
  const { scan, out } = reader;
  const bytes = new Uint8Array(12);
  scan.expect('push_eth(src=');
  bytes.set(scan.need(scan.eth(), 'an Ethernet address'));
  scan.expect(',dst=');
  bytes.set(scan.need(scan.eth(), 'an Ethernet address'), 6);
  reader.pattern(`${rest})`);
  out.put(ACTION_ATTR.PUSH_ETH, bytes);
}

/** A label stack entry as the number it is on the wire. Bits beyond a field's width run into the next field. */
const entryOf = (label: number, tc: number, ttl: number, bos: number): number =>
  ((label << 12) | (tc << 9) | ttl | (bos << 8)) >>> 0;

const fieldsOf = (entry: number): MplsEntry => ({
  label: entry >>> 12,
  tc: (entry >>> 9) & 7,
  ttl: entry & 0xff,
  bos: (entry >>> 8) & 1,
});

function formatEntry(entry: number): string {
  const { label, tc, ttl, bos } = fieldsOf(entry);
  return `label=${label},tc=${tc},ttl=${ttl},bos=${bos}`;
}

const checkedEntry = ({ label, tc, ttl, bos }: MplsEntry): number =>
  entryOf(uint(label, 20, 'label'), uint(tc, 3, 'tc'), uint(ttl, 8, 'ttl'), uint(bos, 1, 'bos'));

/** The payload that push_mpls and add_mpls share: a label stack entry, an Ethernet type, two more bytes. */
function mplsPayload(entry: number, ethType: number, last: number): Uint8Array {
  const bytes = new Uint8Array(8);
  putBe32(bytes, 0, entry);
  putBe16(bytes, 4, ethType);
  putLe16(bytes, 6, last);
  return bytes;
}

const formatMpls = (name: string, payload: Uint8Array): string =>
  `${name}(${formatEntry(getBe32(payload, 0))},eth_type=0x${getBe16(payload, 4).toString(16)})`;

function readMpls(reader: ActionReader, name: string): Uint8Array {
  const [label, tc, ttl, bos, ethType] = reader.pattern(
    `${name}(label=%i,tc=%u,ttl=%u,bos=%u,eth_type=0x%x)`,
  );
  return mplsPayload(entryOf(label, tc & 0xff, ttl & 0xff, bos & 0xff), ethType, 0);
}

export const pushMpls: ActionRow<'push_mpls'> = {
  type: 'push_mpls',
  attr: ACTION_ATTR.PUSH_MPLS,
  length: 8,
  text: 'push_mpls(label=L,tc=T,ttl=N,bos=B,eth_type=0xTYPE)',
  about: 'puts an MPLS label in front of the layer 3 header, or of the labels that are there',
  keyword: 'push_mpls(',
  printOnly: true,
  format: (payload) => formatMpls('push_mpls', payload),
  parse: (reader) => reader.out.put(ACTION_ATTR.PUSH_MPLS, readMpls(reader, 'push_mpls')),
  decode: (payload) => ({
    type: 'push_mpls',
    ...fieldsOf(getBe32(payload, 0)),
    ethType: getBe16(payload, 4),
  }),
  encode(out, action) {
    const ethType = uint(action.ethType, 16, 'ethType');
    out.put(ACTION_ATTR.PUSH_MPLS, mplsPayload(checkedEntry(action), ethType, 0));
  },
};

export const addMpls: ActionRow<'add_mpls'> = {
  type: 'add_mpls',
  attr: ACTION_ATTR.ADD_MPLS,
  length: 8,
  text: 'add_mpls(label=L,tc=T,ttl=N,bos=B,eth_type=0xTYPE)',
  about:
    'puts an MPLS label in front of the packet or of its layer 3 header; which one does not show in text',
  keyword: 'add_mpls(',
  format: (payload) => formatMpls('add_mpls', payload),
  parse: (reader) => reader.out.put(ACTION_ATTR.ADD_MPLS, readMpls(reader, 'add_mpls')),
  decode: (payload) => ({
    type: 'add_mpls',
    ...fieldsOf(getBe32(payload, 0)),
    ethType: getBe16(payload, 4),
    tunFlags: getLe16(payload, 6),
  }),
  encode(out, action) {
    const ethType = uint(action.ethType, 16, 'ethType');
    const tunFlags = uint(action.tunFlags, 16, 'tunFlags');
    out.put(ACTION_ATTR.ADD_MPLS, mplsPayload(checkedEntry(action), ethType, tunFlags));
  },
};

export const popMpls: ActionRow<'pop_mpls'> = {
  type: 'pop_mpls',
  attr: ACTION_ATTR.POP_MPLS,
  length: 2,
  text: 'pop_mpls(eth_type=0xTYPE)',
  about: 'removes the outer MPLS label; what follows is of this Ethernet type',
  keyword: 'pop_mpls(',
  printOnly: true,
  format: (payload) => `pop_mpls(eth_type=0x${getBe16(payload, 0).toString(16)})`,
  parse: (reader) => reader.out.be16(ACTION_ATTR.POP_MPLS, reader.number('pop_mpls(eth_type=0x%x)') & 0xffff),
  decode: (payload) => ({ type: 'pop_mpls', ethType: getBe16(payload, 0) }),
  encode: (out, { ethType }) => out.be16(ACTION_ATTR.POP_MPLS, uint(ethType, 16, 'ethType')),
};

/** Names of the hash algorithms, by number. */
const HASH_NAMES: readonly string[] = ['l4', 'sym_l4'];

export const hash: ActionRow<'hash'> = {
  type: 'hash',
  attr: ACTION_ATTR.HASH,
  length: 8,
  text: 'hash(l4(BASIS)) or hash(sym_l4(BASIS))',
  about: 'sets the dp_hash of the packet from its addresses and ports',
  keyword: 'hash(',
  printOnly: true,
  format(payload) {
    const algorithm = getLe32(payload, 0);
    const name = HASH_NAMES[algorithm];
    if (name === undefined) return `hash(Unknown hash algorithm(${algorithm}))`;
    return `hash(${name}(${getLe32(payload, 4)}))`;
  },
  parse(reader) {
    const { scan, out } = reader;
    scan.expect('hash(');
    const algorithm = scan.at('sym_l4(') ? HASH_ALG.SYM_L4 : HASH_ALG.L4;
    const basis = reader.number(`${HASH_NAMES[algorithm]}(%u))`);
    putHash(out.reserve(ACTION_ATTR.HASH, 8), out.memory, algorithm, basis);
  },
  decode: (payload) => ({
    type: 'hash',
    algorithm: getLe32(payload, 0),
    basis: getLe32(payload, 4),
  }),
  encode(out, action) {
    const algorithm = uint(action.algorithm, 32, 'algorithm');
    const basis = uint(action.basis, 32, 'basis');
    putHash(out.reserve(ACTION_ATTR.HASH, 8), out.memory, algorithm, basis);
  },
};

function putHash(at: number, bytes: Uint8Array, algorithm: number, basis: number): void {
  putLe32(bytes, at, algorithm);
  putLe32(bytes, at + 4, basis);
}
