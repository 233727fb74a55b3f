/**
 * Lookup of a burst of received frames: which flow each of them has. Hot: no allocation, no throw.
 *
 * Three ways to the same answer, chosen by how many masks the flows of the port have: code for these very masks
 * (codegen.ts), code for the words that they need with a cache in front of the search, or, until there is code,
 * extraction of the whole key and the search of every subtable.
 */

import { KEY_WORDS, W_IN_PORT } from '@etherloom/odp-codec/data';
import { extractFrame, LAYER_WORDS, tcpFlagsOf } from '../../flow/extract.hot.js';
import type { PacketBatch } from '../../packet/batch.hot.js';
import { findMasked, flowOfRow, type Subtable } from '../subtable.hot.js';
import { COMPACT_WORDS, type CompactTerms, findCompact, matchesCompact } from './compact.hot.js';
import { FlowCache, NO_REFERENCE, rowOf, tableOf } from './flow-cache.hot.js';

/**
 * Looks up the first `count` frames of a lookup's batch, received from port `port`. Returns the number of groups that it
 * wrote; code that goes with `CompactTerms` leaves compact rows and hashes instead, and returns 0.
 */
export type BurstCode = (count: number, port: number, subtables: readonly Subtable[]) => number;

/** The subtables that flows of one port are in. Changed by the control path (port-tables.ts). */
export interface PortSubtables {
  /** Whose the code is. Undefined when subtables came or went, until {@link refresh}. */
  readonly user: BurstMemory | undefined;
  /** Most hit first. */
  readonly subtables: readonly Subtable[];
  /** Matches by position since the last ranking, and what is left of those before. */
  readonly hits: Float64Array;
  /** Undefined until {@link cold} packets of this list of masks have made it worth while. */
  readonly code: BurstCode | undefined;
  readonly terms: CompactTerms | undefined;
  /** Packets looked up without code. */
  cold: number;
  /** Control path: brings the list up to date, with code of `user` if there is some for it. */
  refresh(user: BurstMemory): void;
  /** Control path: the subtables as the next lookup will visit them. */
  order(): readonly Subtable[];
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

/** What a lookup works on, generated code included: always the same memory. */
export class BurstMemory {
  readonly view: DataView;
  readonly batch: PacketBatch;
  /**
   * What came out: neighbours of one flow as a group. By group: the flow (-1: none), the packet behind its last one, the
   * bytes and the TCP flags of all.
   */
  readonly groupFlow: Int32Array;
  readonly groupEnd: Int32Array;
  readonly groupBytes: Int32Array;
  readonly groupFlags: Int32Array;
  /**
   * What is known of each packet besides: 0 when its whole key is in {@link keys} and its layers in {@link layers}. Else it
   * is an unfragmented IPv4 or IPv6 packet in Ethernet, and this is `l3 | l4 << 8 | padding << 16` of LAYER_L3, LAYER_L4
   * and LAYER_L2_PAD.
   */
  readonly shape: Int32Array;
  /** Rows of KEY_WORDS words; in_port is set in all, and all other metadata 0. */
  readonly keys: Int32Array;
  readonly layers: Int32Array;

  // Between code and what follows it.
  /** Packets by position of the subtable that had their flow + 1; at 0 those without flow. */
  readonly positionHits = new Int32Array(8);
  readonly tcpFlags: Int32Array;
  readonly compact: Int32Array;
  readonly hashes: Int32Array;
  readonly #vlanLimit: number;

  constructor(view: DataView, batch: PacketBatch, vlanLimit: number) {
    const { capacity } = batch;
    this.view = view;
    this.batch = batch;
    this.#vlanLimit = vlanLimit;
    this.groupFlow = new Int32Array(capacity);
    this.groupEnd = new Int32Array(capacity);
    this.groupBytes = new Int32Array(capacity);
    this.groupFlags = new Int32Array(capacity);
    this.shape = new Int32Array(capacity);
    this.keys = new Int32Array(capacity * WORDS);
    this.layers = new Int32Array(capacity * LAYERS);
    this.tcpFlags = new Int32Array(capacity);
    this.compact = new Int32Array(capacity * STRIDE);
    this.hashes = new Int32Array(capacity);
  }

