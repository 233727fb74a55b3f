/**
 * Kinds of packets as attributes of a flow key with their values, from small sets so that flows and packets of a script
 * meet. One such kind is spelled as the text of a packet, and as that of flows that match it more or less.
 */

import fc from 'fast-check';
import type { Choices } from './choices.js';

/** A member of an attribute; `masked` are texts with a mask, `other` is a value that does not match. */
export interface Member {
  readonly name: string;
  readonly value: string;
  readonly masked: readonly string[];
  readonly other: string;
  /** `next`: attributes behind it depend on it, so flows have both or neither. `kept`: flows cannot do without it. */
  readonly decides?: 'next' | 'kept';
}

export interface Attribute {
  readonly name: string;
  /** One without a name stands alone in the parentheses. */
  readonly members: readonly Member[];
}

export interface Tag {
  readonly tpid: string;
  readonly vid: number;
  readonly pcp: number;
}

export interface Traffic {
  readonly ethernet: Attribute;
  readonly tags: readonly Tag[];
  /** From the Ethertype on. */
  readonly inner: readonly Attribute[];
}

const member = (name: string, value: string, masked: readonly string[], other: string): Member => ({
  name,
  value,
  masked: masked.map((mask) => `${value}/${mask}`),
  other,
});
const deciding = (name: string, value: string, other: string, decides: 'next' | 'kept'): Member => ({
  name,
  value,
  masked: [],
  other,
  decides,
});
const number = (name: string, value: number, max: number): Member =>
  member(name, String(value), ['0', `0x${max.toString(16)}`, `0x${(max >> 1).toString(16)}`], `${max}`);

const MACS = ['50:54:00:00:00:09', '50:54:00:00:00:0a', '01:00:5e:00:00:01', 'ff:ff:ff:ff:ff:ff'] as const;
const mac = fc.constantFrom(...MACS);
const macMember = (name: string, value: string): Member =>
  member(name, value, ['ff:ff:ff:00:00:00', '01:00:00:00:00:00', 'ff:ff:ff:ff:ff:ff'], '50:54:00:00:00:77');

const ethernet = fc
  .tuple(mac, mac)
  .map(([src, dst]): Attribute => ({ name: 'eth', members: [macMember('src', src), macMember('dst', dst)] }));

const tag: fc.Arbitrary<Tag> = fc.record({
  tpid: fc.constantFrom('0x8100', '0x8100', '0x88a8'),
  vid: fc.constantFrom(5, 0, 7, 4095),
  pcp: fc.constantFrom(0, 3, 7),
});
const tags = fc.oneof(
  { weight: 12, arbitrary: fc.constant<readonly Tag[]>([]) },
  { weight: 4, arbitrary: tag.map((one): readonly Tag[] => [one]) },
  { weight: 1, arbitrary: fc.tuple(tag, tag) },
);

const type = (ethertype: string): Attribute => ({
  name: 'eth_type',
  members: [deciding('', ethertype, '0x88cc', 'kept')],
});

const ipv4Address = fc.constantFrom('10.0.0.1', '10.0.0.2', '192.168.1.3', '224.0.0.1');
const ipv6Address = fc.constantFrom('fe80::1', '2001:db8::2', 'ff02::1');
const port = fc.constantFrom(1000, 53, 80, 6632, 4789);
const fragment = fc.constantFrom('no', 'no', 'no', 'no', 'no', 'first', 'later');
const tos = fc.constantFrom(0, 0x80, 3, 0xff);
const ttl = fc.constantFrom(64, 1, 255);

const portMember = (name: string, value: number): Member =>
  member(name, String(value), ['0xff00', '0x1', '65535'], '9');
const ports = (name: string) =>
  fc
    .tuple(port, port)
    .map(([src, dst]): readonly Attribute[] => [
      { name, members: [portMember('src', src), portMember('dst', dst)] },
    ]);

const tcpFlags = fc
  .constantFrom('', 'syn', 'syn|ack', 'fin|ack', 'psh|ack|ece', '0x1ff')
  .map((flags): readonly Attribute[] =>
    flags === ''
      ? []
      : [
          {
            name: 'tcp_flags',
            members: [{ name: '', value: flags, masked: ['+syn-ack', '+fin', '-rst'], other: 'rst' }],
          },
        ],
  );

/** A protocol, its number, and the attributes that it may have behind it. */
type Transport = readonly [proto: number, attributes: readonly Attribute[]];

const icmp = (name: string, types: readonly number[]): fc.Arbitrary<readonly Attribute[]> =>
  fc.tuple(fc.constantFrom(...types), fc.constantFrom(0, 1)).map(([icmpType, code]) => [
    {
      name,
      members: [number('type', icmpType, 0xff), number('code', code, 0xff)],
    },
  ]);

