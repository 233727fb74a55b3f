/**
 * Keys that differ from one before only in values: same attributes in the same places, same protocols. A client's keys
 * have a handful of such forms. What is true of one key of a form is true of all: how well it fits, which masks and
 * actions go with it, whether its row says all of it. So only the first key of a form is parsed; of the others the bytes
 * that may differ are moved into the row that the first one left (0.15 us instead of 0.6).
 */
import { KEY_WORDS, W_VLAN0 } from './fields.js';
import { collect, type FreeByte, movesOf, moveWords } from './forms.js';
import { keyToFlow } from './key-to-flow.js';

/** When there are as many forms as are kept, one in so many new ones takes an old one's place: learning takes 10 us. */
const EVERY = 16;

/** Longer keys are parsed, each of them. */
const MAX_KEY = 512;

/** What keys are compared in: words, since a key has 160 bytes and that many comparisons would take 0.1 us. */
const keyWords = new Int32Array(MAX_KEY / 4);
const keyBytes = new Uint8Array(keyWords.buffer);
const changed = new Int32Array(KEY_WORDS);

/** A row that keys of different forms are read to in turn. */
export interface FormRow {
  /** KEY_WORDS words. */
  readonly row: Int32Array;
  /** The form of the key that was read last; undefined when something else was written to the row. */
  form: KeyForm<unknown> | undefined;
}

/** One form, and the last key that had it. */
export class KeyForm<T> {
  /** The row of the key that was read last. */
  readonly row: Int32Array;
  /** What the user of the forms keeps with this one. */
  readonly data: T;
  /** Of the key's bytes. */
  readonly length: number;
  /** Words of a row from this one on are zero whatever the key. */
  readonly end: number;
  /** Words of the key that hold bits which all keys share: triples of place, those bits, and what they are. */
  readonly #shared: Int32Array;
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
    this.#moves = movesOf(free);
    let end = KEY_WORDS;
    while (end > 0 && row[end - 1] === 0) end--;
    for (const { to } of free) end = Math.max(end, (to >> 2) + 1);
    this.end = end;
  }

  /** Whether the key in `keyWords`, of this form's length, has this form; then it is moved into the row. */
  take(): boolean {
    if (!this.fits()) return false;
    moveWords(this.#moves, keyWords, 0, this.row);
    return true;
  }

  /** Whether the key in `keyWords`, of this form's length, has this form. */
  fits(): boolean {
    const shared = this.#shared;
    for (let i = 0; i < shared.length; i += 3) {
      if ((keyWords[shared[i]!]! & shared[i + 1]!) !== shared[i + 2]!) return false;
    }
    return true;
  }

  /** Moves the key in `keyWords`, which has this form, into another row. */
  moveTo(target: FormRow): void {
    // What keys of the form do not differ in is there already, mostly.
    if (target.form !== this) {
      target.row.set(this.row);
      target.form = this;
    }
    moveWords(this.#moves, keyWords, 0, target.row);
  }
}

const wordsOf = (length: number): number => (length + 3) >> 2;

/** Brings `key` to `keyWords`; false when it is too long. */
function load(key: Uint8Array): boolean {
  if (key.length > MAX_KEY) return false;
  keyWords[wordsOf(key.length) - 1] = 0;
  keyBytes.set(key);
  return true;
}

/** Whether the key in `keyWords`, which `form` was learned of, means what the form says with all its values changed, too. */
function holds(form: KeyForm<unknown>, free: readonly FreeByte[]): boolean {
  const change = (): void => {
    // Each place by another value: two that go to the same place of the row would agree otherwise.
    for (const { from, fixed } of free) keyBytes[from]! ^= (from * 37 + 11) & 0xff & ~fixed;
  };
  change();
  const { fitness } = keyToFlow(keyBytes.subarray(0, form.length), changed);
  const same = form.take() && form.row.every((word, i) => word === changed[i]);
  change();
  return fitness === 'perfect' && same && form.take();
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

  /** As {@link read}, with the key's row in `target`, which is left as it is when the key has no form. */
  readTo(key: Uint8Array, target: FormRow): KeyForm<T> | undefined {
    const forms = this.#byLength.get(key.length);
    if (forms === undefined || !load(key)) return undefined;
    for (const form of forms) {
      if (!form.fits()) continue;
      form.moveTo(target);
      return form;
    }
    return undefined;
  }

  /**
   * Learns the form of `key`, a key of perfect fitness with `row` for a row, and returns it. Undefined when it does not: too
   * many forms are about, or the key has attributes whose values decide more than themselves, unknown ones, or some that a
   * row takes no notice of (beside encap()).
   */
  learn(key: Uint8Array, row: Int32Array): KeyForm<T> | undefined {
    if (this.#all.length === this.#limit && ++this.#refused % EVERY !== 0) return undefined;
    if (key.length === 0 || !load(key)) return undefined;
    const free: FreeByte[] = [];
    if (!collect(key, 0, key.length, W_VLAN0, free)) return undefined;
    const form = new KeyForm(key.length, row, this.#make(), free);
    if (!holds(form, free)) return undefined;
    if (this.#all.length === this.#limit) this.#forget(this.#all[this.#next]!);
    this.#all[this.#next] = form;
    this.#next = (this.#next + 1) % this.#limit;
    const forms = this.#byLength.get(key.length);
    if (forms === undefined) this.#byLength.set(key.length, [form]);
    else forms.push(form);
    return form;
  }

  #forget(form: KeyForm<T>): void {
    const forms = this.#byLength.get(form.length)!.filter((other) => other !== form);
    if (forms.length === 0) this.#byLength.delete(form.length);
    else this.#byLength.set(form.length, forms);
  }
}
