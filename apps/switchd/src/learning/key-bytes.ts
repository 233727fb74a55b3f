/**
 * Keys of flows by small number, in pieces of memory that many share: an array of its own costs 1.5 us to make for a key
 * of 190 bytes, and as much memory again.
 */

/** Bytes for a key; longer ones, of tunnels, are kept apart. */
const ROOM = 256;
const KEYS = 1024;

export class KeyBytes {
  readonly #pieces: Uint8Array[] = [];
  readonly #lengths: number[] = [];
  readonly #long = new Map<number, Uint8Array>();

  /** Keeps a copy of `key` under `number`. */
  set(number: number, key: Uint8Array): void {
    this.#lengths[number] = key.length;
    if (key.length > ROOM) {
      this.#long.set(number, key.slice());
      return;
    }
    if (this.#long.size > 0) this.#long.delete(number);
    const piece = Math.floor(number / KEYS);
    this.#pieces[piece] ??= new Uint8Array(KEYS * ROOM);
    this.#pieces[piece].set(key, (number % KEYS) * ROOM);
  }

  /** A copy. */
  get(number: number): Uint8Array {
    const long = this.#long.get(number);
    if (long !== undefined) return long.slice();
    const start = (number % KEYS) * ROOM;
    return this.#pieces[Math.floor(number / KEYS)]!.slice(start, start + this.#lengths[number]!);
  }

  equals(number: number, key: Uint8Array): boolean {
    if (this.#lengths[number] !== key.length) return false;
    const long = this.#long.get(number);
    const piece = long ?? this.#pieces[Math.floor(number / KEYS)]!;
    const start = long === undefined ? (number % KEYS) * ROOM : 0;
    for (let i = 0; i < key.length; i++) if (piece[start + i] !== key[i]) return false;
    return true;
  }

  /** Gives all memory back. */
  clear(): void {
    this.#pieces.length = 0;
    this.#lengths.length = 0;
    this.#long.clear();
  }
}
