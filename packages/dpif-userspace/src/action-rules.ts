/**
 * Which actions a flow may have: the checks that the Linux datapath makes before it takes a flow, on lists that compile
 * (OVS_ACTION_ATTR_* in openvswitch.h). An action that cannot do what it says to any packet of its flow is refused when
 * the flow is put, with the name of the attribute; without these rules it would do nothing, packet by packet.
 */

import { DpifError } from '@etherloom/core';
import {
  ACTION_ATTR,
  CHECK_PKT_LEN_ATTR,
  FRAG_ANY,
  FRAG_LATER,
  KEY_ATTR,
  KEY_ATTRIBUTES,
  NLA_MAX_PAYLOAD,
  NlReader,
  SAMPLE_ATTR,
  USERSPACE_ATTR,
  W_PACKET_TYPE,
  W_TP,
  W_TYPE_FRAG_PROTO,
} from '@etherloom/odp-codec';
import { MAX_PORTS } from './output.hot.js';

/**
 * `strict`: as the Linux datapath does. `openvswitch`: what compiles is taken, as Open vSwitch's user-space datapath does;
 * set actions for headers that a packet does not have then leave it alone.
 */
export type ActionRules = 'strict' | 'openvswitch';

const NAMES = new Map<number, string>(KEY_ATTRIBUTES.map(({ type, name }) => [type, name]));

const VLAN_CFI = 0x1000;
const ETH_HEADER = 14;
const ETH_TYPE_IP = 0x0800;
const ETH_TYPE_IPV6 = 0x86dd;
const ETH_TYPE_NSH = 0x894f;
const ND_TYPES: readonly number[] = [135, 136];

const isMpls = (type: number | undefined): boolean => type === 0x8847 || type === 0x8848;
const isVlan = (type: number): boolean => type === 0x8100 || type === 0x88a8;
const isIp = (type: number | undefined): boolean => type === ETH_TYPE_IP || type === ETH_TYPE_IPV6;

/** What all packets of a flow have in common at some point of its action list; undefined is "not the same in all". */
interface Headers {
  /** Whether there is an Ethernet header. */
  ethernet: boolean | undefined;
  /** Ethertype behind all tags. */
  type: number | undefined;
  /** Protocol, fragment (0 no, 1 first, 2 later) and ICMP type. */
  proto: number | undefined;
  frag: number | undefined;
  icmpType: number | undefined;
}

/** Protocols of the set actions for transport headers, and the Ethertype that they are confined to. */
const TRANSPORTS: ReadonlyMap<number, { readonly proto: number; readonly type?: number }> = new Map([
  [KEY_ATTR.TCP, { proto: 6 }],
  [KEY_ATTR.UDP, { proto: 17 }],
  [KEY_ATTR.SCTP, { proto: 132 }],
  [KEY_ATTR.ICMP, { proto: 1, type: ETH_TYPE_IP }],
  [KEY_ATTR.ICMPV6, { proto: 58, type: ETH_TYPE_IPV6 }],
  [KEY_ATTR.ND, { proto: 58, type: ETH_TYPE_IPV6 }],
  [KEY_ATTR.ND_EXTENSIONS, { proto: 58, type: ETH_TYPE_IPV6 }],
]);

/**
 * Checks what holds for every flow. Returns whether the list needs {@link checkActionsOf} besides. Throws a `DpifError`
 * EINVAL. The list compiles.
 */
export function checkActions(actions: Uint8Array): boolean {
  if (actions.length > NLA_MAX_PAYLOAD) {
    throw invalid(
      `an action list of ${actions.length} bytes is too long for a flow; ${NLA_MAX_PAYLOAD} bytes fit a Netlink attribute`,
    );
  }
  return walk(actions, undefined);
}

/**
 * Checks whether the actions fit the headers of the packets that match `key` and `mask`; without a mask
 * those of the one packet that has this key. Throws a `DpifError` EINVAL.
 */
export function checkActionsOf(actions: Uint8Array, key: Int32Array, mask?: Int32Array): void {
  const bits = (word: number): number => (mask === undefined ? -1 : mask[word]!);
  const word = key[W_TYPE_FRAG_PROTO]!;
  const exact = bits(W_TYPE_FRAG_PROTO);
  const frag = (word >>> 8) & 0xff;
  walk(actions, {
    ethernet: bits(W_PACKET_TYPE) === -1 || key[W_PACKET_TYPE] === 0 ? key[W_PACKET_TYPE] === 0 : undefined,
    type: exact >>> 16 === 0xffff ? word >>> 16 : undefined,
    proto: (exact & 0xff) === 0xff ? word & 0xff : undefined,
    frag: ((exact >>> 8) & (FRAG_ANY | FRAG_LATER)) === (FRAG_ANY | FRAG_LATER) ? odpFrag(frag) : undefined,
    icmpType: ((bits(W_TP) >>> 16) & 0xff) === 0xff ? key[W_TP]! >>> 16 : undefined,
  });
}

const odpFrag = (bits: number): number => ((bits & FRAG_LATER) !== 0 ? 2 : bits & FRAG_ANY);

