/** What was made of runs of words lately, found by the words: masks come again and again, in few kinds. Control path. */

interface Item<T> {
  readonly words: Int32Array;
  readonly value: T;
}

export class Recent<T> {
  readonly #limit: number;
  readonly #items: Item<T>[] = [];
  /** The item found last: the search begins there, and goes on with the one after it, as clients that take turns do. */
  #last = 0;
  #oldest = 0;

  /** Keeps the `limit` latest. */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** What was added for `words[at, at + length)`. */
  find(words: Int32Array, at: number, length: number): T | undefined {
    const items = this.#items;
    const count = items.length;
    for (let i = 0, next = this.#last; i < count; i++) {
      const item = items[next]!;
      if (same(item.words, words, at, length)) {
        this.#last = next;
        return item.value;
      }
      if (++next === count) next = 0;
    }
    return undefined;
  }

  add(words: Int32Array, at: number, length: number, value: T): void {
    this.#items[this.#oldest] = { words: words.slice(at, at + length), value };
    this.#last = this.#oldest;
    this.#oldest = (this.#oldest + 1) % this.#limit;
  }
}

function same(item: Int32Array, words: Int32Array, at: number, length: number): boolean {
  if (item.length !== length) return false;
  for (let i = 0; i < length; i++) if (item[i] !== words[at + i]) return false;
  return true;
}
