/** Address texts to bytes, checked: a typing error in a test is an error, not another frame. */

import { isIPv4, isIPv6 } from 'node:net';

/** Six bytes of `aa:bb:cc:dd:ee:ff`. */
export function macBytes(text: string): Uint8Array {
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text)) {
    throw new TypeError(`"${text}" is not an Ethernet address: write aa:bb:cc:dd:ee:ff`);
  }
  return Uint8Array.from(text.split(':'), (part) => Number.parseInt(part, 16));
}

/** Four bytes of dotted-quad text. */
export function ipv4Bytes(text: string): Uint8Array {
  if (!isIPv4(text)) throw new TypeError(`"${text}" is not an IPv4 address: write 10.0.0.1`);
  return Uint8Array.from(text.split('.'), Number);
}

/** Sixteen bytes of IPv6 text in any form of RFC 4291, section 2.2, without a zone. */
export function ipv6Bytes(text: string): Uint8Array {
  if (!isIPv6(text) || text.includes('%')) {
    throw new TypeError(`"${text}" is not an IPv6 address: write 2001:db8::1`);
  }
  const [head = '', tail] = text.split('::');
  const left = groups(head);
  const right = tail === undefined ? [] : groups(tail);
  const out = new Uint8Array(16);
  out.set(left, 0);
  out.set(right, 16 - right.length);
  return out;
}

function groups(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (group.includes('.')) return [...ipv4Bytes(group)];
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}
