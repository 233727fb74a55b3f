/** What a key or mask that does not fit lacks or has too much, by name: for error sentences. */

import { DpifError } from '@etherloom/core';
import { type FitnessResult, KEY_ATTR, KEY_ATTR_MAX, KEY_ATTRIBUTES, NlReader } from '@etherloom/odp-codec';

const NAMES = new Map<number, string>(KEY_ATTRIBUTES.map(({ type, name }) => [type, name]));

/** Attributes of headers: the others a key may leave out, whatever else it has. */
const HEADERS: ReadonlySet<number> = new Set([
  KEY_ATTR.ETHERNET,
  KEY_ATTR.ETHERTYPE,
  KEY_ATTR.VLAN,
  KEY_ATTR.ENCAP,
  KEY_ATTR.MPLS,
  KEY_ATTR.NSH,
  KEY_ATTR.ARP,
  KEY_ATTR.IPV4,
  KEY_ATTR.IPV6,
  KEY_ATTR.TCP,
  KEY_ATTR.UDP,
  KEY_ATTR.SCTP,
  KEY_ATTR.ICMP,
  KEY_ATTR.ICMPV6,
  KEY_ATTR.ND,
]);

const unknownReader = new NlReader(new Uint8Array());

/**
 * Throws a `DpifError` EINVAL when `bytes`, a well-formed key or mask, hold an attribute that we do not know. The codec
 * passes over it, as readers of keys from newer programs should; a datapath would match packets that were not meant.
 */
export function checkKnown(what: string, bytes: Uint8Array): void {
  let start = 0;
  let end = bytes.length;
  while (start < end) {
    const reader = unknownReader.reset(bytes, start, end);
    start = end;
    while (reader.next()) {
      const { type } = reader;
      if (type > KEY_ATTR_MAX) {
        throw new DpifError(
          'EINVAL',
          `the ${what} holds attribute ${type}, which this datapath does not know`,
        );
      }
      if (type !== KEY_ATTR.ENCAP) continue;
      start = reader.offset;
      end = reader.offset + reader.length;
    }
  }
}

/**
 * The EINVAL for `bytes`, a key or mask of less than perfect fitness. `canonical` is a key with exactly the attributes
 * that are right: what is made of the row that was read.
 */
export function fitnessError(
  what: 'flow key' | 'flow mask',
  bytes: Uint8Array,
  { fitness, message }: FitnessResult,
  canonical: Uint8Array,
): DpifError {
  if (fitness === 'error') return new DpifError('EINVAL', `the ${what} is malformed: ${message}`);
  const have = attributes(bytes);
  const want = attributes(canonical);
  if (fitness === 'too_little') {
    const missing = [...want].filter((name) => !have.has(name) && isHeader(name));
    const list = missing.length > 0 ? missing.join(', ') : 'the end of its mpls label stack';
    return new DpifError('EINVAL', `the ${what} lacks ${list}, which its other attributes call for`);
  }
  const extra = [...have].filter((name) => !want.has(name));
  const list = extra.length > 0 ? extra.join(', ') : 'more mpls labels than can be matched';
  const reason =
    what === 'flow mask'
      ? 'which its key does not have'
      : 'which is unknown or which its other attributes rule out';
  return new DpifError('EINVAL', `the ${what} holds ${list}, ${reason}`);
}

const isHeader = (name: string): boolean =>
  [...HEADERS].some((type) => name.split('/').at(-1) === NAMES.get(type));

/** Names of the attributes in `bytes`, those in encap() as `encap/name`. */
function attributes(bytes: Uint8Array, prefix = '', names = new Set<string>()): Set<string> {
  const reader = new NlReader(bytes);
  while (reader.next()) {
    const { type } = reader;
    const name = NAMES.get(type);
    names.add(`${prefix}${name ?? `attribute ${type}`}`);
    if (type === KEY_ATTR.ENCAP) attributes(reader.payload(), `${prefix}encap/`, names);
  }
  return names;
}
