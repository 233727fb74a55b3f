/** The values of filter fields: text to bytes, and Open vSwitch's words for a text that means nothing. */

import { isIPv4, isIPv6 } from 'node:net';

/** What a kind of value reads, in network order; undefined for what means nothing. `name` is the field's first one. */
export interface ValueKind {
  read(text: string): readonly number[] | undefined;
  complain(text: string, name: string): string;
}

const WILDCARDS = 'wildcards not allowed here';
const wildcards = (text: string): string => `${text}: ${WILDCARDS}`;

export const bigEndian = (value: number, bytes: number): number[] =>
  Array.from({ length: bytes }, (_, i) => Math.floor(value / 2 ** (8 * (bytes - 1 - i))) & 0xff);

/** A number up to `max`; undefined for any other text. */
export function unsigned(text: string, max: number): number | undefined {
  if (!/^(?:0x[0-9a-f]{1,8}|\d{1,10})$/i.test(text)) return undefined;
  const value = Number(text);
  return value <= max ? value : undefined;
}

/** Bytes of the number that Open vSwitch reads for a field of so many bits. */
const bytesFor = (bits: number): number => (bits > 16 ? 4 : bits > 8 ? 2 : 1);

/**
 * A number of `width` bits, `shift` bits up in `bytes`. Bits that are too many for it are left out, as in Open vSwitch, but
 * not more than fit `readBits`.
 */
export function numberKind(width: number, shift: number, bytes: number, readBits = width): ValueKind {
  const size = bytesFor(readBits);
  return {
    read(text) {
      const value = unsigned(text, 2 ** (8 * size) - 1);
      return value === undefined ? undefined : bigEndian((value % 2 ** width) * 2 ** shift, bytes);
    },
    complain: (text, name) => complainOfNumber(text, name, size),
  };
}

export function complainOfNumber(text: string, name: string, bytes: number): string {
  if (text === '*') return wildcards(text);
  return unsigned(text, 0xffff_ffff) !== undefined || /^-\d+$/.test(text)
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
    const length = unsigned(text, 8 * bytes);
    if (length === undefined) return read(text);
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

/** A port's number in OpenFlow, which has 16 bits for it; names are for the caller to look up first. */
export const portKind: ValueKind = {
  read(text) {
    const value = RESERVED_PORTS.get(text.toLowerCase()) ?? unsigned(text, 0xffff);
    return value === undefined ? undefined : bigEndian(value, 4);
  },
  complain: (text) => (text === '*' ? wildcards(text) : `${text}: invalid or unknown port for in_port`),
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

const TCP_FLAGS = ['fin', 'syn', 'rst', 'psh', 'ack', 'urg', 'ece', 'cwr', 'ns'];

/** Flags by name with "|" between them, or a number of 12 bits. With signs they have a mask. */
export const tcpFlagsKind: ValueKind = {
  read(text) {
    const names = text.split('|').map((name) => TCP_FLAGS.indexOf(name));
    const named = names.includes(-1) ? undefined : names.reduce((flags, bit) => flags | (1 << bit), 0);
    const value = named ?? unsigned(text, 0xfff);
    return value === undefined ? undefined : bigEndian(value, 2);
  },
  complain: (text) => (/^[+*-]/.test(text) ? wildcards(text) : `${text}: bad syntax for tcp_flags value`),
};
