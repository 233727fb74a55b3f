/**
 * What a row of the attribute table is made of: its shape says how the payload of one attribute is printed, read from
 * text and written as a model. Two shapes cover most attributes, one unnamed value and a struct of named fields;
 * the others live in files of their own and are referenced from the table.
 */
import { OdpError } from '../errors.js';
import type { NlWriter } from '../netlink.js';
import type { ParseOptions, TextOptions } from '../text/options.js';
import type { Scanner } from '../text/scanner.js';
import { allBytes } from './bytes.js';
import { type FieldKind, printField } from './kinds.js';
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

/** Appends `key` and, when there is a mask to write, `mask`. */
export function putBoth(
  type: number,
  key: NlWriter,
  keyPayload: Uint8Array,
  mask: NlWriter | undefined,
  maskPayload: Uint8Array,
): void {
  key.put(type, keyPayload);
  mask?.put(type, maskPayload);
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
  /** Print nothing when the mask is all zeros (or there is none) and the text is not verbose. */
  readonly hideWildcard?: boolean;
  /** The text has no mask and the mask is always exact. */
  readonly noMask?: boolean;
  /**
   * `0/mask` is an attribute that only the mask has: so OVS prints a mask that has eth_type where the key has none (a
   * frame without Ethertype). Read strictly it is an attribute with value 0, as OVS reads it.
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
    parse(type, scan, key, mask, { options }) {
      const value = new Uint8Array(kind.bytes);
      const wildcard = new Uint8Array(kind.bytes).fill(0xff);
      const strict = options.strict ?? false;
      const start = scan.position;
      if (!kind.scan(scan, value, 0, rules.noMask ? undefined : wildcard, strict)) scan.fail(kind.expected);
      const onlyMask =
        rules.zeroIsAbsent &&
        !strict &&
        allBytes(value, 0, kind.bytes, 0) &&
        scan.text.slice(start, scan.position).includes('/');
      scan.expect(')');
      if (onlyMask) mask?.put(type, wildcard);
      else putBoth(type, key, value, mask, wildcard);
    },
    decode: (value) => kind.toJson(value.bytes, value.at),
    encode(type, model, out, what) {
      const at = out.reserve(type, kind.bytes);
      putField(kind, model, out.memory, at, what);
    },
    text: rules.noMask ? 'value' : 'value[/mask]',
  };
}

/** A named field of a struct: `name=` reads it. */
export interface Field<N extends string = string, J extends number | string = number | string> {
  readonly name: N;
  readonly at: number;
  readonly kind: FieldKind<J>;
  /** Another name that is read where the text need not be strict OVS. */
  readonly alias?: string;
  /** The name OVS reads, where it is not the one that OVS prints. */
  readonly reads: string;
}

export function field<N extends string, J extends number | string>(
  name: N,
  at: number,
  kind: FieldKind<J>,
  reads: string = name,
): Field<N, J> {
  return { name, at, kind, reads: `${reads}=`, ...(reads === name ? {} : { alias: `${name}=` }) };
}

/** The JSON form of a list of fields. */
export type FieldsModel<F extends readonly Field[]> = {
  [P in F[number] as P['name']]: P extends Field<string, infer J> ? J : never;
};

/** Finds the field whose name comes next and takes the name. */
export function takeField<F extends Field>(
  fields: readonly F[],
  scan: Scanner,
  strict: boolean,
): F | undefined {
  for (const candidate of fields) {
    if (scan.accept(candidate.reads)) return candidate;
    if (!strict && candidate.alias !== undefined && scan.accept(candidate.alias)) return candidate;
  }
  return undefined;
}

/**
 * Reads `,`-separated fields up to the closing parenthesis; `take` reads one and says whether there was one. As in OVS,
 * the list may be empty and a comma may stand at its end.
 */
export function scanList(scan: Scanner, take: () => boolean, names: () => string): void {
  for (;;) {
    const found = take();
    if (scan.accept(')')) return;
    if (!found) scan.fail(`${names()} or ')'`);
    if (!scan.accept(',')) scan.fail(`',' or ')'`);
  }
}

/** The JSON form of fields at fixed offsets in a payload of `length` bytes. */
export interface FieldsCodec<M> {
  decode(value: Span): M;
  encode(type: number, model: unknown, out: NlWriter, what: string): void;
}

export function fieldsCodec<const F extends readonly Field[]>(
  length: number,
  fields: F,
): FieldsCodec<FieldsModel<F>> {
  const known = new Set<string>(fields.map((each) => each.name));
  // Filling a copy of an object that has all properties is twice as fast as adding them one by one.
  const payload: Span = { bytes: new Uint8Array(length), at: 0, length };
  const blank: Record<string, number | string> = {};
  for (const { name, at, kind } of fields) blank[name] = kind.toJson(payload.bytes, at);
  return {
    decode(value) {
      const model = { ...blank };
      for (const { name, at, kind } of fields) model[name] = kind.toJson(value.bytes, value.at + at);
      // The fields were just written one by one; TypeScript cannot follow a mapped type through a loop.
      return model as FieldsModel<F>;
    },
    encode(type, model, out, what) {
      if (!isObject(model)) throw bad(`${what} must be an object, not ${show(model)}`);
      let count = 0;
      for (const _name in model) count++;
      if (count > fields.length) {
        const odd = Object.keys(model).find((name) => !known.has(name));
        throw bad(`${what} has no field ${odd}; it has ${[...known].join(', ')}`);
      }
      const start = out.reserve(type, length);
      for (const { name, at, kind } of fields)
        putField(kind, model[name], out.memory, start + at, what, name);
    },
  };
}

/** Named fields at fixed offsets: `tcp(src=80,dst=1024)`. `length` may exceed the fields by padding, which is zero. */
export function struct<const F extends readonly Field[]>(length: number, fields: F): Shape<FieldsModel<F>> {
  const names = fields.map((each) => each.reads).join(', ');
  return {
    ...fieldsCodec(length, fields),
    print(value, mask, _exact, { verbose }) {
      let out = '';
      for (const { name, at, kind } of fields) {
        const text = printField(
          kind,
          name,
          value.bytes,
          value.at + at,
          mask?.bytes,
          (mask?.at ?? 0) + at,
          verbose,
        );
        if (text !== '') out += out === '' ? text : `,${text}`;
      }
      return out;
    },
    parse(type, scan, key, mask, { options }) {
      const value = new Uint8Array(length);
      const wildcard = new Uint8Array(length);
      const strict = options.strict ?? false;
      scanList(
        scan,
        () => {
          const found = takeField(fields, scan, strict);
          if (found === undefined) return false;
          const { kind } = found;
          if (!kind.scan(scan, value, found.at, mask && wildcard, strict)) scan.fail(kind.expected);
          return true;
        },
        () => names,
      );
      putBoth(type, key, value, mask, wildcard);
    },
    text: fields.map((each) => `${each.reads}..`).join(','),
  };
}
