/**
 * Between flow keys and the switch: which headers of an upcall the decision reads, and the mask that matches just
 * them: in_port, Ethernet source and destination, and presence and id of the outer VLAN tag.
 *
 * Of a broadcast or IPv6 multicast destination the decision needs two bits only, so that a host needs one flow for all
 * of them: ARP, neighbour discovery, MLD and the like would otherwise take one each.
 */

import {
  ACTION_ATTR,
  KEY_ATTR,
  KEY_WORDS,
  KeyForms,
  keyToFlow,
  NlReader,
  NlWriter,
  W_ETH,
  W_IN_PORT,
  W_PACKET_TYPE,
  W_RECIRC_ID,
  W_TYPE_FRAG_PROTO,
  W_VLAN0,
  W_VLAN1,
} from '@etherloom/odp-codec';
import type { Headers } from './decision.js';
import { type FlowTuple, TUPLE_WORDS } from './flow-index.js';
import { macFromWords } from './mac.js';

/** Bit of a TCI that says "tag present", and the bits of the id. */
const TAG_PRESENT = 0x1000;
const VLAN_VID = 0x0fff;
/** What the row has for a frame whose type field is a length (802.2): no Ethernet type. */
const NO_ETH_TYPE = 0x05ff;

// Which mask a key needs: bits of its index in MASKS.
/** No Ethernet type: a key without one must be matched exactly on that (dpif.h, flow keys). */
const SHAPE_LLC = 1;
const SHAPE_TAGGED = 2;
/** The destination is a locally administered group address. */
const SHAPE_LOCAL_GROUP = 4;
/** A second tag, in front of what has no Ethernet type: to say the latter the mask must say the former. */
const SHAPE_INNER_TAGGED = 8;

/**
 * Group and local bit, in the first byte of an address. Broadcast (ff) and IPv6 multicast (33) have both set, and so
 * has no reserved address: whatever else is in them, they are flooded.
 */
const LOCAL_GROUP = 0x03;

const MASKS = Array.from({ length: 16 }, (_, shape) => makeMask(shape));

function makeMask(shape: number): Uint8Array {
  const ethType = shape & SHAPE_LLC ? 0xffff : 0;
  const out = new NlWriter();
  out.u32(KEY_ATTR.RECIRC_ID, 0xffff_ffff);
  out.u32(KEY_ATTR.IN_PORT, 0xffff_ffff);
  const addresses = new Uint8Array(12).fill(0xff);
  // struct ovs_key_ethernet: source, then destination.
  if (shape & SHAPE_LOCAL_GROUP) addresses.fill(0, 6).fill(LOCAL_GROUP, 6, 7);
  out.put(KEY_ATTR.ETHERNET, addresses);
  if (shape & SHAPE_TAGGED) {
    out.be16(KEY_ATTR.ETHERTYPE, 0xffff);
    out.be16(KEY_ATTR.VLAN, TAG_PRESENT | VLAN_VID);
    const encap = out.begin(KEY_ATTR.ENCAP);
    out.be16(KEY_ATTR.ETHERTYPE, ethType);
    if (shape & SHAPE_INNER_TAGGED) {
      out.be16(KEY_ATTR.VLAN, TAG_PRESENT);
      const inner = out.begin(KEY_ATTR.ENCAP);
      out.be16(KEY_ATTR.ETHERTYPE, ethType);
      out.end(inner);
    }
    out.end(encap);
  } else {
    // No VLAN attribute in a mask means: no tag in the packet.
    out.be16(KEY_ATTR.ETHERTYPE, ethType);
  }
  return out.finish();
}

/** A tag's word has the Ethernet type that announces it, but no tag: the frame ended. */
const isCutOff = (tag: number): boolean => tag !== 0 && (tag & TAG_PRESENT) === 0;

/** Forms of keys that are remembered. */
const FORMS = 32;

/** The part of a key that the switch uses. */
export class FlowMatch implements Headers, FlowTuple {
  inPort = 0;
  vlan = 0;
  src = 0;
  dst = 0;
  /** Mask of the megaflow that the key belongs to. Absent when no flow can be put for the key. */
  mask: Uint8Array | undefined;
  /** What the mask matches, when there is one: in_port, recirc_id, three words of Ethernet addresses, the tag, and the shape. */
  readonly words = new Int32Array(TUPLE_WORDS);
}

