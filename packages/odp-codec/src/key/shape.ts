/**
 * What a row of the attribute table is made of: its shape says how the payload of one attribute is printed, read from
 * text and written as a model. Two shapes cover most attributes, one unnamed value and a struct of named fields;
 * the others live in files of their own and are referenced from the table.
 */
import { OdpError } from '../errors.js';
import { type NlWriter, nlAlign } from '../netlink.js';
import { Keywords } from '../text/keywords.js';
import type { ParseOptions, TextOptions } from '../text/options.js';
import type { Scanner } from '../text/scanner.js';
import { allBytes } from './bytes.js';
import { type FieldKind, printField } from './kind.js';
import type { KeyModel } from './schema.js';

/** A stretch of bytes: the payload of an attribute, or a run of attributes. */
export interface Span {
  readonly bytes: Uint8Array;
  readonly at: number;
  readonly length: number;
}

/** State of one parse: how deep `encap(` is nested, and who parses what is inside it. */
export interface ParseContext {
  readonly options: ParseOptions;
  /** Whether this is the key of a flow, as opposed to the attribute of a set action, which is never left out. */
  readonly wholeKey: boolean;
  depth: number;
  /** Reads one attribute, whatever it is. */
  attribute(scan: Scanner, key: NlWriter, mask: NlWriter | undefined, context: ParseContext): void;
}

export interface PrintContext {
  readonly verbose: boolean;
  readonly portName?: TextOptions['portName'];
  /** Prints the attributes inside encap(). */
  attributes(key: Span, mask: Span | undefined, context: PrintContext): string;
}

export type EncodeRun = (model: unknown, out: NlWriter, what: string) => void;

export interface Shape<M = unknown> {
  /** The text between the parentheses. `exact` says that the mask, if there is one, has all bits that count. */
  print(value: Span, mask: Span | undefined, exact: boolean, context: PrintContext): string;
  /** Reads the text after the opening parenthesis, the closing one included, and appends the attribute. */
  parse(type: number, scan: Scanner, key: NlWriter, mask: NlWriter | undefined, context: ParseContext): void;
  /** Throws an {@link OdpError} for a payload that no model describes. `nested` decodes a run of attributes. */
  decode(value: Span, nested: (run: Span) => KeyModel): M;
  /** Appends the attribute; `what` names it for errors. `nested` encodes a model as a run of attributes. */
  encode(type: number, model: unknown, out: NlWriter, what: string, nested: EncodeRun): void;
  /** What may stand between the parentheses, for the documentation. */
  readonly text: string;
}

export const bad = (message: string): OdpError => new OdpError('EINVAL', message);

/** A value that is not what it should be, for an error message. */
export function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (Array.isArray(value)) return 'a list';
  return typeof value === 'object' && value !== null ? 'an object' : String(value);
}

export const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Writes one field of a model, or says why not: `what`, or `what.name`, must be something else. */
export function putField(
  kind: FieldKind,
  value: unknown,
  into: Uint8Array,
  at: number,
  what: string,
  name?: string,
): void {
  if (kind.fromJson(value, into, at)) return;
  throw bad(`${what}${name === undefined ? '' : `.${name}`} must be ${kind.json}, not ${show(value)}`);
}

const COMMA = 0x2c;
const CLOSE = 0x29;

/** Where a mask goes that may be given but is not wanted. */
const unwanted = new Uint8Array(16);

/** Appends an attribute of one value that the text gives, and its mask when there is one to write; says if there was. */
export function scanValue(
  type: number,
  kind: FieldKind,
  scan: Scanner,
  key: NlWriter,
  mask: NlWriter | undefined,
  strict: boolean,
): boolean {
  const at = key.reserve(type, kind.bytes);
  const maskAt = mask?.reserve(type, kind.bytes) ?? 0;
  return kind.scan(scan, key.memory, at, mask?.memory ?? unwanted, maskAt, strict);
}

/** Closes a nested attribute that a text filled; too long a one is E2BIG, as in OVS. */
export function endNested(out: NlWriter, mark: number, scan: Scanner): void {
  checkSize(out.length - mark, scan);
  out.end(mark);
}

/** `length` is that of an attribute with its header. */
export function checkSize(length: number, scan: Scanner): void {
  if (length > 0xffff) scan.fail(`at most ${0xffff} bytes of attributes before`, 'E2BIG');
}

