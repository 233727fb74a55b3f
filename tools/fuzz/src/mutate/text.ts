/** Mutations of text: words, numbers and groups in parentheses rather than single characters. */

import type { Random } from '../random.js';

const NUMBERS = [
  '0',
  '1',
  '2',
  '31',
  '32',
  '33',
  '48',
  '63',
  '64',
  '65',
  '127',
  '128',
  '129',
  '255',
  '256',
  '4094',
  '4095',
  '4096',
  '65535',
  '65536',
  '1048575',
  '1048576',
  '4294967295',
  '4294967296',
  '9223372036854775808',
  '18446744073709551615',
  '18446744073709551616',
  '99999999999999999999999999',
  '-1',
  '-0',
  '+1',
  '0x',
  '0x0',
  '00',
  '010',
  '09',
  '0xff',
  '0xffff',
  '0xffffffff',
  '0x100000000',
  '0xffffffffffffffff',
  '0x10000000000000000',
  '1.5',
  '1e3',
  'NaN',
  'Infinity',
];
const PUNCTUATION = [
  ...'(),=/:|+-. \t\n*%!;#"\'{}[]\\',
  '',
  '\0',
  '\x7f',
  'é',
  'ſ',
  'İ',
  '０',
  '😀',
  '\u2028',
  '\ufeff',
];
/** Longest nesting that a mutation makes. */
const DEEP = 600;
const MAX_WORDS = 4000;

const WORD = /[A-Za-z_]\w*/g;
const VALUE = /[0-9a-fA-Fx.:/]{2,}/g;
const NUMBER = /0x[0-9a-fA-F]+|[0-9]+/g;

/** What can be put into texts: the words and values that `texts` are made of, without repetition. */
export function wordsOf(texts: readonly string[]): string[] {
  const words = new Set<string>();
  for (const pattern of [WORD, VALUE]) {
    for (const text of texts) {
      for (const [word] of text.matchAll(pattern)) if (words.size < MAX_WORDS) words.add(word);
    }
  }
  return [...words];
}

type Change = (random: Random, text: string, donor: string, words: readonly string[]) => string;

const replace = (text: string, at: number, length: number, by: string): string =>
  text.slice(0, at) + by + text.slice(at + length);

/** Puts `by` in the place of one of the matches of `pattern`; somewhere when there is none. */
function replaceMatch(random: Random, text: string, pattern: RegExp, by: string): string {
  const matches = [...text.matchAll(pattern)];
  if (matches.length === 0) return replace(text, random.below(text.length + 1), 0, by);
  const match = random.pick(matches);
  return replace(text, match.index, match[0].length, by);
}

/** A stretch that starts and ends where a field or group does, so that its parentheses mostly match. */
function group(random: Random, text: string): { at: number; length: number } {
  const starts = [0, ...[...text.matchAll(/[(,]/g)].map(({ index }) => index + 1)];
  const at = random.pick(starts);
  let depth = 0;
  let end = at;
  for (; end < text.length; end++) {
    const character = text[end];
    if (character === '(') depth++;
    else if (character === ')' && --depth < 0) break;
    else if (character === ',' && depth === 0 && !random.oneIn(4)) break;
  }
  return { at, length: end - at };
}

const take = (random: Random, text: string): string => {
  const { at, length } = group(random, text);
  return text.slice(at, at + length);
};

const number: Change = (random, text) => replaceMatch(random, text, NUMBER, random.pick(NUMBERS));
const word: Change = (random, text, _donor, words) =>
  words.length === 0 ? text : replaceMatch(random, text, WORD, random.pick(words));
const splice: Change = (random, text, donor) => {
  const { at, length } = group(random, text);
  return replace(text, at, length, take(random, donor));
};
const add: Change = (random, text, donor) => {
  const { at } = group(random, text);
  return replace(text, at, 0, `${take(random, donor)},`);
};

const CHANGES: readonly Change[] = [
  number,
  number,
  word,
  word,
  splice,
  splice,
  add,
  add,
  (random, text, _donor, words) =>
    words.length === 0 ? text : replaceMatch(random, text, VALUE, random.pick(words)),
  (random, text) => replace(text, random.below(text.length + 1), 0, random.pick(PUNCTUATION)),
  (random, text) => replace(text, random.below(text.length), 1, random.pick(PUNCTUATION)),
  (random, text) => replace(text, random.below(text.length), 1 + random.below(8), ''),
  (random, text) => replace(text, random.below(text.length), 1, String.fromCharCode(random.below(128))),
  (random, text) => text.slice(0, random.below(text.length + 1)),
  (random, text) => {
    const { at, length } = group(random, text);
    return replace(text, at, length, '');
  },
  (random, text) => {
    const { at, length } = group(random, text);
    return replace(text, at + length, 0, `/${random.pick(NUMBERS)}`);
  },
  (random, text) => replaceMatch(random, text, WORD, take(random, text).toUpperCase()),
  (random, text) => {
    const { at, length } = group(random, text);
    const times = 1 + random.below(random.oneIn(10) ? DEEP : 3);
    return replace(text, at, length, `${text.slice(at, at + length)},`.repeat(times));
  },
  // name(name(name(...)))
  (random, text, _donor, words) => {
    const { at, length } = group(random, text);
    const inside = text.slice(at, at + length);
    const name = words.length === 0 || random.oneIn(2) ? /^\w+/.exec(inside)?.[0] : random.pick(words);
    const times = 1 + random.below(random.pick([3, 3, 3, 40, DEEP]));
    return replace(text, at, length, `${`${name ?? 'clone'}(`.repeat(times)}${inside}${')'.repeat(times)}`);
  },
];

/** One mutation. `donor` gives what is spliced in, `words` what is put in by itself. */
export const mutateText = (random: Random, text: string, donor: string, words: readonly string[]): string =>
  random.pick(CHANGES)(random, text, donor, words);
