/** A device's link as rtnetlink knows it (linux/if_link.h): reading all of it, changing some of it. */

import { DpifError, type NetdevStats } from '@etherloom/core';
import {
  attributes,
  exchange,
  messageType,
  NLMSG_HDRLEN,
  octets,
  Request,
  type Rtnetlink,
  RtnetlinkError,
  text,
} from './rtnetlink.js';

export const IFF_UP = 0x1;
export const IFF_LOOPBACK = 0x8;
export const IFF_PROMISC = 0x100;
/** Up, and the carrier is on: known at once, where IFF_RUNNING lags by up to a second. */
export const IFF_LOWER_UP = 0x1_0000;

const RTM_NEWLINK = 16;
const RTM_GETLINK = 18;
const RTM_SETLINK = 19;
const NLM_F_ACK = 0x4;
/** struct ifinfomsg. */
const IFINFOMSG_LEN = 16;
const EPROTO = 71;
const ARPHRD_ETHER = 1;
const ARPHRD_LOOPBACK = 772;

const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_LINK = 5;
const IFLA_LINKINFO = 18;
const IFLA_STATS64 = 23;
const IFLA_PROMISCUITY = 30;
const IFLA_NUM_RX_QUEUES = 32;
const IFLA_CARRIER_CHANGES = 35;
const IFLA_LINK_NETNSID = 37;
const IFLA_XDP = 43;
const IFLA_MIN_MTU = 50;
const IFLA_MAX_MTU = 51;
const IFLA_INFO_KIND = 1;
const IFLA_XDP_PROG_ID = 4;

/** Every counter of {@link NetdevStats}: the kernel has them all. */
export type LinkCounters = Readonly<Required<NetdevStats>>;

export interface Link {
  readonly ifindex: number;
  /** Its name now: it may have been renamed. */
  readonly name: string;
  /** `veth`, `bridge`...; empty for hardware. */
  readonly kind: string;
  /** IFF_* bits. */
  readonly flags: number;
  /** How many want it promiscuous: sockets, and one for the flag that people set. */
  readonly promiscuity: number;
  readonly mtu: number;
  readonly minMtu: number;
  readonly maxMtu: number;
  /** Lower case, colons. */
  readonly address: string;
  /** Receive queues that the device was made with; it may use fewer. */
  readonly rxQueues: number;
  /** Times that the carrier came or went since the device was created. */
  readonly carrierChanges: number;
  /** Of a veth: its peer's index, and the id of the peer's namespace when that is another one. */
  readonly peer: number | undefined;
  readonly peerNetnsid: number | undefined;
  /** Id of the XDP program that is attached; 0 for none. */
  readonly xdpProgram: number;
  /** Since the device was created. */
  readonly counters: LinkCounters;
}

/** What to change; absent members stay. */
export interface LinkChange {
  readonly mtu?: number | undefined;
  readonly address?: string | undefined;
  /** Wanted state of the bits in `flagMask`. */
  readonly flags?: number;
  readonly flagMask?: number;
}

/** Reads the link called `device` (name) or with that index. Failures are what `kernelError` makes sentences of. */
export function readLink(native: Rtnetlink, control: number, device: string | number): Link {
  const request = new Request(RTM_GETLINK, 0, IFINFOMSG_LEN);
  if (typeof device === 'string') request.add(IFLA_IFNAME, Buffer.from(`${device}\0`));
  else request.view.setInt32(NLMSG_HDRLEN + 4, device, true);
  return parseLink(exchange(native, control, request));
}

/** Changes the link in one request. */
export function changeLink(native: Rtnetlink, control: number, ifindex: number, change: LinkChange): void {
  const request = new Request(RTM_SETLINK, NLM_F_ACK, IFINFOMSG_LEN);
  request.view.setInt32(NLMSG_HDRLEN + 4, ifindex, true);
  request.view.setUint32(NLMSG_HDRLEN + 8, change.flags ?? 0, true);
  request.view.setUint32(NLMSG_HDRLEN + 12, change.flagMask ?? 0, true);
  if (change.address !== undefined) {
    request.add(IFLA_ADDRESS, Buffer.from(change.address.replaceAll(':', ''), 'hex'));
  }
  if (change.mtu !== undefined) request.addU32(IFLA_MTU, change.mtu);
  exchange(native, control, request);
}

