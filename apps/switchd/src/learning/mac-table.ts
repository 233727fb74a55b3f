/** The MAC table of a learning switch: where each station was last seen. Times are milliseconds on any monotonic clock. */

import { VlanMacMap } from './vlan-mac-map.js';

/** One learned station. */
export interface MacEntry {
  readonly vlan: number;
  readonly mac: number;
  readonly port: number;
  /** When it last sent a packet. */
  readonly seen: number;
  /** Said by the operator: never moves, ages or leaves by itself. */
  readonly fixed: boolean;
}

interface MutableEntry extends MacEntry {
  port: number;
  seen: number;
}

/** What happened in the table so far. */
export interface MacCounters {
  learned: number;
  expired: number;
  evicted: number;
  moved: number;
}

/** What a packet taught. */
export type Learned =
  | { readonly kind: 'known' }
  /** `evicted` had to leave for it. */
  | { readonly kind: 'new'; readonly evicted?: MacEntry }
  | { readonly kind: 'moved'; readonly oldPort: number };

/** Milliseconds by which an entry may look older than it is. */
const PRECISION = 1000;

const KNOWN: Learned = { kind: 'known' };

export interface MacTableOptions {
  readonly maxEntries: number;
  /** A station is forgotten when it was silent for longer than this, in milliseconds. */
  readonly maxAge: number;
}

export class MacTable {
  readonly #options: MacTableOptions;
  readonly #entries = new VlanMacMap<MutableEntry>();
  readonly counters: MacCounters = { learned: 0, expired: 0, evicted: 0, moved: 0 };
  /** Learned entries of each port, the longest silent first: a Set keeps the order of insertion. */
  readonly #ports = new Map<number, Set<MutableEntry>>();

  constructor(options: MacTableOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  lookup(vlan: number, mac: number): MacEntry | undefined {
    return this.#entries.get(vlan, mac);
  }

  /** `mac` sent a packet on `port` at time `now`. The caller keeps group addresses out. */
  learn(vlan: number, mac: number, port: number, now: number): Learned {
    const entry = this.#entries.get(vlan, mac);
    if (entry === undefined) {
      const evicted = this.size >= this.#options.maxEntries ? this.#evict() : undefined;
      const added: MutableEntry = { vlan, mac, port, seen: now, fixed: false };
      this.#entries.set(vlan, mac, added);
      this.#queue(port).add(added);
      this.counters.learned++;
      return evicted === undefined ? { kind: 'new' } : { kind: 'new', evicted };
    }
    if (entry.fixed) return KNOWN;
    const oldPort = entry.port;
    // Most packets come from a station that was heard a moment ago: ages are good to a second, for half the price.
    if (oldPort === port && now - entry.seen < PRECISION) return KNOWN;
    this.#unqueue(entry);
    entry.port = port;
    entry.seen = now;
    this.#queue(port).add(entry);
    if (oldPort === port) return KNOWN;
    this.counters.moved++;
    return { kind: 'moved', oldPort };
  }

  /** The operator says that `mac` is at `port`, whatever was learned. */
  fix(vlan: number, mac: number, port: number, now: number): void {
    this.remove(vlan, mac);
    this.#entries.set(vlan, mac, { vlan, mac, port, seen: now, fixed: true });
  }

  /** Forgets an entry, learned or fixed; returns it. */
  remove(vlan: number, mac: number): MacEntry | undefined {
    const entry = this.#entries.get(vlan, mac);
    if (entry !== undefined) this.#forget(entry);
    return entry;
  }

  /** A flow of `mac` from `port` was last used at `seen`: keeps the entry young, unless it moved away since. */
  refresh(vlan: number, mac: number, port: number, seen: number): void {
    const entry = this.#entries.get(vlan, mac);
    if (entry === undefined || entry.fixed || entry.port !== port || entry.seen >= seen) return;
    this.#unqueue(entry);
    entry.seen = seen;
    this.#queue(port).add(entry);
  }

  /** Forgets and returns the entries that were silent for too long. */
  expire(now: number): MacEntry[] {
    const expired: MacEntry[] = [];
    for (const queue of this.#ports.values()) {
      for (const entry of queue) {
        if (now - entry.seen <= this.#options.maxAge) break;
        expired.push(entry);
      }
    }
    for (const entry of expired) this.#forget(entry);
    this.counters.expired += expired.length;
    return expired;
  }

  /** Forgets and returns the entries of `port`, fixed ones too. */
  removePort(port: number): MacEntry[] {
    const entries = [...this.#entries.values()].filter((entry) => entry.port === port);
    for (const entry of entries) this.#forget(entry);
    return entries;
  }

  /** Forgets what was learned; fixed entries stay. */
  clear(): void {
    for (const queue of [...this.#ports.values()]) for (const entry of [...queue]) this.#forget(entry);
  }

  /** All entries, in no particular order. */
  entries(): Iterable<MacEntry> {
    return this.#entries.values();
  }

  /**
   * Makes room: of the port with the most entries, the one longest silent goes. So a port that floods the table with
   * invented addresses pushes out its own and leaves those of other ports alone.
   */
  #evict(): MacEntry | undefined {
    let fullest: Set<MutableEntry> | undefined;
    for (const queue of this.#ports.values()) {
      if (fullest === undefined || queue.size > fullest.size) fullest = queue;
    }
    const [victim] = fullest ?? [];
    if (victim === undefined) return undefined;
    this.#forget(victim);
    this.counters.evicted++;
    return victim;
  }

  #forget(entry: MacEntry): void {
    const found = this.#entries.get(entry.vlan, entry.mac);
    if (found === undefined) return;
    this.#unqueue(found);
    this.#entries.delete(entry.vlan, entry.mac);
  }

  #queue(port: number): Set<MutableEntry> {
    let queue = this.#ports.get(port);
    if (queue === undefined) {
      queue = new Set();
      this.#ports.set(port, queue);
    }
    return queue;
  }

  #unqueue(entry: MutableEntry): void {
    const queue = this.#ports.get(entry.port);
    queue?.delete(entry);
    if (queue?.size === 0) this.#ports.delete(entry.port);
  }
}
