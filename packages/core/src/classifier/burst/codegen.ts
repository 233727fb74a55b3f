/**
 * Code for the masks in use: one function per list of masks that parses a burst, hashes, probes and compares with word
 * numbers, masks and hash factors as literals. Control path.
 *
 * V8 is the compiler, and folds what it can see to be constant: so code belongs to one `BurstLookup`, and the memory that
 * it works on is a constant of the function around it (a typed array that is an argument costs six instructions more at each
 * access). Made of numbers that we computed, never of text from outside; never per flow; and kept by the
 * masks, so that a list that comes back costs nothing. Making one takes some 0.2 ms, and V8 some milliseconds until it
 * runs at full speed: `BurstLookup` asks for code only after a list of masks has lasted for a while.
 */

import { KEY_WORDS, W_IN_PORT } from '@etherloom/odp-codec/data';
import { ROW_HEAD, type Subtable } from '../subtable.hot.js';
import type { BurstCode, BurstMemory } from './burst-lookup.hot.js';
import { COMPACT_PORT, COMPACT_WORDS, COMPACT_ZERO, type CompactTerms, TERM_WORDS } from './compact.hot.js';
import { isFrameWord, parseSource } from './parse-source.js';

/** Up to this many masks are probed one after the other, more through the flow cache. */
export const MAX_DIRECT = 4;
/** Functions kept. */
const MAX_KEPT = 64;

/** Code for one list of masks, and what goes with it. */
export interface Generated {
  readonly code: BurstCode;
  /** By what to find flows in compact rows; undefined when the code finds them itself. */
  readonly terms: CompactTerms | undefined;
}

export class BurstCodes {
  readonly #factors: Int32Array;
  /** By source text; the least recently used first. All of one lookup. */
  readonly #kept = new Map<string, BurstCode>();
  #user: BurstMemory | undefined;
  /** Set when this process may not make code from text (`--disallow-code-generation-from-strings`). */
  #forbidden = false;

  /** `factors`: the hash factors of all subtables. */
  constructor(factors: Int32Array) {
    this.#factors = factors;
  }

