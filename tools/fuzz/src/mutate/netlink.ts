/**
 * Mutations of Netlink attributes that keep the lengths around them right, so that the code behind the first length check
 * is reached. Walks the attributes itself rather than with the reader that is under test.
 */

import type { Random } from '../random.js';
import { mutateBytes, mutateInPlace } from './bytes.js';

interface Attribute {
  readonly type: number;
  readonly payload: Uint8Array;
  /** Set when the payload reads as attributes; then it is what counts. */
  readonly children?: readonly Attribute[];
}

const HEADER = 4;
/** Larger types are no sign of nested attributes. */
const LARGEST_TYPE = 40;
/** Deeper attributes count as bytes. */
const MAX_DEPTH = 40;
/** Deepest nesting that a mutation adds at once. */
const DEEP = 700;

const align = (length: number): number => (length + 3) & ~3;

/** The attributes in `bytes`; undefined when that is not all there is. */
function readAttributes(bytes: Uint8Array, depth = 0): Attribute[] | undefined {
  const attributes: Attribute[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (bytes.length - at < HEADER) return undefined;
    const length = bytes[at]! | (bytes[at + 1]! << 8);
    const type = (bytes[at + 2]! | (bytes[at + 3]! << 8)) & 0x3fff;
    if (length < HEADER || length > bytes.length - at || (depth > 0 && type > LARGEST_TYPE)) return undefined;
    const payload = bytes.subarray(at + HEADER, at + length);
    const children = payload.length > 0 && depth < MAX_DEPTH ? readAttributes(payload, depth + 1) : undefined;
    attributes.push(children === undefined ? { type, payload } : { type, payload, children });
    at += align(length);
  }
  return attributes;
}

/** Longer payloads than an attribute can have are cut. */
function writeAttributes(attributes: readonly Attribute[]): Uint8Array {
  const payloads = attributes.map(({ payload, children }) =>
    (children === undefined ? payload : writeAttributes(children)).subarray(0, 0xffff - HEADER),
  );
  const out = new Uint8Array(payloads.reduce((sum, { length }) => sum + HEADER + align(length), 0));
  let at = 0;
  for (const [i, payload] of payloads.entries()) {
    const length = HEADER + payload.length;
    out.set([length & 0xff, length >> 8, attributes[i]!.type & 0xff, attributes[i]!.type >> 8], at);
    out.set(payload, at + HEADER);
    at += align(length);
  }
  return out;
}

function everyAttribute(attributes: readonly Attribute[]): Attribute[] {
  return attributes.flatMap((attribute) => [attribute, ...everyAttribute(attribute.children ?? [])]);
}

/** An attribute of `donor`, however deep; one without payload when there is none. */
function donated(random: Random, donor: readonly Attribute[]): Attribute {
  const all = everyAttribute(donor);
  return all.length > 0
    ? random.pick(all)
    : { type: random.below(LARGEST_TYPE), payload: new Uint8Array(random.below(20)) };
}

/** Changes one list. */
type Change = (
  random: Random,
  list: readonly Attribute[],
  donor: readonly Attribute[],
) => readonly Attribute[];

/** A change of the attribute in one place. */
const at =
  (
    change: (random: Random, attribute: Attribute, donor: readonly Attribute[]) => readonly Attribute[],
  ): Change =>
  (random, list, donor) => {
    if (list.length === 0) return [donated(random, donor)];
    const place = random.below(list.length);
    return list.toSpliced(place, 1, ...change(random, list[place]!, donor));
  };

const leaf = (type: number, payload: Uint8Array): Attribute => ({ type, payload });

const inPlace = at((random, { type, payload }) => [leaf(type, mutateInPlace(random, payload))]);
const insert = at((random, attribute, donor) => [donated(random, donor), attribute]);

const CHANGES: readonly Change[] = [
  inPlace,
  inPlace,
  inPlace,
  insert,
  insert,
  at(() => []),
  at((_random, attribute) => [attribute, attribute]),
  at((random, attribute) => [{ ...attribute, type: random.below(LARGEST_TYPE) }]),
  at((random, attribute, donor) => [{ ...attribute, type: donated(random, donor).type }]),
  at((random, { type }, donor) => [{ ...donated(random, donor), type }]),
  // Another value for an attribute that the list has: the same place, plausible contents.
  at((random, attribute, donor) => {
    const same = everyAttribute(donor).filter(({ type }) => type === attribute.type);
    return same.length > 0 ? [random.pick(same)] : [attribute];
  }),
  at((random, { type, payload }) => [leaf(type, mutateBytes(random, payload, payload))]),
  at((random, { type, payload }) => [leaf(type, payload.subarray(0, random.below(payload.length + 1)))]),
  // The exact value of a mask, and nothing.
  at((random, { type, payload }) => [
    leaf(type, new Uint8Array(payload.length).fill(random.pick([0, 0xff]))),
  ]),
  // Around it, and out of it.
  at((random, attribute, donor) => [{ ...donated(random, donor), children: [attribute] }]),
  at((_random, attribute) => attribute.children ?? []),
  (random, list) => {
    const from = random.below(list.length);
    return [...list.slice(from), ...list.slice(0, from)];
  },
  at((random, attribute) => {
    let deep = attribute;
    for (let level = random.below(random.pick([4, 4, 4, 40, 40, DEEP])); level > 0; level--) {
      deep = { type: attribute.type, payload: attribute.payload, children: [deep] };
    }
    return [deep];
  }),
];

/** Applies `change` to one of the lists in the tree. */
function somewhere(
  random: Random,
  list: readonly Attribute[],
  change: (list: readonly Attribute[]) => readonly Attribute[],
): readonly Attribute[] {
  const nested = list.flatMap((attribute, i) => (attribute.children === undefined ? [] : [i]));
  if (nested.length === 0 || random.oneIn(2)) return change(list);
  const place = random.pick(nested);
  const attribute = list[place]!;
  return list.with(place, { ...attribute, children: somewhere(random, attribute.children!, change) });
}

/** One mutation. Bytes that are no attributes, and now and then others, are mutated as plain bytes. */
export function mutateNetlink(random: Random, bytes: Uint8Array, donor: Uint8Array): Uint8Array {
  const list = random.oneIn(5) ? undefined : readAttributes(bytes);
  if (list === undefined) return mutateBytes(random, bytes, donor);
  const others = readAttributes(donor) ?? [];
  return writeAttributes(somewhere(random, list, (found) => random.pick(CHANGES)(random, found, others)));
}

/** Every way to leave out or shorten one attribute, or to put what is in it in its place: smaller inputs to try. */
export function shrinkNetlink(bytes: Uint8Array): Uint8Array[] {
  const list = readAttributes(bytes);
  if (list === undefined) return [];
  return shrinkList(list).map(writeAttributes);
}

function shrinkList(list: readonly Attribute[]): (readonly Attribute[])[] {
  return list.flatMap((attribute, i) => {
    const { children } = attribute;
    const without = list.toSpliced(i, 1);
    if (children === undefined) {
      const { length } = attribute.payload;
      const halves = [0, length >> 1, length - 1].filter((shorter) => shorter >= 0 && shorter < length);
      const shorter = halves.map((end) =>
        list.with(i, leaf(attribute.type, attribute.payload.subarray(0, end))),
      );
      return [without, ...shorter];
    }
    const inner = shrinkList(children).map((fewer) => list.with(i, { ...attribute, children: fewer }));
    return [without, list.toSpliced(i, 1, ...children), ...inner];
  });
}
