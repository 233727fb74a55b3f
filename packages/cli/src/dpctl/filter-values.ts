/** The values of filter fields: text to bytes, and Open vSwitch's words for a text that means nothing. */

import { isIPv4, isIPv6 } from 'node:net';

/** What a kind of value reads, in network order; undefined for what means nothing. `name` is the field's first one. */
export interface ValueKind {
  read(text: string): readonly number[] | undefined;
  complain(text: string, name: string): string;
}

const WILDCARDS = 'wildcards not allowed here';
const wildcards = (text: string): string => `${text}: ${WILDCARDS}`;

export const bigEndian = (value: number | bigint, bytes: number): number[] =>
  Array.from({ length: bytes }, (_, i) => Number((BigInt(value) >> BigInt(8 * (bytes - 1 - i))) & 0xffn));

/** As C reads numbers: hexadecimal behind 0x, which may be all of it, octal behind 0; a minus counts back from 2^64. */
const NUMBER = /^\s*(?:0x[0-9a-f]*|[+-]?(?:0[0-7]*|[1-9]\d*|0x[0-9a-f]+))$/i;

/** A number of so many bytes; undefined for any other text, and for a larger one. */
export function unsigned(text: string, bytes: number): bigint | undefined {
  if (!NUMBER.test(text)) return undefined;
  const [, sign, digits = ''] = /^\s*([+-]?)(.*)$/.exec(text) ?? [];
  const magnitude = BigInt(/^0x$/i.test(digits) ? 0 : digits.replace(/^0(?=[0-7])/, '0o'));
  const value = sign === '-' ? BigInt.asUintN(64, -magnitude) : magnitude;
  return value < 1n << BigInt(8 * bytes) ? value : undefined;
}

/** Bytes of the number that Open vSwitch reads for a field of so many bits. */
const bytesFor = (bits: number): number => [1, 2, 4, 8, 16].find((bytes) => bits <= 8 * bytes) ?? 16;

/**
 * A number of `width` bits, `shift` bits up in `bytes`. Bits that are too many for it are left out, as in Open vSwitch, but
 * not more than fit `readBits`.
 */
export function numberKind(width: number, shift: number, bytes: number, readBits = width): ValueKind {
  const size = bytesFor(readBits);
  return {
    read(text) {
      const value = unsigned(text, size);
      return value === undefined
        ? undefined
        : bigEndian(BigInt.asUintN(width, value) << BigInt(shift), bytes);
    },
    complain: (text, name) => complainOfNumber(text, name, size),
  };
}

export function complainOfNumber(text: string, name: string, bytes: number): string {
  if (text === '*') return wildcards(text);
  return NUMBER.test(text)
    ? `${text}: value too large for ${bytes}-byte field ${name}`
    : `${text}: bad syntax for ${name} value`;
}

type Read = ValueKind['read'];

/** An address may have a mask, but only one that leaves nothing open. */
function addressKind(what: string, read: Read, maskOf: Read): ValueKind {
  const parts = (text: string): [string, string | undefined] => {
    const slash = text.indexOf('/');
    return slash < 0 ? [text, undefined] : [text.slice(0, slash), text.slice(slash + 1)];
  };
  return {
    read(text) {
      const [value, mask] = parts(text);
      const exact = mask === undefined || maskOf(mask)?.every((byte) => byte === 0xff) === true;
      return exact ? read(value) : undefined;
    },
    complain(text) {
      const [value, mask] = parts(text);
      const open = mask !== undefined && read(value) !== undefined && maskOf(mask) !== undefined;
      return open || text === '*' ? wildcards(text) : `${text}: invalid ${what} address`;
    },
  };
}

const readMac: Read = (text) =>
  /^(?:[0-9a-f]{1,2}:){5}[0-9a-f]{1,2}$/i.test(text)
    ? text.split(':').map((byte) => Number.parseInt(byte, 16))
    : undefined;
const readIpv4: Read = (text) => (isIPv4(text) ? text.split('.').map(Number) : undefined);

const readIpv6: Read = (text) => {
  if (!isIPv6(text) || text.includes('%')) return undefined;
  const groups = (part: string): number[] =>
    part === ''
      ? []
      : part.split(':').flatMap((group) => readIpv4(group) ?? bigEndian(Number.parseInt(group, 16), 2));
  const [head = '', tail] = text.split('::');
  const front = groups(head);
  const back = tail === undefined ? [] : groups(tail);
  return [...front, ...new Array<number>(16 - front.length - back.length).fill(0), ...back];
};

/** The mask of a prefix, or one spelled as an address. */
const prefixOr =
  (bytes: number, read: Read): Read =>
  (text) => {
    const length = /^\d{1,3}$/.test(text) ? Number(text) : Number.NaN;
    if (!(length <= 8 * bytes)) return read(text);
    return Array.from(
      { length: bytes },
      (_, i) => (0xff00 >> Math.min(Math.max(length - 8 * i, 0), 8)) & 0xff,
    );
  };

