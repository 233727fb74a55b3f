/**
 * The other way from key-forms.ts: rows into keys and masks by what others like them became. What a key looks like depends
 * on a few words of its row, so that only the first of its kind is encoded; for the others the words that may differ are
 * moved into the key that the first one left (0.2 us instead of 0.6).
 */
import { pooledCopy } from '../netlink.js';
import {
  W_CT_STATE_PROTO_ZONE,
  W_IN_PORT,
  W_IPV6_LABEL,
  W_PACKET_TYPE,
  W_TOS_TTL_FLAGS,
  W_TP,
  W_TUN_GNV_LEN,
  W_TUN_ID,
  W_TYPE_FRAG_PROTO,
  W_VLAN0,
  W_VLAN1,
} from './fields.js';
import { type FlowSupport, flowToKey, flowToMask } from './flow-to-key.js';
import { collect, type FreeByte, movesOf, moveWords } from './forms.js';
import { IPPROTO_ICMP, IPPROTO_ICMPV6, PORT_NONE } from './protocols.js';

/** Kinds of rows, and masks for rows of a kind, that are remembered. */
const FORMS = 32;
const MASKS = 32;
/** Once there are so many kinds, one in so many new ones takes an old one's place. */
const EVERY = 16;
/** A tag's type, and the bit that says that there is one. */
const TAG_KIND = 0xffff_1000 | 0;

interface KnownMask {
  readonly row: Int32Array;
  /** The mask's bytes. */
  readonly words: Int32Array;
  readonly length: number;
}

class RowForm {
  /** The key that was made last, and how many bytes of it count. */
  readonly #words: Int32Array;
  readonly #length: number;
  readonly #moves: Int32Array;
  /** Triples: words of the row that decide what the key looks like, bits, and what they are. */
  readonly #shared: Int32Array;
  readonly #flagged: boolean;
  readonly #masks: KnownMask[] = [];
  #lastMask = 0;
  #oldestMask = 0;

  /** Of the row at `base`, which became `key`; `flagged`: it has TCP flags, or its mask does. */
  constructor(row: Int32Array, base: number, key: Uint8Array, free: readonly FreeByte[], flagged: boolean) {
    const get = (word: number): number => row[base + word]!;
    const bytes = new Uint8Array((key.length + 3) & ~3);
    bytes.set(key);
    this.#words = new Int32Array(bytes.buffer);
    this.#length = key.length;
    this.#moves = movesOf(free.map(({ from, to }) => ({ from: to, to: from })));
    this.#flagged = flagged;
    const proto = get(W_TYPE_FRAG_PROTO) & 0xff;
    const tag = (word: number): number => ((get(word) & 0xffff) === 0 ? -1 : TAG_KIND);
    const shared: readonly (readonly [word: number, bits: number])[] = [
      [W_TYPE_FRAG_PROTO, -1],
      [W_PACKET_TYPE, -1],
      [W_VLAN0, tag(W_VLAN0)],
      [W_VLAN1, tag(W_VLAN1)],
      [W_CT_STATE_PROTO_ZONE, 0x00ff_0000],
      // What a flow label has no bits for is no value that may differ.
      [W_IPV6_LABEL, 0xfff0_0000 | 0],
      [W_TP, proto === IPPROTO_ICMP || proto === IPPROTO_ICMPV6 ? -1 : 0],
    ];
    this.#shared = Int32Array.from(shared.flatMap(([word, bits]) => [word, bits, get(word) & bits]));
  }