  /** Extracts packet `i` whole; returns where in {@link keys} its row is. */
  extract(i: number): number {
    const { batch, keys, layers } = this;
    const row = i * WORDS;
    extractFrame(
      this.view,
      batch.data[i]!,
      batch.length[i]!,
      0,
      this.#vlanLimit,
      keys,
      row,
      layers,
      i * LAYERS,
    );
    this.tcpFlags[i] = tcpFlagsOf(keys, row);
    return row;
  }

  /** Extracts packet `i` whole, where code did not. */
  complete(i: number): void {
    if (this.shape[i] === 0) return;
    this.shape[i] = 0;
    this.extract(i);
  }
}

export class BurstLookup extends BurstMemory {
  /** Of the last {@link run}: packets with a flow, and subtables visited for them. */
  hits = 0;
  probes = 0;
  /** Those of the hits that the cache knew: a subtable each. */
  cacheHits = 0;
  readonly #cache = new FlowCache();
  readonly #ports: PortView;
  /** By packet: what the cache says, and the flow. */
  readonly #references: Int32Array;
  readonly #flow: Int32Array;
  #portOfRows = 0;

  /** Looks up what `batch` holds, with frames in `view`. `vlanLimit`: VLAN tags that become part of a key, 1 or 2. */
  constructor(ports: PortView, view: DataView, batch: PacketBatch, vlanLimit = 2) {
    super(view, batch, vlanLimit);
    this.#ports = ports;
    this.#references = new Int32Array(batch.capacity);
    this.#flow = new Int32Array(batch.capacity);
  }

  /** Looks up all packets of the batch, received from port `port`; returns the number of groups, 0 for an empty batch. */
  run(port: number): number {
    const { count } = this.batch;
    const own = this.#ports.byPort.get(port) ?? this.#ports.others;
    if (port !== this.#portOfRows) this.#setPort(port);
    if (own.user !== this) own.refresh(this);
    const { subtables, code, terms } = own;
    this.hits = 0;
    this.probes = 0;
    this.cacheHits = 0;
    if (code === undefined) {
      this.#search(own, count);
      return this.#group(count);
    }
    const groups = code(count, port, subtables);
    if (terms === undefined) {
      this.#addUp(own, subtables.length);
      return groups;
    }
    this.#resolve(own, terms, count);
    return this.#group(count);
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
  #search(own: PortSubtables, count: number): void {
    const { subtables } = own;
    for (let i = 0; i < count; i++) {
      const row = this.extract(i);
      this.shape[i] = 0;
      this.#flow[i] = -1;
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
    const { compact, hashes } = this;
    const cache = this.#cache;
    const flow = this.#flow;
    const references = this.#references;
    const { subtables } = own;
    const { positions } = terms;
    let searched = 0;
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
        searched++;
        cache.insert(hashes[i]!, subtable.id, row);
        break;
      }
    }
    this.cacheHits = this.hits - searched;
    if (cache.wantsMore) cache.grow();
  }

  #found(own: PortSubtables, i: number, position: number, subtable: Subtable, row: number): void {
    this.#flow[i] = flowOfRow(subtable, row);
    own.hits[position]! += 1;
    this.hits++;
    this.probes += position + 1;
  }

  /** Makes groups of the flows by packet. */
  #group(count: number): number {
    const flowOf = this.#flow;
    const { tcpFlags } = this;
    const { length } = this.batch;
    let group = 0;
    for (let end = 0; end < count; group++) {
      const flow = flowOf[end]!;
      let bytes = 0;
      let flags = 0;
      do {
        bytes += length[end]!;
        flags |= tcpFlags[end]!;
        end++;
      } while (end < count && flowOf[end] === flow);
      this.groupFlow[group] = flow;
      this.groupEnd[group] = end;
      this.groupBytes[group] = bytes;
      this.groupFlags[group] = flags;
    }
    return group;
  }
}

/** The flow at a place that a hint names, which may have no row by now: any number of 0 or more, or -1. */
function flowAt(subtable: Subtable, row: number): number {
  const at = row * subtable.stride;
  return at < subtable.rows.length ? subtable.rows[at]! - 1 : -1;
}
