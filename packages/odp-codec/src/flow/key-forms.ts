/**
 * Keys that differ from one before only in values: same attributes in the same places, same protocols. A client's keys
 * have a handful of such forms. What is true of one key of a form is true of all: how well it fits, which masks and
 * actions go with it, whether its row says all of it. So only the first key of a form is parsed; of the others the bytes
 * that may differ are moved into the row that the first one left (0.15 us instead of 0.6).
 */
import { KEY_ATTR, VLAN_CFI } from '../key/attributes.js';
import { NlReader } from '../netlink.js';
import {
  KEY_WORDS,
  W_ARP_HA,
  W_CT_LABEL,
  W_CT_MARK,
  W_CT_STATE_PROTO_ZONE,
  W_DP_HASH,
  W_ETH,
  W_IN_PORT,
  W_IPV6_LABEL,
  W_IPV6_SRC,
  W_ND_TARGET,
  W_NW_SRC,
  W_RECIRC_ID,
  W_SKB_MARK,
  W_SKB_PRIORITY,
  W_TOS_TTL_FLAGS,
  W_TP,
  W_VLAN0,
} from './fields.js';

/** Bytes of an attribute's payload that may differ, in a run, and the byte of the row that the first one goes to. */
interface Run {
  readonly from: number;
  readonly bytes: number;
  /** Counted as rows are read: most significant byte of a word first. */
  readonly to: number;
  /** The bytes stand in the opposite order: host order. */
  readonly reversed?: boolean;
  /** Bits of the first byte that may not differ. */
  readonly fixed?: number;
}

const host = (word: number): Run => ({ from: 0, bytes: 4, to: word * 4, reversed: true });
const network = (from: number, bytes: number, word: number, byte = 0): Run => ({
  from,
  bytes,
  to: word * 4 + byte,
});

const PORTS: readonly Run[] = [network(0, 4, W_TP)];

/**
 * By attribute. What is not named here is the same in all keys of a form: protocols, fragment and ICMP types decide which
 * attributes belong to a key. Of attributes that are not here at all a row may say less than the key, or more.
 */
const RUNS: Readonly<Record<number, readonly Run[]>> = {
  [KEY_ATTR.RECIRC_ID]: [host(W_RECIRC_ID)],
  [KEY_ATTR.DP_HASH]: [host(W_DP_HASH)],
  [KEY_ATTR.PRIORITY]: [host(W_SKB_PRIORITY)],
  [KEY_ATTR.SKB_MARK]: [host(W_SKB_MARK)],
  [KEY_ATTR.IN_PORT]: [host(W_IN_PORT)],
  // A row has the lowest byte.
  [KEY_ATTR.CT_STATE]: [network(0, 1, W_CT_STATE_PROTO_ZONE)],
  [KEY_ATTR.CT_ZONE]: [{ from: 0, bytes: 2, to: W_CT_STATE_PROTO_ZONE * 4 + 2, reversed: true }],
  [KEY_ATTR.CT_MARK]: [host(W_CT_MARK)],
  [KEY_ATTR.CT_LABELS]: [{ from: 0, bytes: 16, to: W_CT_LABEL * 4, reversed: true }],
  [KEY_ATTR.PACKET_TYPE]: [],
  // struct ovs_key_ethernet: source, then destination.
  [KEY_ATTR.ETHERNET]: [network(0, 6, W_ETH, 6), network(6, 6, W_ETH)],
  [KEY_ATTR.ETHERTYPE]: [],
  [KEY_ATTR.IPV4]: [network(0, 8, W_NW_SRC), network(9, 2, W_TOS_TTL_FLAGS)],
  [KEY_ATTR.IPV6]: [
    network(0, 32, W_IPV6_SRC),
    // A flow label of more than 20 bits is one that no packet has.
    { ...network(33, 3, W_IPV6_LABEL, 1), fixed: 0xf0 },
    network(37, 2, W_TOS_TTL_FLAGS),
  ],
  [KEY_ATTR.TCP]: PORTS,
  [KEY_ATTR.UDP]: PORTS,
  [KEY_ATTR.SCTP]: PORTS,
  [KEY_ATTR.TCP_FLAGS]: [network(0, 2, W_TOS_TTL_FLAGS, 2)],
  [KEY_ATTR.ICMP]: [],
  [KEY_ATTR.ICMPV6]: [],
  [KEY_ATTR.ARP]: [network(0, 8, W_NW_SRC), network(10, 12, W_ARP_HA)],
  [KEY_ATTR.ND]: [network(0, 16, W_ND_TARGET), network(16, 12, W_ARP_HA)],
};