function parseLink(view: DataView): Link {
  const found = attributes(view, NLMSG_HDRLEN + IFINFOMSG_LEN);
  if (view.byteLength < NLMSG_HDRLEN + IFINFOMSG_LEN) {
    throw new RtnetlinkError(EPROTO, `a link of ${view.byteLength} bytes`);
  }
  const type = view.getUint16(NLMSG_HDRLEN + 2, true);
  const stats = found.get(IFLA_STATS64);
  const address = found.get(IFLA_ADDRESS);
  const mtu = found.get(IFLA_MTU);
  const name = found.get(IFLA_IFNAME);
  if (
    messageType(view) !== RTM_NEWLINK ||
    stats === undefined ||
    stats.byteLength < STATS_BYTES ||
    mtu === undefined ||
    mtu.byteLength < 4 ||
    name === undefined ||
    (address === undefined && type === ARPHRD_ETHER)
  ) {
    throw new RtnetlinkError(EPROTO, 'a link without name, statistics, address or MTU');
  }
  if (type !== ARPHRD_ETHER && type !== ARPHRD_LOOPBACK) {
    throw new DpifError(
      'EINVAL',
      `"${text(name)}" is not an Ethernet device (hardware type ${type}): only those can be ports`,
    );
  }
  const number = (payload: DataView | undefined): number | undefined =>
    payload === undefined || payload.byteLength < 4 ? undefined : payload.getInt32(0, true);
  const u32 = (attribute: number): number => (number(found.get(attribute)) ?? 0) >>> 0;
  const nested = (attribute: number, inner: number): DataView | undefined => {
    const payload = found.get(attribute);
    return payload === undefined ? undefined : attributes(payload, 0).get(inner);
  };
  const kind = nested(IFLA_LINKINFO, IFLA_INFO_KIND);
  return {
    ifindex: view.getInt32(NLMSG_HDRLEN + 4, true),
    name: text(name),
    kind: kind === undefined ? '' : text(kind),
    flags: view.getUint32(NLMSG_HDRLEN + 8, true),
    promiscuity: u32(IFLA_PROMISCUITY),
    mtu: mtu.getUint32(0, true),
    minMtu: u32(IFLA_MIN_MTU),
    maxMtu: u32(IFLA_MAX_MTU),
    address: address === undefined ? '' : colons(octets(address)),
    rxQueues: u32(IFLA_NUM_RX_QUEUES),
    carrierChanges: u32(IFLA_CARRIER_CHANGES),
    peer: number(found.get(IFLA_LINK)),
    peerNetnsid: number(found.get(IFLA_LINK_NETNSID)),
    xdpProgram: (number(nested(IFLA_XDP, IFLA_XDP_PROG_ID)) ?? 0) >>> 0,
    counters: linkCounters(stats),
  };
}

/** struct rtnl_link_stats64, of which an older kernel may have less, but not than these. */
const STATS_BYTES = 21 * 8;

function linkCounters(stats: DataView): LinkCounters {
  const counter = (index: number): number => Number(stats.getBigUint64(8 * index, true));
  return {
    rxPackets: counter(0),
    txPackets: counter(1),
    rxBytes: counter(2),
    txBytes: counter(3),
    rxErrors: counter(4),
    txErrors: counter(5),
    rxDropped: counter(6),
    txDropped: counter(7),
    multicast: counter(8),
    collisions: counter(9),
    rxLengthErrors: counter(10),
    rxOverErrors: counter(11),
    rxCrcErrors: counter(12),
    rxFrameErrors: counter(13),
    rxFifoErrors: counter(14),
    rxMissedErrors: counter(15),
    txAbortedErrors: counter(16),
    txCarrierErrors: counter(17),
    txFifoErrors: counter(18),
    txHeartbeatErrors: counter(19),
    txWindowErrors: counter(20),
  };
}

function colons(address: Uint8Array): string {
  return Array.from(address, (octet) => octet.toString(16).padStart(2, '0')).join(':');
}
