/**
 * The control protocol of Open vSwitch daemons (unixctl): JSON-RPC 1.0 objects back to back on a Unix stream socket,
 * without framing. What both ends share: the messages, their bounds and their JSON.
 */

export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [name: string]: JsonValue };

/** Longest request that a server reads, in bytes. Flow texts are a few hundred bytes; actions at most 64 KiB as hex. */
export const MAX_REQUEST_BYTES = 1 << 20;
/** Longest reply that a client reads, in bytes: a dump of a million flows fits, and V8 can still hold it as one string. */
export const MAX_REPLY_BYTES = 400 << 20;

export interface UnixctlRequest {
  readonly id: JsonValue;
  readonly method: string;
  readonly params: readonly JsonValue[];
}

/** Exactly one of `result` and `error` is null. */
export interface UnixctlReply {
  readonly id: JsonValue;
  readonly result: JsonValue;
  readonly error: JsonValue;
}

/** The stream or one of its messages is not what the protocol says. The connection cannot be used any further. */
export class UnixctlProtocolError extends Error {
  override readonly name = 'UnixctlProtocolError';
}

type JsonObject = { readonly [name: string]: JsonValue };

function parseObject(text: string): JsonObject {
  let value: JsonValue;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new UnixctlProtocolError(`not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  // The splitter hands over only what stands between braces, so this cannot be an array or a scalar.
  if (typeof value !== 'object' || value === null || !isObject(value)) {
    throw new UnixctlProtocolError('not a JSON-RPC object');
  }
  return value;
}

const isObject = (value: JsonValue): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Reads a request. Notifications (id null) are refused: unixctl has none. */
export function parseRequest(text: string): UnixctlRequest {
  const { id, method, params } = parseObject(text);
  if (id === undefined || id === null)
    throw new UnixctlProtocolError('a request needs an "id" that is not null');
  if (typeof method !== 'string')
    throw new UnixctlProtocolError('a request needs a "method" that is a string');
  if (!Array.isArray(params)) throw new UnixctlProtocolError('a request needs "params" that are an array');
  return { id, method, params };
}

/** Reads a reply. Open vSwitch leaves out the result of an error, where JSON-RPC 1.0 wants null. */
export function parseReply(text: string): UnixctlReply {
  const { id, result, error } = parseObject(text);
  if (id === undefined || (result === undefined && error === undefined)) {
    throw new UnixctlProtocolError('a reply needs an "id", and a "result" or an "error"');
  }
  return { id, result: result ?? null, error: error ?? null };
}