const TAG_PRESENT = VLAN_CFI >>> 8;

/** When there are as many forms as are kept, one in so many new ones takes an old one's place: learning takes 10 us. */
const EVERY = 16;

/** Longer keys are parsed, each of them. */
const MAX_KEY = 512;

/** What keys are compared in: words, since a key has 160 bytes and that many comparisons would take 0.1 us. */
const keyWords = new Int32Array(MAX_KEY / 4);
const keyBytes = new Uint8Array(keyWords.buffer);

/** A byte of a key that may differ but for its `fixed` bits, and the byte of the row's memory that it goes to. */
interface FreeByte {
  readonly from: number;
  readonly to: number;
  readonly fixed: number;
}

/**
 * Moves as whole words: byte by byte the 65 of a TCP key took 0.25 us. Each takes a word of the key, with its bytes in
 * the opposite order if need be, turns it, and replaces those bits of a word of the row that are set in `bits`.
 */
interface Move {
  readonly from: number;
  readonly to: number;
  /** The way from any byte of the key's word to its place in the row's: see `waysOf`. */
  ways: number;
  bits: number;
}

/** The ways that bring byte `from` of a word to place `to` of another: bit 4 * swapped + places to the left. */
function waysOf(from: number, to: number): number {
  return (1 << ((to - from) & 3)) | (16 << ((to - 3 + from) & 3));
}

function movesOf(free: readonly FreeByte[]): Move[] {
  const moves: Move[] = [];
  for (const { from, to } of free) {
    const ways = waysOf(from & 3, to & 3);
    const bits = 0xff << ((to & 3) * 8);
    const same = moves.find(
      (move) => move.from === from >> 2 && move.to === to >> 2 && (move.ways & ways) !== 0,
    );
    if (same === undefined) moves.push({ from: from >> 2, to: to >> 2, ways, bits });
    else {
      same.ways &= ways;
      same.bits |= bits;
    }
  }
  return moves;
}

/** One form, and the last key that had it. */
export class KeyForm<T> {
  /** The row of the key that was read last. */
  readonly row: Int32Array;
  /** What the user of the forms keeps with this one. */
  readonly data: T;
  /** Of the key's bytes. */
  readonly length: number;
  /** Words of the key that hold bits which all keys share: triples of place, those bits, and what they are. */
  readonly #shared: Int32Array;
  /** Quadruples: words of the key and of the row, way, bits. */
  readonly #moves: Int32Array;

  /** Of the key in `keyWords`, with the row that it was parsed to, and what may differ. */
  constructor(length: number, row: Int32Array, data: T, free: readonly FreeByte[]) {
    this.length = length;
    this.data = data;
    this.row = row.slice(0, KEY_WORDS);
    const bytes = new Uint8Array(wordsOf(length) * 4).fill(0xff);
    for (const { from, fixed } of free) bytes[from] = fixed;
    const shared = [...new Int32Array(bytes.buffer).entries()].filter(([, bits]) => bits !== 0);
    this.#shared = Int32Array.from(shared.flatMap(([at, bits]) => [at, bits, keyWords[at]! & bits]));
    const moves = movesOf(free);
    // Of several ways, which only a single byte has, any will do.
    this.#moves = Int32Array.from(
      moves.flatMap(({ from, to, ways, bits }) => [from, to, 31 - Math.clz32(ways), bits]),
    );
  }

  /** Whether the key in `keyWords`, of this form's length, has this form; then it is moved into the row. */
  take(): boolean {
    const shared = this.#shared;
    for (let i = 0; i < shared.length; i += 3) {
      if ((keyWords[shared[i]!]! & shared[i + 1]!) !== shared[i + 2]!) return false;
    }
    const { row } = this;
    const moves = this.#moves;
    for (let i = 0; i < moves.length; i += 4) {
      let word = keyWords[moves[i]!]!;
      const to = moves[i + 1]!;
      const way = moves[i + 2]!;
      if (way >= SWAPPED) {
        word = (word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24);
      }
      const turn = (way & 3) * 8;
      if (turn !== 0) word = (word << turn) | (word >>> (32 - turn));
      const bits = moves[i + 3]!;
      row[to] = (row[to]! & ~bits) | (word & bits);
    }
    return true;
  }
}

