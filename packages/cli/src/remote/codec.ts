/** How values cross the control socket as JSON: a codec is both directions of one kind of value. The contracts' own are in values.ts. */

import { JsonShapeError, readArray, readBoolean, readNumber, readObject, readString } from '../json.js';
import type { JsonValue } from '../unixctl/protocol.js';

/** One kind of value. `read` throws a `JsonShapeError`, in which `what` names the value. */
export interface Codec<T> {
  pack(value: T): JsonValue;
  read(json: JsonValue | undefined, what: string): T;
  /** As a member of a struct it may be absent. */
  readonly absent?: true;
}

export const NUMBER: Codec<number> = { pack: (value) => value, read: readNumber };
export const STRING: Codec<string> = { pack: (value) => value, read: readString };
export const BOOLEAN: Codec<boolean> = { pack: (value) => value, read: readBoolean };
export const NOTHING: Codec<void> = { pack: () => null, read: () => undefined };

/** Bytes as base64. */
export const BYTES: Codec<Uint8Array> = {
  pack: (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64'),
  // A copy: a Buffer may be a window on memory that it shares with others, and it is no plain Uint8Array.
  read: (json, what) => new Uint8Array(Buffer.from(readString(json, what), 'base64')),
};

/** One of some texts. */
export const choice = <T extends string>(...texts: readonly T[]): Codec<T> => ({
  pack: (value) => value,
  read(json, what) {
    const found = texts.find((text) => text === json);
    if (found === undefined) throw new JsonShapeError(`no "${what}" that is one of ${texts.join(', ')}`);
    return found;
  },
});

/** Undefined is null, or absent in a struct. */
export const optional = <T>(codec: Codec<T>): Codec<T | undefined> => ({
  pack: (value) => (value === undefined ? null : codec.pack(value)),
  read: (json, what) => (json === null || json === undefined ? undefined : codec.read(json, what)),
  absent: true,
});

export const list = <T>(codec: Codec<T>): Codec<readonly T[]> => ({
  pack: (values) => values.map((value) => codec.pack(value)),
  read: (json, what) => readArray(json, what).map((item, i) => codec.read(item, `${what}[${i}]`)),
});

export const pair = <A, B>(first: Codec<A>, second: Codec<B>): Codec<readonly [A, B]> => ({
  pack: ([a, b]) => [first.pack(a), second.pack(b)],
  read(json, what) {
    const [a, b] = readArray(json, what);
    return [first.read(a, `${what}[0]`), second.read(b, `${what}[1]`)];
  },
});

/** Any number of members of one kind. */
export const record = <T>(codec: Codec<T>): Codec<Readonly<Record<string, T>>> => ({
  pack: (values) =>
    Object.fromEntries(Object.entries(values).map(([name, value]) => [name, codec.pack(value)])),
  read: (json, what) =>
    Object.fromEntries(
      Object.entries(readObject(json, what)).map(([name, value]) => [
        name,
        codec.read(value, `${what}.${name}`),
      ]),
    ),
});

/**
 * Named members, each with its codec: one that the contract has and the list lacks does not compile, so that nothing new
 * is lost on the way unnoticed.
 */
export function struct<T extends object>(
  members: {
    readonly [K in keyof T]-?: Codec<T[K]>;
  },
): Codec<T> {
  const names = Object.keys(members).filter((name): name is keyof T & string => name in members);
  return {
    pack(value) {
      const packed: Record<string, JsonValue> = {};
      for (const name of names) {
        if (value[name] !== undefined) packed[name] = members[name].pack(value[name]);
      }
      return packed;
    },
    read(json, what) {
      const found = readObject(json, what);
      const value: Partial<T> = {};
      for (const name of names) {
        if (found[name] === undefined && members[name].absent) continue;
        value[name] = members[name].read(found[name], `${what}.${name}`);
      }
      // Every member that may not be absent has been read by its codec.
      return value as T;
    },
  };
}