/** Checks a list for packets with `headers`, which change with it; without headers what holds for all. */
function walk(actions: Uint8Array, headers: Headers | undefined): boolean {
  const reader = new NlReader(actions);
  let dependent = false;
  while (reader.next()) dependent = action(reader.type, reader.payload(), headers) || dependent;
  return dependent;
}

/** A nested list works on a copy of the packet. */
const nested = (actions: Uint8Array, headers: Headers | undefined): boolean =>
  walk(actions, headers && { ...headers });

/** Checks one action; returns whether it depends on the headers. */
function action(type: number, payload: Uint8Array, headers: Headers | undefined): boolean {
  switch (type) {
    case ACTION_ATTR.OUTPUT:
      output(payload);
      return false;
    case ACTION_ATTR.USERSPACE:
      userspace(payload);
      return false;
    case ACTION_ATTR.TRUNC:
      if (host32(payload) < ETH_HEADER) {
        throw invalid(
          `action trunc to ${host32(payload)} bytes would cut into the Ethernet header of ${ETH_HEADER}`,
        );
      }
      return false;
    case ACTION_ATTR.PUSH_VLAN:
      pushVlan(payload);
      if (headers?.ethernet === false) throw misfit('push_vlan', 'an Ethernet header');
      return true;
    case ACTION_ATTR.POP_VLAN:
      if (headers?.ethernet === false) throw misfit('pop_vlan', 'an Ethernet header');
      return true;
    case ACTION_ATTR.PUSH_MPLS:
    case ACTION_ATTR.ADD_MPLS: {
      const pushed = net16(payload, 4);
      if (!isMpls(pushed)) {
        throw invalid(`action push_mpls has eth_type ${hex(pushed)}; MPLS packets have 0x8847 or 0x8848`);
      }
      if (headers !== undefined) setType(headers, pushed);
      return true;
    }
    case ACTION_ATTR.POP_MPLS:
      if (headers === undefined) return true;
      if (!isMpls(headers.type)) throw misfit('pop_mpls', 'an MPLS label (mpls)');
      // What stands behind the last label nobody knows before the packet is looked at again, after a recirc.
      setType(headers, isMpls(net16(payload, 0)) ? net16(payload, 0) : undefined);
      return true;
    case ACTION_ATTR.PUSH_ETH:
      if (headers?.ethernet === true)
        throw invalid('action push_eth: the packets of the flow have an Ethernet header');
      if (headers !== undefined) headers.ethernet = true;
      return true;
    case ACTION_ATTR.POP_ETH:
      if (headers?.ethernet === false) throw misfit('pop_eth', 'an Ethernet header');
      if (headers !== undefined) headers.ethernet = false;
      return true;
    case ACTION_ATTR.PUSH_NSH:
      if (headers !== undefined) {
        setType(headers, ETH_TYPE_NSH);
        headers.ethernet = false;
      }
      return true;
    case ACTION_ATTR.POP_NSH:
      if (headers === undefined) return true;
      if (headers.type !== ETH_TYPE_NSH) throw misfit('pop_nsh', 'an NSH (nsh)');
      setType(headers, undefined);
      headers.ethernet = undefined;
      return true;
    case ACTION_ATTR.SET:
    case ACTION_ATTR.SET_MASKED:
      return set(payload, type === ACTION_ATTR.SET_MASKED, headers);
    case ACTION_ATTR.CLONE:
      return nested(payload, headers);
    case ACTION_ATTR.SAMPLE:
      return sample(payload, headers);
    case ACTION_ATTR.CHECK_PKT_LEN:
      return checkLength(payload, headers);
    default:
      return false;
  }
}

function output(payload: Uint8Array): void {
  const port = host32(payload);
  if (port >= MAX_PORTS) throw invalid(`action output to port ${port}: port numbers end at ${MAX_PORTS - 1}`);
}

function userspace(payload: Uint8Array): void {
  const reader = new NlReader(payload);
  while (reader.next()) {
    if (reader.type === USERSPACE_ATTR.PID && host32(reader.payload()) !== 0) return;
  }
  throw invalid(
    'action userspace has no pid, or pid 0; name the queue of the upcall, as portGetPid tells it',
  );
}

function pushVlan(payload: Uint8Array): void {
  const [tpid, tci] = [net16(payload, 0), net16(payload, 2)];
  if (!isVlan(tpid)) throw invalid(`action push_vlan has tpid ${hex(tpid)}; tags have 0x8100 or 0x88a8`);
  if ((tci & VLAN_CFI) === 0) throw invalid(`action push_vlan has tci ${hex(tci)}, without bit 0x1000 (cfi)`);
}

function sample(payload: Uint8Array, headers: Headers | undefined): boolean {
  let probability = false;
  let actions: Uint8Array | undefined;
  const reader = new NlReader(payload);
  while (reader.next()) {
    if (reader.type === SAMPLE_ATTR.PROBABILITY) probability = true;
    else if (reader.type === SAMPLE_ATTR.ACTIONS) actions = reader.payload();
  }
  if (!probability || actions === undefined)
    throw invalid('action sample must have a probability and actions');
  return nested(actions, headers);
}