export const mac = addressKind('Ethernet', readMac, readMac);
export const ipv4 = addressKind('IP', readIpv4, prefixOr(4, readIpv4));
export const ipv6 = addressKind('IPv6', readIpv6, prefixOr(16, readIpv6));

/** OpenFlow's names of ports that are none. */
const RESERVED_PORTS: ReadonlyMap<string, number> = new Map([
  ['unset', 0xfff7],
  ['in_port', 0xfff8],
  ['table', 0xfff9],
  ['normal', 0xfffa],
  ['flood', 0xfffb],
  ['all', 0xfffc],
  ['controller', 0xfffd],
  ['local', 0xfffe],
  ['any', 0xffff],
  ['none', 0xffff],
]);

/** Where OpenFlow's 32-bit names for its reserved ports begin. */
const RESERVED_32 = 0xffff_ff00;

/** A port's number in OpenFlow, which has 16 bits for it; names are for the caller to look up first. */
function portNumber(text: string): number | undefined {
  const reserved = RESERVED_PORTS.get(text.toLowerCase());
  if (reserved !== undefined || !/^\+?\d{1,10}$/.test(text)) return reserved;
  const value = Number(text);
  return value <= 0xffff || value >= RESERVED_32 ? value & 0xffff : undefined;
}

export const portKind: ValueKind = {
  read(text) {
    const value = portNumber(text);
    return value === undefined ? undefined : bigEndian(value, 4);
  },
  complain: (text, name) =>
    text === '*'
      ? wildcards(text)
      : name === 'in_port'
        ? `${text}: invalid or unknown port for ${name}`
        : `${text}: port value out of range for ${name}`,
};

/** `(NAMESPACE,TYPE)`. */
export const packetTypeKind: ValueKind = {
  read(text) {
    const [, ns = '', type = ''] = /^\(([^,]*),([^)]*)\)$/.exec(text) ?? [];
    const [high, low] = [unsigned(ns, 2), unsigned(type, 2)];
    return high === undefined || low === undefined ? undefined : bigEndian((high << 16n) | low, 4);
  },
  complain(text) {
    if (text === '*') return wildcards(text);
    const bad = (rest: string, what: string): string => `${rest}: bad syntax for packet type ${what}`;
    if (!text.startsWith('(')) return bad(text, "missing '('");
    const rest = text.slice(1);
    const [, ns = '', type] = /^([^,)]*)(?:,(.*))?/.exec(rest) ?? [];
    if (unsigned(ns, 2) === undefined) return bad(rest, 'ns');
    if (type === undefined) return bad(rest, "missing ','");
    return bad(type, unsigned(type.replace(/\)$/, ''), 2) === undefined ? 'ns_type' : "missing ')'");
  },
};

const FRAGMENTS: ReadonlyMap<string, number> = new Map([
  ['no', 0],
  ['first', 1],
  ['later', 3],
]);

export const fragmentKind: ValueKind = {
  read(text) {
    const value = FRAGMENTS.get(text.toLowerCase());
    return value === undefined ? undefined : [value];
  },
  complain: (text) =>
    /^(?:yes|not_later|\*)$/i.test(text)
      ? wildcards(text)
      : // Open vSwitch leaves the parenthesis open.
        `${text}: unknown fragment type (valid types are "no", "yes", "first", "later", "not_later"`,
};

/** Flags by name with "|" between them, or a number that has no other bits than theirs. With signs they would have a mask. */
function flagsKind(what: string, names: readonly string[], bytes: number): ValueKind {
  return {
    read(text) {
      const given = text.split('|').filter((name) => name !== '');
      if (given.every((name) => names.includes(name))) {
        return bigEndian(
          given.reduce((flags, name) => flags | (1 << names.indexOf(name)), 0),
          bytes,
        );
      }
      const value = /^0x$/i.test(text) ? undefined : unsigned(text, bytes);
      return value === undefined || value >> BigInt(names.length) !== 0n
        ? undefined
        : bigEndian(value, bytes);
    },
    complain: (text) => (/^[+*-]/.test(text) ? wildcards(text) : `${text}: unknown ${what} flag(s)`),
  };
}

export const tcpFlagsKind = flagsKind(
  'TCP',
  ['fin', 'syn', 'rst', 'psh', 'ack', 'urg', 'ece', 'cwr', 'ns', '[200]', '[400]', '[800]'],
  2,
);
export const ctStateKind = flagsKind(
  'ct_state',
  ['new', 'est', 'rel', 'rpl', 'inv', 'trk', 'snat', 'dnat'],
  1,
);
/** "oam" is the only one that OpenFlow has, but all four that a flow may have are compared. */
export const tunnelFlagsKind = flagsKind('tunnel', ['oam'], 2);