interface ValueRules {
  /**
   * Print nothing when the mask is all zeros (or there is none) and the text is not verbose; and where a mask is wanted,
   * unless strictly, read nothing as `0/0`.
   */
  readonly hideWildcard?: boolean;
  /** The text has no mask and the mask is always exact. */
  readonly noMask?: boolean;
  /**
   * `0/mask` is an attribute that only the mask of a flow has: so OVS prints a mask that has eth_type where the key has
   * none (a frame without Ethertype). Read strictly it is an attribute with value 0, as OVS reads it.
   */
  readonly zeroIsAbsent?: boolean;
}

/** One unnamed value: `skb_mark(0x1/0xff)`. Such a value may carry a mask even where only an exact key is wanted. */
export function value<J extends number | string>(kind: FieldKind<J>, rules: ValueRules = {}): Shape<J> {
  return {
    print(value, mask, exact, { verbose }) {
      if (
        rules.hideWildcard &&
        !verbose &&
        (mask === undefined || allBytes(mask.bytes, mask.at, mask.length, 0))
      ) {
        return '';
      }
      const text = kind.print(value.bytes, value.at);
      return exact || mask === undefined ? text : `${text}/${kind.printMask(mask.bytes, mask.at)}`;
    },
    parse(type, scan, key, mask, { options, wholeKey }) {
      const strict = options.strict ?? false;
      const start = scan.position;
      const mark = key.length;
      if (rules.hideWildcard && !strict && mask !== undefined && scan.acceptCode(CLOSE)) {
        key.reserve(type, kind.bytes);
        mask.reserve(type, kind.bytes);
        return;
      }
      if (rules.noMask) {
        const at = key.reserve(type, kind.bytes);
        if (!kind.scan(scan, key.memory, at, undefined, 0, strict)) scan.fail(kind.expected);
        if (mask !== undefined) {
          const maskAt = mask.reserve(type, kind.bytes);
          for (let i = maskAt; i < maskAt + kind.bytes; i++) mask.memory[i] = 0xff;
        }
      } else if (!scanValue(type, kind, scan, key, mask, strict)) {
        scan.fail(kind.expected);
      }
      if (
        rules.zeroIsAbsent &&
        !strict &&
        wholeKey &&
        allBytes(key.memory, key.length - nlAlign(kind.bytes), kind.bytes, 0) &&
        scan.text.slice(start, scan.position).includes('/')
      ) {
        const end = scan.position;
        scan.position = start;
        // A value that is 0 only because it was cut to its width says something else than that there is none.
        scan.need(scan.wide(kind.bytes), kind.expected);
        scan.expect('/');
        scan.need(scan.wide(kind.bytes), kind.expected);
        scan.position = end;
        key.rewind(mark);
      }
      if (!scan.acceptCode(CLOSE)) scan.fail("')'");
    },
    decode: (value) => kind.toJson(value.bytes, value.at),
    encode(type, model, out, what) {
      const at = out.reserve(type, kind.bytes);
      putField(kind, model, out.memory, at, what);
    },
    text: rules.noMask ? 'value' : 'value[/mask]',
  };
}

/** A named field of a struct. */
export interface Field {
  readonly name: string;
  /** `name=`, as it is printed. */
  readonly label: string;
  /** `,name=`. */
  readonly nextLabel: string;
  readonly at: number;
  readonly kind: FieldKind;
  /** Another name that is read where the text need not be strict OVS. */
  readonly alias: string | undefined;
  /** The name OVS reads, where it is not the one that OVS prints. */
  readonly reads: string;
}

/** The value of the field of `kind` at an offset in a payload. `reads` is the name that OVS reads, if it prints another. */
export type FieldValue = <J extends number | string>(kind: FieldKind<J>, at: number, reads?: string) => J;

/**
 * The fields of a payload, in their order in text: an object literal with the value of each. A list would do for all other
 * uses, but V8 makes an object by a literal in half the time that it takes to set one property after another by name: a
 * key is decoded in three quarters of the time.
 */
export type Fields<M> = (value: FieldValue) => M;

/** The fields as a list, none longer than an IPv6 address. */
export function fieldsOf(fields: Fields<object>): readonly Field[] {
  const zeros = new Uint8Array(16);
  const found: Pick<Field, 'at' | 'kind' | 'reads'>[] = [];
  const model = fields((kind, at, reads = '') => {
    found.push({ at, kind, reads });
    return kind.toJson(zeros, 0);
  });
  return Object.keys(model).map((name, i) => {
    const { at, kind, reads } = found[i]!;
    const label = `${name}=`;
    const other = reads === '' ? undefined : `${reads}=`;
    const alias = other && label;
    return { name, label, nextLabel: `,${label}`, at, kind, reads: other ?? label, alias };
  });
}