  /**
   * Code for `user` and `subtables` in this order. Undefined when code may not be made, or is not kept and `make` is false.
   */
  get(subtables: readonly Subtable[], user: BurstMemory, make: boolean): Generated | undefined {
    if (user !== this.#user) this.#kept.clear();
    this.#user = user;
    const direct = subtables.length <= MAX_DIRECT;
    const union = unionOf(subtables);
    const words = union.flatMap((mask, word) => (mask !== 0 && isFrameWord(word) ? [word] : []));
    const source = direct
      ? directSource(subtables, union, words, this.#factors)
      : compactSource(union, words, this.#factors);
    const code = this.#kept.get(source) ?? (make ? this.#make(source, user) : undefined);
    if (code === undefined) return undefined;
    this.#kept.delete(source);
    this.#kept.set(source, code);
    if (this.#kept.size > MAX_KEPT) {
      for (const oldest of this.#kept.keys()) {
        this.#kept.delete(oldest);
        break;
      }
    }
    return { code, terms: direct ? undefined : compactTerms(subtables, words, this.#factors) };
  }

  #make(source: string, user: BurstMemory): BurstCode | undefined {
    if (this.#forbidden) return undefined;
    try {
      const around: unknown = new Function(
        'burst',
        `${PROLOGUE}return function (count, port, subtables) {${source}};`,
      );
      const made: unknown = typeof around === 'function' ? around(user) : undefined;
      return isBurstCode(made) ? made : undefined;
    } catch (error) {
      if (!(error instanceof EvalError)) throw error;
      this.#forbidden = true;
      return undefined;
    }
  }
}

/** The constants of all code. */
const PROLOGUE = `'use strict';
const { view, tcpFlags, keys, positionHits, compact, hashes, shape: shapes } = burst;
const { groupFlow, groupEnd, groupBytes, groupFlags } = burst;
const { data, length } = burst.batch;
`;

function isBurstCode(value: unknown): value is BurstCode {
  return typeof value === 'function';
}

/** For each word of a key, the bits that some mask has. */
function unionOf(subtables: readonly Subtable[]): number[] {
  const union = new Array<number>(KEY_WORDS).fill(0);
  for (const { mask } of subtables) for (let word = 0; word < KEY_WORDS; word++) union[word]! |= mask[word]!;
  return union;
}

const and = (text: string, mask: number): string => (mask === -1 ? text : `(${text} & ${mask})`);

/** Ends a sum of products as `hashMasked` does. */
const FINISH = 'h = Math.imul(h ^ (h >>> 16), 0x85ebca6b); h ^= h >>> 13;';

/** Probes each subtable in turn. A packet that is as the one before it in all masked words has the same flow. */
function directSource(
  subtables: readonly Subtable[],
  union: readonly number[],
  words: readonly number[],
  factors: Int32Array,
): string {
  const port = (mask: Int32Array): string => `Math.imul(port & ${mask[W_IN_PORT]!}, ${factors[W_IN_PORT]!})`;
  const differs = ['fresh', ...words.map((word) => and(`(w${word} ^ last${word})`, union[word]!))];
  return `
${subtables
  .map(
    ({ mask }, s) => `
const rows${s} = subtables[${s}].rows, slots${s} = subtables[${s}].index.slots;
const end${s} = subtables[${s}].index.mask, port${s} = ${port(mask)};`,
  )
  .join('')}
let ${['fresh = 1', 'found = -1', 'position = 0', ...words.map((word) => `last${word} = 0`)].join(', ')};
let group = -1, current = -2, start = 0, currentPosition = 0, bytes = 0, allFlags = 0;
for (let i = 0; i < count; i++) {
  const at = data[i];
  const n = length[i];
  ${parseSource(words)}
  if ((${differs.join(' | ')}) !== 0) {
    fresh = 0;
    ${words.map((word) => `last${word} = w${word};`).join(' ')}
    found = -1;
    position = 0;
    ${subtables.map((subtable, s) => probeSource(subtable, s, words, factors)).join('')}
    if (found !== current) {
      ${CLOSE_GROUP}
      group++;
      groupFlow[group] = found;
      current = found;
      currentPosition = position;
      start = i;
      bytes = 0;
      allFlags = 0;
    }
  }
  bytes += n;
  allFlags |= flags;
  shapes[i] = shape;
}
const i = count;
${CLOSE_GROUP}
return group + 1;`;
}

const CLOSE_GROUP = `
      if (group >= 0) {
        groupEnd[group] = i;
        groupBytes[group] = bytes;
        groupFlags[group] = allFlags;
        positionHits[currentPosition] += i - start;
      }`;

/** Probes the subtable at position `s`, unless one before it had the flow. */
function probeSource(subtable: Subtable, s: number, words: readonly number[], factors: Int32Array): string {
  const { mask } = subtable;
  const own = words.filter((word) => mask[word] !== 0);
  const value = (word: number): string => {
    if (word === W_IN_PORT) return and('port', mask[word]!);
    return isFrameWord(word) ? `m${word}` : '0';
  };
  const equal: string[] = [];
  let at = ROW_HEAD;
  for (let run = 0; run < subtable.runs.length; run += 2) {
    for (let word = subtable.runs[run]!; word < subtable.runs[run + 1]!; word++, at++) {
      if (mask[word] !== 0) equal.push(`rows${s}[row + ${at}] === ${value(word)}`);
    }
  }
  return `
    if (found < 0) {
      ${own.map((word) => `const m${word} = ${and(`w${word}`, mask[word]!)};`).join(' ')}
      let h = port${s};
      ${own.map((word) => `h = (h + Math.imul(m${word}, ${factors[word]!})) | 0;`).join(' ')}
      ${FINISH}
      for (let slot = h & end${s}; ; slot = (slot + 1) & end${s}) {
        const entry = slots${s}[slot * 2 + 1];
        if (entry === 0) break;
        if (slots${s}[slot * 2] !== h) continue;
        const row = (entry - 1) * ${subtable.stride};
        if (${equal.join(' && ') || 'true'}) {
          found = rows${s}[row] - 1;
          position = ${s + 1};
          break;
        }
      }
    }`;
}

/** Leaves the words that masks need as compact rows, and a hash over all of them. */
function compactSource(union: readonly number[], words: readonly number[], factors: Int32Array): string {
  return `
const hashOfPort = Math.imul(port & ${union[W_IN_PORT]!}, ${factors[W_IN_PORT]!});
for (let i = 0; i < count; i++) {
  const at = data[i];
  const n = length[i];
  ${parseSource(words)}
  const row${COMPACT_PORT} = i * ${COMPACT_WORDS};
  compact[row${COMPACT_PORT} + ${COMPACT_PORT}] = port;
  let h = hashOfPort;
  ${words
    .map((word, slot) => {
      const masked = and(`w${word}`, union[word]!);
      return `{ const m = ${masked}; compact[row${COMPACT_PORT} + ${COMPACT_PORT + 1 + slot}] = m; h = (h + Math.imul(m, ${factors[word]!})) | 0; }`;
    })
    .join('\n  ')}
  ${FINISH}
  hashes[i] = h;
  tcpFlags[i] = flags;
  shapes[i] = shape;
}
return 0;`;
}

/** Where the words of each subtable's mask are in compact rows and in the subtable's own rows. */
function compactTerms(
  subtables: readonly Subtable[],
  words: readonly number[],
  factors: Int32Array,
): CompactTerms {
  const terms: number[] = [];
  const ends: number[] = [];
  const positions = new Int32Array(Math.max(0, ...subtables.map(({ id }) => id + 1))).fill(-1);
  subtables.forEach(({ id, mask, runs }, position) => {
    positions[id] = position;
    let at = ROW_HEAD;
    for (let run = 0; run < runs.length; run += 2) {
      for (let word = runs[run]!; word < runs[run + 1]!; word++, at++) {
        if (mask[word] === 0) continue;
        const inFrame = words.indexOf(word);
        const slot =
          word === W_IN_PORT ? COMPACT_PORT : inFrame < 0 ? COMPACT_ZERO : COMPACT_PORT + 1 + inFrame;
        terms.push(slot, mask[word]!, at, factors[word]!);
      }
    }
    ends.push(terms.length);
  });
  if (terms.length % TERM_WORDS !== 0) throw new Error('terms have four words each');
  return { terms: Int32Array.from(terms), ends: Int32Array.from(ends), positions };
}
