/** The MAC table of a learning switch: where each station was last seen. Times are milliseconds on any monotonic clock. */

import { VlanMacMap } from './vlan-mac-map.js';

/** One learned station. */
export interface MacEntry {
  readonly vlan: number;
  readonly mac: number;
  readonly port: number;
  /** When it last sent a packet. */
  readonly seen: number;
}

interface MutableEntry extends MacEntry {
  port: number;
  seen: number;
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
  /** Entries of each port, the longest silent first: a Set keeps the order of insertion. */
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
      const added: MutableEntry = { vlan, mac, port, seen: now };
      this.#entries.set(vlan, mac, added);
      this.#queue(port).add(added);
      return evicted === undefined ? { kind: 'new' } : { kind: 'new', evicted };
    }
    const oldPort = entry.port;
    // Most packets come from a station that was heard a moment ago: ages are good to a second, for half the price.
    if (oldPort === port && now - entry.seen < PRECISION) return KNOWN;
    this.#unqueue(entry);
    entry.port = port;
    entry.seen = now;
    this.#queue(port).add(entry);
    return oldPort === port ? KNOWN : { kind: 'moved', oldPort };
  }

  /** A flow of `mac` from `port` was last used at `seen`: keeps the entry young, unless it moved away since. */
  refresh(vlan: number, mac: number, port: number, seen: number): void {
    const entry = this.#entries.get(vlan, mac);
    if (entry === undefined || entry.port !== port || entry.seen >= seen) return;
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
    return expired;
  }

  /** Forgets and returns the entries of `port`. */
  removePort(port: number): MacEntry[] {
    const entries = [...(this.#ports.get(port) ?? [])];
    for (const entry of entries) this.#forget(entry);
    return entries;
  }

  clear(): void {
    this.#entries.clear();
    this.#ports.clear();
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
    if (victim !== undefined) this.#forget(victim);
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