/** Where {@link valueAt} reads. */
let payload: Uint8Array = new Uint8Array(0);
let payloadAt = 0;
const valueAt: FieldValue = (kind, at) => kind.toJson(payload, payloadAt + at);

/** The names of fields, as they are read strictly or not. */
export function fieldNames(fields: readonly Field[], strict: boolean): Keywords<Field> {
  const names: [name: string, field: Field][] = [];
  for (const each of fields) {
    names.push([each.reads, each]);
    if (!strict && each.alias !== undefined) names.push([each.alias, each]);
  }
  return new Keywords(names);
}

/**
 * Reads what follows an item of a `,`-separated list: true at the closing parenthesis, false where another item may come.
 * `found` is whether there was an item: as in OVS, the list may be empty and a comma may stand at its end.
 */
export function endsList(scan: Scanner, found: boolean, names: string): boolean {
  if (scan.acceptCode(CLOSE)) return true;
  if (!found) scan.fail(`${names} or ')'`);
  if (!scan.acceptCode(COMMA)) scan.fail(`',' or ')'`);
  return false;
}

/** The JSON form of fields at fixed offsets in a payload of `length` bytes. */
export interface FieldsCodec<M> {
  readonly fields: readonly Field[];
  decode(value: Span): M;
  encode(type: number, model: unknown, out: NlWriter, what: string): void;
}

/**
 * Writes the fields of a model whose properties are exactly those of the table, in its order; false for any other, and
 * where a value is wrong. Within `for in` V8 reads a property by its index: a third less time than by its name.
 */
function encodeInOrder(
  model: Record<string, unknown>,
  fields: readonly Field[],
  into: Uint8Array,
  start: number,
): boolean {
  let next = 0;
  for (const name in model) {
    const expected = fields[next++];
    if (expected === undefined || expected.name !== name) return false;
    if (!expected.kind.fromJson(model[name], into, start + expected.at)) return false;
  }
  return next === fields.length;
}

export function fieldsCodec<M extends object>(length: number, describe: Fields<M>): FieldsCodec<M> {
  const fields = fieldsOf(describe);
  const known = new Set(fields.map((each) => each.name));
  return {
    fields,
    decode({ bytes, at }) {
      payload = bytes;
      payloadAt = at;
      return describe(valueAt);
    },
    encode(type, model, out, what) {
      if (!isObject(model)) throw bad(`${what} must be an object, not ${show(model)}`);
      const start = out.reserve(type, length);
      if (encodeInOrder(model, fields, out.memory, start)) return;
      const given = Object.keys(model);
      if (given.length > fields.length) {
        const odd = given.find((name) => !known.has(name));
        throw bad(`${what} has no field ${odd}; it has ${[...known].join(', ')}`);
      }
      for (const { name, at, kind } of fields)
        putField(kind, model[name], out.memory, start + at, what, name);
    },
  };
}

/** Named fields at fixed offsets: `tcp(src=80,dst=1024)`. `length` may exceed the fields by padding, which is zero. */
export function struct<M extends object>(length: number, describe: Fields<M>): Shape<M> {
  const { fields, decode, encode } = fieldsCodec(length, describe);
  const expected = fields.map((each) => each.reads).join(', ');
  const names = fieldNames(fields, false);
  const strictNames = fieldNames(fields, true);
  return {
    decode,
    encode,
    print({ bytes, at: start }, mask, exact, { verbose }) {
      let out = '';
      // Where all bits that count are there, the fields need not be looked at one by one.
      const wild = exact ? undefined : mask?.bytes;
      const wildStart = mask?.at ?? 0;
      for (const { label, nextLabel, at, kind } of fields) {
        const name = out === '' ? label : nextLabel;
        out += printField(kind, name, bytes, start + at, wild, wildStart + at, verbose);
      }
      return out;
    },
    parse(type, scan, key, mask, { options }) {
      const strict = options.strict ?? false;
      const known = strict ? strictNames : names;
      const start = key.reserve(type, length);
      const maskStart = mask?.reserve(type, length) ?? 0;
      const value = key.memory;
      const wildcard = mask?.memory;
      let found: Field | undefined;
      do {
        found = known.take(scan);
        if (found === undefined) continue;
        const { at, kind } = found;
        if (!kind.scan(scan, value, start + at, wildcard, maskStart + at, strict)) scan.fail(kind.expected);
      } while (!endsList(scan, found !== undefined, expected));
    },
    text: fields.map((each) => `${each.reads}..`).join(','),
  };
}