const common: fc.Arbitrary<Transport>[] = [
  fc.tuple(ports('tcp'), tcpFlags).map(([tcp, flags]): Transport => [6, [...tcp, ...flags]]),
  ports('udp').map((udp): Transport => [17, udp]),
  ports('sctp').map((sctp): Transport => [132, sctp]),
  fc.constantFrom(2, 47, 0).map((proto): Transport => [proto, []]),
];

const neighbour = fc
  .record({
    kind: fc.constantFrom(135, 136),
    target: ipv6Address,
    sll: mac,
    tll: mac,
    none: fc.boolean(),
  })
  .map(({ kind, target, sll, tll, none }): Transport => {
    const option = kind === 135 ? macMember('sll', sll) : macMember('tll', tll);
    const absent = kind === 135 ? 'tll' : 'sll';
    const zero: Member = { name: absent, value: '00:00:00:00:00:00', masked: [], other: MACS[0] };
    const empty: Member = { ...option, value: '00:00:00:00:00:00', masked: [] };
    return [
      58,
      [
        {
          name: 'icmpv6',
          members: [deciding('type', String(kind), '128', 'next'), deciding('code', '0', '1', 'next')],
        },
        {
          name: 'nd',
          members: [
            member('target', target, ['ffff::', 'ffff:ffff:ffff:ffff::'], '2001:db8::99'),
            none ? empty : option,
            zero,
          ].sort((a, b) => (a.name < b.name ? -1 : 1)),
        },
      ],
    ];
  });

const ipv4 = fc
  .record({
    src: ipv4Address,
    dst: ipv4Address,
    tos,
    ttl,
    frag: fragment,
    transport: fc.oneof(
      ...common,
      icmp('icmp', [8, 0, 3]).map((attributes): Transport => [1, attributes]),
    ),
  })
  .map(({ src, dst, tos, ttl, frag, transport: [proto, transport] }): readonly Attribute[] => [
    type('0x0800'),
    {
      name: 'ipv4',
      members: [
        member('src', src, ['255.255.0.0', '255.255.255.255', '0.0.0.1'], '172.16.0.9'),
        member('dst', dst, ['255.0.0.0', '255.255.255.0'], '172.16.0.9'),
        deciding('proto', String(proto), '253', 'next'),
        member('tos', String(tos), ['0x3', '0xfc'], '0x44'),
        member('ttl', String(ttl), ['0x80'], '77'),
        deciding('frag', frag, frag === 'no' ? 'first' : 'no', 'kept'),
      ],
    },
    ...(frag === 'later' ? [] : transport),
  ]);

