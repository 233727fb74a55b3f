/**
 * Lookup of a burst of received frames: which flow each of them has. Hot: no allocation, no throw.
 *
 * Three ways to the same answer, chosen by how many masks the flows of the port have: code for these very masks
 * (codegen.ts), code for the words that they need with a cache in front of the search, or, until there is code,
 * extraction of the whole key and the search of every subtable.
 */

import { KEY_WORDS, W_IN_PORT } from '@etherloom/odp-codec';
import { extractFrame, LAYER_WORDS, tcpFlagsOf } from '../../flow/extract.hot.js';
import { BATCH_SIZE } from '../../packet/batch.hot.js';
import { findMasked, type Subtable } from '../subtable.hot.js';
import { COMPACT_WORDS, type CompactTerms, findCompact, flowOfRow, matchesCompact } from './compact.hot.js';
import { FlowCache, NO_REFERENCE, rowOf, tableOf } from './flow-cache.hot.js';

/**
 * Looks up `count` frames of `length[i]` bytes at `data[i]` of `view`, received from port `port`, and writes what it
 * finds to the arrays of `burst`.
 */
export type BurstCode = (
  burst: BurstLookup,
  view: DataView,
  data: Int32Array,
  length: Int32Array,
  count: number,
  port: number,
  subtables: readonly Subtable[],
) => void;

/** The subtables that flows of one port are in. Changed by the control path (port-subtables.ts). */
export interface PortSubtables {
  /** False when subtables came or went, until {@link refresh}. */
  readonly fresh: boolean;
  /** Most hit first. */
  readonly subtables: readonly Subtable[];
  /** Matches by position since the last ranking, and what is left of those before. */
  readonly hits: Float64Array;
  /** Undefined until {@link cold} packets of this list of masks have made it worth while. */
  readonly code: BurstCode | undefined;
  readonly terms: CompactTerms | undefined;
  /** Packets looked up without code. */
  cold: number;
  /** Control path: brings the list up to date, with code if there is some for it. */
  refresh(): void;
  /** Control path: makes code for the list. */
  compile(): void;
}

/** Where lookups find the subtables of a port. */
export interface PortView {
  readonly byPort: ReadonlyMap<number, PortSubtables>;
  /** Of ports that have none of their own. */
  readonly others: PortSubtables;
}

/** Packets that a list of masks has to last for before code is made for it: the time that making it takes. */
const WARM = 2048;

// V8 folds a module's own constants into the code, imported ones not.
const WORDS = KEY_WORDS;
const LAYERS = LAYER_WORDS;
const IN_PORT = W_IN_PORT;
const STRIDE = COMPACT_WORDS;

export class BurstLookup {
  /** By packet of the burst: the flow, or -1. */
  readonly flow: Int32Array;
  /** TCP flags of the packet, 0 if it is not TCP. */
  readonly tcpFlags: Int32Array;
  /**
   * What is known of a packet besides: 0 when its whole key is in {@link keys} and its layers in {@link layers}. Else it is
   * an unfragmented IPv4 or IPv6 packet in Ethernet, or there is no flow for it, and this is
   * `l3 | l4 << 8 | padding << 16` of LAYER_L3, LAYER_L4 and LAYER_L2_PAD.
   */
  readonly shape: Int32Array;
  /** Rows of KEY_WORDS words; in_port is set in all, and all other metadata 0. */
  readonly keys: Int32Array;
  readonly layers: Int32Array;
  /** Of the last {@link run}: packets with a flow, and subtables visited for them. */
  hits = 0;
  probes = 0;

  // For generated code.
  /** Packets by position of the subtable that had their flow + 1; at 0 those without flow. */
  readonly positionHits = new Int32Array(8);
  readonly compact: Int32Array;
  readonly hashes: Int32Array;

  readonly cache = new FlowCache();
  readonly #ports: PortView;
  readonly #vlanLimit: number;
  /** What the cache says, and where that is in the list of subtables. */
  readonly #references: Int32Array;
  #portOfRows = 0;

  /** `vlanLimit`: VLAN tags that become part of a key, 1 or 2. */
  constructor(ports: PortView, vlanLimit = 2, capacity = BATCH_SIZE) {
    this.#ports = ports;
    this.#vlanLimit = vlanLimit;
    this.flow = new Int32Array(capacity);
    this.tcpFlags = new Int32Array(capacity);
    this.shape = new Int32Array(capacity);
    this.keys = new Int32Array(capacity * WORDS);
    this.layers = new Int32Array(capacity * LAYERS);
    this.compact = new Int32Array(capacity * STRIDE);
    this.hashes = new Int32Array(capacity);
    this.#references = new Int32Array(capacity);
  }