  /** Whether the row at `base`, of no tunnel and with a port, becomes a key of this form. */
  fits(row: Int32Array, base: number, flagged: boolean): boolean {
    if (flagged !== this.#flagged) return false;
    const shared = this.#shared;
    for (let i = 0; i < shared.length; i += 3) {
      if ((row[base + shared[i]!]! & shared[i + 1]!) !== shared[i + 2]!) return false;
    }
    return true;
  }

  key(row: Int32Array, base: number): Uint8Array {
    moveWords(this.#moves, row, base, this.#words);
    return pooledCopy(this.#words, this.#length);
  }

  mask(mask: Int32Array): Uint8Array | undefined {
    const masks = this.#masks;
    const count = masks.length;
    for (let i = 0, next = this.#lastMask; i < count; i++) {
      const known = masks[next]!;
      if (known.row === mask) {
        this.#lastMask = next;
        return pooledCopy(known.words, known.length);
      }
      if (++next === count) next = 0;
    }
    return undefined;
  }

  learnMask(row: Int32Array, bytes: Uint8Array): void {
    const copy = new Uint8Array((bytes.length + 3) & ~3);
    copy.set(bytes);
    this.#masks[this.#oldestMask] = { row, words: new Int32Array(copy.buffer), length: bytes.length };
    this.#oldestMask = (this.#oldestMask + 1) % MASKS;
  }
}

/** Encodes rows as `flowToKey` and `flowToMask` do, and remembers how. */
export class RowForms {
  readonly #support: FlowSupport;
  readonly #forms: RowForm[] = [];
  #last = 0;
  #oldest = 0;
  #refused = 0;

  constructor(support: FlowSupport = {}) {
    this.#support = support;
  }

  /** What `flowToKey` makes of the row at `base`, and of the flow's mask if it is at hand. */
  key(row: Int32Array, base = 0, mask?: Int32Array): Uint8Array {
    const form = this.#find(row, base, mask);
    if (form !== undefined) return form.key(row, base);
    const key = flowToKey(row, base, this.#support, mask);
    this.#learn(row, base, key, mask);
    return key;
  }

  /** What `flowToMask` makes of the row `mask` of the flow whose key is in `row`. Rows of masks must never change. */
  mask(row: Int32Array, mask: Int32Array): Uint8Array {
    const form = this.#find(row, 0, mask);
    const known = form?.mask(mask);
    if (known !== undefined) return known;
    const bytes = flowToMask(row, mask, 0, 0, this.#support);
    form?.learnMask(mask, bytes);
    return bytes;
  }

  #find(row: Int32Array, base: number, mask: Int32Array | undefined): RowForm | undefined {
    if (row[base + W_IN_PORT]! >>> 0 === PORT_NONE || isTunnel(row, base)) return undefined;
    const flagged = isFlagged(row, base, mask);
    const forms = this.#forms;
    const count = forms.length;
    for (let i = 0, next = this.#last; i < count; i++) {
      const form = forms[next]!;
      if (form.fits(row, base, flagged)) {
        this.#last = next;
        return form;
      }
      if (++next === count) next = 0;
    }
    return undefined;
  }

  #learn(row: Int32Array, base: number, key: Uint8Array, mask: Int32Array | undefined): void {
    if (row[base + W_IN_PORT]! >>> 0 === PORT_NONE || isTunnel(row, base)) return;
    if (this.#forms.length === FORMS && ++this.#refused % EVERY !== 0) return;
    const free: FreeByte[] = [];
    if (!collect(key, 0, key.length, W_VLAN0, free)) return;
    this.#forms[this.#oldest] = new RowForm(row, base, key, free, isFlagged(row, base, mask));
    this.#oldest = (this.#oldest + 1) % FORMS;
  }
}

/** Whether anything is said of a tunnel: of keys without one masks may still match what options it has. */
function isTunnel(row: Int32Array, base: number): boolean {
  let bits = 0;
  for (let word = base + W_TUN_ID; word <= base + W_TUN_GNV_LEN; word++) bits |= row[word]!;
  return bits !== 0;
}

/** Whether TCP flags would be in the key. */
const isFlagged = (row: Int32Array, base: number, mask: Int32Array | undefined): boolean =>
  (row[base + W_TOS_TTL_FLAGS]! & 0xffff) !== 0 ||
  (mask !== undefined && (mask[W_TOS_TTL_FLAGS]! & 0xffff) !== 0);
