/** Packets as headers with fields, for cases that go field by field: one list makes the packet, its flow, and changes of both. */

import { crc32c } from '@etherloom/core';
import { compose } from './packets.js';

/** Name of a key attribute as dpctl has it, and its fields in order; `''` is the value of an attribute without fields. */
export type Header = readonly [attribute: string, fields: Readonly<Record<string, string>>];
/** What follows `encap` is in it. */
export type Kind = readonly Header[];

const ETH: Header = ['eth', { src: '02:ee:00:00:00:01', dst: '02:ee:00:00:00:02' }];
const type = (value: string): Header => ['eth_type', { '': value }];
const IPV4 = { src: '10.0.0.1', dst: '10.0.0.2', proto: '17', tos: '0', ttl: '64', frag: 'no' };
const IPV6 = {
  src: 'fe80::1',
  dst: 'fe80::2',
  label: '0',
  proto: '17',
  tclass: '0',
  hlimit: '64',
  frag: 'no',
};
const PORTS = { src: '1000', dst: '2000' };
const ipv4 = (proto: string): Header => ['ipv4', { ...IPV4, proto }];
const ipv6 = (proto: string): Header => ['ipv6', { ...IPV6, proto }];

export const KINDS = {
  plain: [ETH, type('0x88b5')],
  udp: [ETH, type('0x0800'), ipv4('17'), ['udp', PORTS]],
  tcp: [ETH, type('0x0800'), ipv4('6'), ['tcp', PORTS], ['tcp_flags', { '': '0x10' }]],
  sctp: [ETH, type('0x0800'), ipv4('132'), ['sctp', PORTS]],
  icmp: [ETH, type('0x0800'), ipv4('1'), ['icmp', { type: '8', code: '0' }]],
  gre: [ETH, type('0x0800'), ipv4('47')],
  later: [ETH, type('0x0800'), ['ipv4', { ...IPV4, frag: 'later' }]],
  udp6: [ETH, type('0x86dd'), ipv6('17'), ['udp', PORTS]],
  tcp6: [ETH, type('0x86dd'), ipv6('6'), ['tcp', PORTS], ['tcp_flags', { '': '0x10' }]],
  icmpv6: [ETH, type('0x86dd'), ipv6('58'), ['icmpv6', { type: '128', code: '0' }]],
  solicit: [
    ETH,
    type('0x86dd'),
    ipv6('58'),
    ['icmpv6', { type: '135', code: '0' }],
    ['nd', { target: 'fe80::9', sll: '02:ee:00:00:00:07', tll: '00:00:00:00:00:00' }],
  ],
  advert: [
    ETH,
    type('0x86dd'),
    ipv6('58'),
    ['icmpv6', { type: '136', code: '0' }],
    ['nd', { target: 'fe80::9', sll: '00:00:00:00:00:00', tll: '02:ee:00:00:00:07' }],
  ],
  arp: [
    ETH,
    type('0x0806'),
    [
      'arp',
      { sip: '10.0.0.1', tip: '10.0.0.2', op: '1', sha: '02:ee:00:00:00:01', tha: '00:00:00:00:00:00' },
    ],
  ],
  mpls: [ETH, type('0x8847'), ['mpls', { label: '100', tc: '3', ttl: '64', bos: '1' }]],
  tagged: [
    ETH,
    type('0x8100'),
    ['vlan', { vid: '5', pcp: '3' }],
    ['encap', {}],
    type('0x0800'),
    ipv4('17'),
    ['udp', PORTS],
  ],
} as const satisfies Record<string, Kind>;

export type KindName = keyof typeof KINDS;

/** `attribute.field`, or just `attribute` when it has no fields. */
export interface Change {
  readonly [field: string]: string | undefined;
}

/** Text of the key; a field changed to `undefined` is left out, which wildcards it in a flow. */
export function textOf(kind: Kind, change: Change = {}): string {
  const encap = kind.findIndex(([attribute]) => attribute === 'encap');
  if (encap >= 0)
    return `${textOf(kind.slice(0, encap), change)},encap(${textOf(kind.slice(encap + 1), change)})`;
  return kind
    .flatMap(([attribute, fields]) => {
      const parts = Object.entries(fields).flatMap(([name, value]) => {
        const path = name === '' ? attribute : `${attribute}.${name}`;
        const now = path in change ? change[path] : value;
        return now === undefined ? [] : [name === '' ? now : `${name}=${now}`];
      });
      // An attribute with one value is left out as a whole.
      return parts.length === 0 && '' in fields ? [] : [`${attribute}(${parts.join(',')})`];
    })
    .join(',');
}

/** The packet of `length` bytes that has the fields of the kind, with all of its checksums. */
export function packetOf(kind: Kind, change: Change = {}, length = 90): Uint8Array {
  const packet = compose(textOf(kind, change), length);
  if (!kind.some(([attribute]) => attribute === 'sctp')) return packet;
  const view = new DataView(packet.buffer, packet.byteOffset, packet.length);
  const l4 = 34;
  view.setUint32(l4 + 8, 0);
  view.setUint32(l4 + 8, crc32c(view, l4, view.getUint16(16) - 20), true);
  return packet;
}