const ipv6 = fc
  .record({
    src: ipv6Address,
    dst: ipv6Address,
    label: fc.constantFrom(0, 0x12345),
    tclass: tos,
    hlimit: ttl,
    frag: fragment,
    transport: fc.oneof(
      ...common,
      icmp('icmpv6', [128, 129, 1]).map((attributes): Transport => [58, attributes]),
      neighbour,
    ),
  })
  .map((fields): readonly Attribute[] => {
    const { src, dst, label, tclass, hlimit, frag } = fields;
    const [proto, transport] = fields.transport;
    return [
      type('0x86dd'),
      {
        name: 'ipv6',
        members: [
          member('src', src, ['ffff::', '::ffff', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'], '2001:db8::99'),
          member('dst', dst, ['ffff:ffff::'], '2001:db8::99'),
          member('label', String(label), ['0xf', '0xfffff'], '0x77'),
          deciding('proto', String(proto), '253', 'next'),
          member('tclass', String(tclass), ['0x3'], '0x44'),
          member('hlimit', String(hlimit), ['0x80'], '77'),
          deciding('frag', frag, frag === 'no' ? 'first' : 'no', 'kept'),
        ],
      },
      ...(frag === 'later' ? [] : transport),
    ];
  });

const arp = fc
  .record({ sip: ipv4Address, tip: ipv4Address, op: fc.constantFrom(1, 2), sha: mac, tha: mac })
  .map(({ sip, tip, op, sha, tha }): readonly Attribute[] => [
    type('0x0806'),
    {
      name: 'arp',
      members: [
        member('sip', sip, ['255.255.0.0'], '172.16.0.9'),
        member('tip', tip, ['255.0.0.0'], '172.16.0.9'),
        member('op', String(op), ['0xff'], '9'),
        macMember('sha', sha),
        macMember('tha', tha),
      ],
    },
  ]);

const mpls = fc
  .record({
    label: fc.constantFrom(100, 16, 1048575),
    tc: fc.constantFrom(0, 5),
    ttl,
    bos: fc.constantFrom(1, 1, 0),
    multicast: fc.constantFrom(false, false, true),
  })
  .map(({ label, tc, ttl, bos, multicast }): readonly Attribute[] => [
    type(multicast ? '0x8848' : '0x8847'),
    {
      name: 'mpls',
      members: [
        member('label', String(label), ['0xff', '0xfffff'], '77'),
        member('tc', String(tc), ['0x1', '0x0'], '6'),
        member('ttl', String(ttl), ['0x80', '0x0'], '77'),
        deciding('bos', String(bos), bos === 1 ? '0' : '1', 'kept'),
      ],
    },
  ]);

const other = fc.constantFrom('0x1234', '0x88cc', '0x0600').map((ethertype) => [type(ethertype)]);

export const trafficArbitrary: fc.Arbitrary<Traffic> = fc.record({
  ethernet,
  tags,
  inner: fc.oneof(
    { weight: 6, arbitrary: ipv4 },
    { weight: 4, arbitrary: ipv6 },
    { weight: 2, arbitrary: arp },
    { weight: 2, arbitrary: mpls },
    { weight: 1, arbitrary: other },
  ),
});

/** The text of the packet itself: every member with its value. */
export function packetText(traffic: Traffic, inPort: number): string {
  const exact = ({ name, members }: Attribute): string =>
    `${name}(${members.map((one) => (one.name === '' ? one.value : `${one.name}=${one.value}`)).join(',')})`;
  return join(traffic, `in_port(${inPort})`, exact(traffic.ethernet), traffic.inner.map(exact), (one) =>
    tagText(one, ''),
  );
}

/** The text of a flow that matches the packet, unless `choices` make it one that does not, or is no flow at all. */
export function flowText(traffic: Traffic, inPort: string, choices: Choices): string {
  const strict = !choices.oneIn(12);
  const { inner } = traffic;
  // An Ethertype alone is a flow only where nothing else is known of such packets.
  const least = strict ? Math.min(2, inner.length) : 1;
  const depth = inner.length - choices.of([0, 0, 0, 1, 2]);
  const attributes = inner.slice(0, Math.max(depth, least));
  const spelled = attributes.map(({ name, members }, at) => {
    const last = at === attributes.length - 1 && attributes.length < inner.length;
    const texts = members.map((one) =>
      strict && last && one.decides === 'next' ? '' : memberText(one, strict, choices),
    );
    return `${name}(${texts.filter((text) => text !== '').join(',')})`;
  });
  const eth = choices.oneIn(40)
    ? ''
    : `eth(${traffic.ethernet.members
        .map((one) => memberText(one, strict, choices))
        .filter((text) => text !== '')
        .join(',')})`;
  const mark = choices.oneIn(12) ? `skb_mark(${choices.of(['0', '0x5', '0x5/0xff'])}),` : '';
  const prefix = choices.oneIn(3) ? 'recirc_id(0),' : '';
  const mask = (): string => choices.of(['', '', '', '0xf', 'vid']);
  return join(traffic, `${prefix}${mark}${inPort}`, eth, spelled, (one) => tagText(one, mask()));
}

function memberText(
  { name, value, masked, other, decides }: Member,
  strict: boolean,
  choices: Choices,
): string {
  const choice = choices.below(10);
  const set = (text: string): string => (name === '' ? text : `${name}=${text}`);
  if (decides !== undefined && (strict || choice < 8)) return set(value);
  if (choice < 4) return name === '' ? value : '';
  if (choice < 7) return set(value);
  if (choice < 9) return masked.length === 0 ? set(value) : set(choices.of(masked));
  return choices.oneIn(4) ? set(other) : set(value);
}

function tagText({ vid, pcp }: Tag, mask: string): string {
  if (mask === '0xf') return `vlan(vid=${vid}/0xf,pcp=${pcp}/0x0)`;
  return mask === 'vid' ? `vlan(vid=${vid})` : `vlan(vid=${vid},pcp=${pcp})`;
}

function join(
  { tags }: Traffic,
  prefix: string,
  eth: string,
  inner: readonly string[],
  spellTag: (tag: Tag) => string,
): string {
  let text = inner.join(',');
  for (const one of [...tags].reverse()) {
    const encap = text === '' ? '' : `,encap(${text})`;
    text = `eth_type(${one.tpid}),${spellTag(one)}${encap}`;
  }
  return [prefix, eth, text].filter((part) => part !== '').join(',');
}