function checkLength(payload: Uint8Array, headers: Headers | undefined): boolean {
  let dependent = false;
  const reader = new NlReader(payload);
  while (reader.next()) {
    if (reader.type === CHECK_PKT_LEN_ATTR.PKT_LEN) continue;
    dependent = nested(reader.payload(), headers) || dependent;
  }
  return dependent;
}

function setType(headers: Headers, type: number | undefined): void {
  headers.type = type;
  headers.proto = undefined;
  headers.frag = undefined;
  headers.icmpType = undefined;
}

/** Checks a set action; metadata can be set in any packet. */
function set(payload: Uint8Array, masked: boolean, headers: Headers | undefined): boolean {
  const reader = new NlReader(payload);
  if (!reader.next()) return false;
  const { type } = reader;
  const bytes = reader.payload();
  const name = `set(${NAMES.get(type)})`;
  const half = masked && type !== KEY_ATTR.NSH ? bytes.length >> 1 : bytes.length;
  if (masked && type !== KEY_ATTR.NSH) {
    for (let i = 0; i < half; i++) {
      if ((bytes[i]! & ~bytes[half + i]!) === 0) continue;
      throw invalid(`action ${name} has bits in byte ${i} of its value that its mask leaves out`);
    }
  }
  switch (type) {
    case KEY_ATTR.ETHERNET:
      if (headers?.ethernet === false) throw misfit(name, 'an Ethernet header (eth)');
      return true;
    case KEY_ATTR.IPV4:
      if (headers !== undefined && headers.type !== ETH_TYPE_IP) throw misfit(name, 'an IPv4 header (ipv4)');
      protoAndFrag(name, bytes, half, masked, 8, 11, headers);
      return true;
    case KEY_ATTR.IPV6:
      if (headers !== undefined && headers.type !== ETH_TYPE_IPV6)
        throw misfit(name, 'an IPv6 header (ipv6)');
      if (net16(bytes, 32) > 0xf) throw invalid(`action ${name} has a label of more than 20 bits`);
      protoAndFrag(name, bytes, half, masked, 36, 39, headers);
      return true;
    case KEY_ATTR.ARP:
      if (headers !== undefined && headers.type !== 0x0806 && headers.type !== 0x8035) {
        throw misfit(name, 'an ARP header (arp)');
      }
      return true;
    case KEY_ATTR.MPLS:
      if (headers !== undefined && !isMpls(headers.type)) throw misfit(name, 'an MPLS label (mpls)');
      return true;
    case KEY_ATTR.NSH:
      if (headers !== undefined && headers.type !== ETH_TYPE_NSH) throw misfit(name, 'an NSH (nsh)');
      return true;
    default: {
      const transport = TRANSPORTS.get(type);
      if (transport === undefined) return false;
      if (headers !== undefined) checkTransport(type, name, transport, headers);
      return true;
    }
  }
}

/** Protocol and fragment bits say what the packet is: a set action may repeat them, not change them. */
function protoAndFrag(
  name: string,
  bytes: Uint8Array,
  half: number,
  masked: boolean,
  protoAt: number,
  fragAt: number,
  headers: Headers | undefined,
): void {
  if (masked) {
    if (bytes[half + protoAt] !== 0) throw invalid(`action ${name} cannot change proto`);
    if (bytes[half + fragAt] !== 0) throw invalid(`action ${name} cannot change frag`);
    return;
  }
  const [proto, frag] = [headers?.proto ?? bytes[protoAt], headers?.frag ?? bytes[fragAt]];
  if (bytes[protoAt] !== proto)
    throw invalid(`action ${name} has proto ${bytes[protoAt]}, its flow ${proto}`);
  if (bytes[fragAt] !== frag) throw invalid(`action ${name} has frag ${bytes[fragAt]}, its flow ${frag}`);
}

function checkTransport(
  attribute: number,
  name: string,
  { proto, type }: { readonly proto: number; readonly type?: number },
  headers: Headers,
): void {
  const field = NAMES.get(attribute);
  const fits = (type === undefined ? isIp(headers.type) : headers.type === type) && headers.proto === proto;
  if (!fits) throw misfit(name, `protocol ${proto} (${field})`);
  if (headers.frag === 2) throw misfit(name, `a transport header (${field}), being later fragments`);
  if (attribute !== KEY_ATTR.ND && attribute !== KEY_ATTR.ND_EXTENSIONS) return;
  if (!ND_TYPES.includes(headers.icmpType ?? 0)) throw misfit(name, `icmpv6 type 135 or 136 (${field})`);
}

function misfit(name: string, what: string): DpifError {
  return invalid(`action ${name} does not fit: the packets of the flow do not all have ${what}`);
}

const invalid = (message: string): DpifError => new DpifError('EINVAL', message);
const hex = (value: number): string => `0x${value.toString(16).padStart(4, '0')}`;
const host32 = (bytes: Uint8Array): number =>
  (bytes[0]! | (bytes[1]! << 8) | (bytes[2]! << 16) | (bytes[3]! << 24)) >>> 0;
const net16 = (bytes: Uint8Array, at: number): number => (bytes[at]! << 8) | bytes[at + 1]!;