const SWAPPED = 4;

const wordsOf = (length: number): number => (length + 3) >> 2;

/** Brings `key` to `keyWords`; false when it is too long. */
function load(key: Uint8Array): boolean {
  if (key.length > MAX_KEY) return false;
  keyWords[wordsOf(key.length) - 1] = 0;
  keyBytes.set(key);
  return true;
}

/** The forms that a client's keys have. Not for threads: rows are shared by all that use it. */
export class KeyForms<T> {
  readonly #limit: number;
  readonly #make: () => T;
  readonly #byLength = new Map<number, KeyForm<T>[]>();
  readonly #all: KeyForm<T>[] = [];
  #next = 0;
  #refused = 0;

  /** Keeps `limit` forms. `make` makes what goes with a new one. */
  constructor(limit: number, make: () => T) {
    this.#limit = limit;
    this.#make = make;
  }

  /** The form of `key`, with the key's row in it until the next call; undefined when no key of its form was learned. */
  read(key: Uint8Array): KeyForm<T> | undefined {
    const forms = this.#byLength.get(key.length);
    if (forms === undefined || !load(key)) return undefined;
    for (const form of forms) if (form.take()) return form;
    return undefined;
  }

  /**
   * Learns the form of `key`, a key of perfect fitness with `row` for a row, and returns it. Undefined when it does not: too
   * many forms are about, or the key has attributes whose values decide more than themselves, or unknown ones.
   */
  learn(key: Uint8Array, row: Int32Array): KeyForm<T> | undefined {
    if (this.#all.length === this.#limit && ++this.#refused % EVERY !== 0) return undefined;
    if (key.length === 0 || !load(key)) return undefined;
    const free: FreeByte[] = [];
    if (!collect(key, 0, key.length, W_VLAN0, free)) return undefined;
    const form = new KeyForm(key.length, row, this.#make(), free);
    if (this.#all.length === this.#limit) this.#forget(this.#all[this.#next]!);
    this.#all[this.#next] = form;
    this.#next = (this.#next + 1) % this.#limit;
    const forms = this.#byLength.get(key.length);
    if (forms === undefined) this.#byLength.set(key.length, [form]);
    else forms.push(form);
    return form;
  }

  /** Forgets all forms. */
  clear(): void {
    this.#byLength.clear();
    this.#all.length = 0;
    this.#next = 0;
    this.#refused = 0;
  }

  #forget(form: KeyForm<T>): void {
    const forms = this.#byLength.get(form.length)!.filter((other) => other !== form);
    if (forms.length === 0) this.#byLength.delete(form.length);
    else this.#byLength.set(form.length, forms);
  }
}

/** Adds to `free` what may differ in `key[start, end)`; `tag` is the row's word for the next tag. False: it has no form. */
function collect(key: Uint8Array, start: number, end: number, tag: number, free: FreeByte[]): boolean {
  const reader = new NlReader(key, start, end);
  let next = tag;
  while (reader.next()) {
    const { type, offset, length } = reader;
    if (type === KEY_ATTR.ENCAP) {
      if (!collect(key, offset, offset + length, next, free)) return false;
      continue;
    }
    let runs = RUNS[type];
    if (type === KEY_ATTR.VLAN) {
      // A tag that the packet cuts off.
      if ((key[offset]! & TAG_PRESENT) === 0) return false;
      runs = [{ ...network(0, 2, next++, 2), fixed: TAG_PRESENT }];
    }
    if (runs === undefined) return false;
    for (const { from, bytes, to, reversed = false, fixed = 0 } of runs) {
      for (let i = 0; i < bytes; i++) {
        // Rows are words: on the little-endian hosts that speak this ABI their first byte in memory is the last.
        const target = (reversed ? to + bytes - 1 - i : to + i) ^ 3;
        free.push({ from: offset + from + i, to: target, fixed: i === 0 ? fixed : 0 });
      }
    }
  }
  return true;
}
