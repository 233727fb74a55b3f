/** Readers of JSON that came from another process: each checks what it returns, and says what is missing when it throws. */

import type { JsonValue } from './unixctl/protocol.js';

export type JsonObject = { readonly [name: string]: JsonValue };

/** JSON is not what it should be. The message names what is missing: `no "portNo" that is a number`. */
export class JsonShapeError extends Error {
  override readonly name = 'JsonShapeError';
}

const wrong = (what: string, kind: string): JsonShapeError =>
  new JsonShapeError(`no "${what}" that is ${kind}`);

const isArray = (value: JsonValue): value is readonly JsonValue[] => Array.isArray(value);

export function readObject(value: JsonValue | undefined, what: string): JsonObject {
  if (typeof value !== 'object' || value === null || isArray(value)) throw wrong(what, 'an object');
  return value;
}

export function readArray(value: JsonValue | undefined, what: string): readonly JsonValue[] {
  if (value === undefined || value === null || !isArray(value)) throw wrong(what, 'a list');
  return value;
}

export function readNumber(value: JsonValue | undefined, what: string): number {
  if (typeof value !== 'number') throw wrong(what, 'a number');
  return value;
}

export function readString(value: JsonValue | undefined, what: string): string {
  if (typeof value !== 'string') throw wrong(what, 'a text');
  return value;
}

export function readBoolean(value: JsonValue | undefined, what: string): boolean {
  if (typeof value !== 'boolean') throw wrong(what, 'true or false');
  return value;
}