/** Reads keys. Holds one row and one match, reused for every key. */
export class KeyReader {
  readonly #row = new Int32Array(KEY_WORDS);
  readonly #forms = new KeyForms(FORMS, () => undefined);
  readonly #match = new FlowMatch();

  /** What `key` says, until the next call. Undefined for a key that is not one of an Ethernet packet. */
  read(key: Uint8Array): FlowMatch | undefined {
    const match = this.#match;
    const row = this.#rowOf(key);
    if (row === undefined) return readHeaders(key, match);
    if (row[W_PACKET_TYPE] !== 0) return undefined;
    const tag = row[W_VLAN0]!;
    const tagged = (tag & TAG_PRESENT) !== 0;
    const inner = row[W_VLAN1]!;
    // Frames that end within a tag: no mask that the datapath takes matches them, and nobody sends many.
    if (isCutOff(tag) || isCutOff(inner)) return readHeaders(key, match);
    const llc = row[W_TYPE_FRAG_PROTO]! >>> 16 === NO_ETH_TYPE;
    const localGroup = ((row[W_ETH]! >>> 24) & LOCAL_GROUP) === LOCAL_GROUP;
    let shape = 0;
    if (tagged) shape |= SHAPE_TAGGED;
    if (llc) shape |= SHAPE_LLC;
    if (llc && inner !== 0) shape |= SHAPE_INNER_TAGGED;
    if (localGroup) shape |= SHAPE_LOCAL_GROUP;
    const { words } = match;
    words[0] = row[W_IN_PORT]!;
    words[1] = row[W_RECIRC_ID]!;
    words[2] = localGroup ? LOCAL_GROUP << 24 : row[W_ETH]!;
    words[3] = localGroup ? row[W_ETH + 1]! & 0xffff : row[W_ETH + 1]!;
    words[4] = row[W_ETH + 2]!;
    words[5] = tagged ? (tag & 0xffff_0000) | (tag & (TAG_PRESENT | VLAN_VID)) : 0;
    words[6] = shape;
    match.inPort = row[W_IN_PORT]! >>> 0;
    match.vlan = tagged ? tag & VLAN_VID : 0;
    match.dst = macFromWords(row[W_ETH]! >>> 16, (row[W_ETH]! << 16) | (row[W_ETH + 1]! >>> 16));
    match.src = macFromWords(row[W_ETH + 1]!, row[W_ETH + 2]!);
    match.mask = MASKS[shape];
    return match;
  }

  /** The row of `key`; undefined for a key that is no valid one of a flow. */
  #rowOf(key: Uint8Array): Int32Array | undefined {
    const form = this.#forms.read(key);
    if (form !== undefined) return form.row;
    const { fitness } = keyToFlow(key, this.#row);
    if (fitness === 'error' || fitness === 'too_little') return undefined;
    if (fitness === 'perfect') this.#forms.learn(key, this.#row);
    return this.#row;
  }
}

/**
 * The headers of a key that is no valid flow key, as damaged packets have them (a cut-off MPLS label stack): no flow can
 * be put for them, but a switch has no business with what is behind the addresses, and forwards them.
 */
function readHeaders(key: Uint8Array, match: FlowMatch): FlowMatch | undefined {
  const view = new DataView(key.buffer, key.byteOffset, key.byteLength);
  const reader = new NlReader(key);
  let inPort: number | undefined;
  let addresses: number | undefined;
  let vlan = 0;
  while (reader.next()) {
    if (reader.type === KEY_ATTR.IN_PORT && reader.length === 4) inPort = view.getUint32(reader.offset, true);
    else if (reader.type === KEY_ATTR.ETHERNET && reader.length === 12) addresses = reader.offset;
    else if (reader.type === KEY_ATTR.VLAN && reader.length === 2)
      vlan = view.getUint16(reader.offset) & VLAN_VID;
  }
  if (inPort === undefined || addresses === undefined) return undefined;
  // struct ovs_key_ethernet: source, then destination.
  const mac = (at: number): number => macFromWords(view.getUint16(at), view.getUint32(at + 2));
  match.inPort = inPort;
  match.vlan = vlan;
  match.src = mac(addresses);
  match.dst = mac(addresses + 6);
  match.mask = undefined;
  return match;
}

/** Actions that output to each of `ports`, as Netlink attributes. */
export function outputActions(ports: readonly number[]): Uint8Array {
  const out = new NlWriter(8 * ports.length);
  for (const port of ports) out.u32(ACTION_ATTR.OUTPUT, port);
  return out.finish();
}