  /** Looks up the first `count` frames (`data`, `length`: as in a `PacketBatch`) of `view`, received from `port`. */
  run(view: DataView, data: Int32Array, length: Int32Array, count: number, port: number): void {
    const ports = this.#ports;
    const own = ports.byPort.get(port) ?? ports.others;
    if (port !== this.#portOfRows) this.#setPort(port);
    if (!own.fresh) own.refresh();
    const { subtables, code, terms } = own;
    this.hits = 0;
    this.probes = 0;
    if (code === undefined) {
      this.#search(own, view, data, length, count);
      return;
    }
    code(this, view, data, length, count, port, subtables);
    if (terms !== undefined) this.#resolve(own, terms, count);
    else this.#addUp(own, subtables.length);
  }

  /** Extracts frame `i` whole, where code did not: what its key and layers are then, see {@link keys}. */
  complete(view: DataView, data: number, length: number, i: number): void {
    if (this.shape[i] === 0) return;
    this.shape[i] = 0;
    this.extract(view, data, length, i);
  }

  /** Extracts the frame of `length` bytes at `data` as packet `i`; returns where in {@link keys} its row is. */
  extract(view: DataView, data: number, length: number, i: number): number {
    const row = i * WORDS;
    extractFrame(view, data, length, 0, this.#vlanLimit, this.keys, row, this.layers, i * LAYERS);
    this.tcpFlags[i] = tcpFlagsOf(this.keys, row);
    return row;
  }

  #setPort(port: number): void {
    const { keys } = this;
    for (let row = IN_PORT; row < keys.length; row += WORDS) keys[row] = port;
    this.#portOfRows = port;
  }

  /** Adds what generated code counted in `positionHits` to the sums. */
  #addUp(own: PortSubtables, subtables: number): void {
    const { positionHits } = this;
    positionHits[0] = 0;
    for (let position = 1; position <= subtables; position++) {
      const count = positionHits[position]!;
      if (count === 0) continue;
      positionHits[position] = 0;
      this.hits += count;
      this.probes += count * position;
      own.hits[position - 1]! += count;
    }
  }

  /** Without code: whole keys, and every subtable in turn. */
  #search(own: PortSubtables, view: DataView, data: Int32Array, length: Int32Array, count: number): void {
    const { subtables } = own;
    for (let i = 0; i < count; i++) {
      const row = this.extract(view, data[i]!, length[i]!, i);
      this.shape[i] = 0;
      this.flow[i] = -1;
      for (let position = 0; position < subtables.length; position++) {
        const subtable = subtables[position]!;
        const found = findMasked(subtable, this.keys, row);
        if (found < 0) continue;
        this.#found(own, i, position, subtable, found);
        break;
      }
    }
    own.cold += count;
    if (own.cold >= WARM) {
      own.cold = 0;
      own.compile();
    }
  }

  /** Finds flows for compact rows: by the cache, else by search. */
  #resolve(own: PortSubtables, terms: CompactTerms, count: number): void {
    const { cache, compact, flow, hashes } = this;
    const references = this.#references;
    const { subtables } = own;
    const { positions } = terms;
    // In loops of their own, so that the misses of the processor's caches overlap: what follows waits for them all.
    for (let i = 0; i < count; i++) references[i] = cache.find(hashes[i]!);
    for (let i = 0; i < count; i++) {
      const reference = references[i]!;
      const position = reference === NO_REFERENCE ? -1 : (positions[tableOf(reference)] ?? -1);
      flow[i] = position < 0 ? -1 : flowAt(subtables[position]!, rowOf(reference));
    }
    for (let i = 0; i < count; i++) {
      const base = i * STRIDE;
      if (flow[i]! >= 0) {
        const reference = references[i]!;
        const position = positions[tableOf(reference)]!;
        const subtable = subtables[position]!;
        if (matchesCompact(terms, position, subtable, rowOf(reference), compact, base)) {
          this.hits++;
          this.probes++;
          continue;
        }
        flow[i] = -1;
      }
      for (let position = 0; position < subtables.length; position++) {
        const subtable = subtables[position]!;
        const row = findCompact(terms, position, subtable, compact, base);
        if (row < 0) continue;
        this.#found(own, i, position, subtable, row);
        cache.insert(hashes[i]!, subtable.id, row);
        break;
      }
    }
    if (cache.wantsMore) cache.grow();
  }

  #found(own: PortSubtables, i: number, position: number, subtable: Subtable, row: number): void {
    this.flow[i] = flowOfRow(subtable, row);
    own.hits[position]! += 1;
    this.hits++;
    this.probes += position + 1;
  }
}

/** The flow at a place that a hint names, which may have no row by now: any number of 0 or more, or -1. */
function flowAt(subtable: Subtable, row: number): number {
  const at = row * subtable.stride;
  return at < subtable.rows.length ? subtable.rows[at]! : -1;
}
