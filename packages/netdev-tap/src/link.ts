/**
 * A device's link as rtnetlink knows it (rtnetlink(7), linux/if_link.h): reading all of it, changing some of it.
 *
 * Netlink is in host byte order: little-endian on every machine that Node's Linux builds run on but s390x.
 */

import { DpifError, errnoCode } from '@etherloom/core';
import { isSystemError, type TapControl } from './binding.js';

export const IFF_UP = 0x1;
export const IFF_LOOPBACK = 0x8;
export const IFF_PROMISC = 0x100;
/** Up, and the carrier is on: known at once, where IFF_RUNNING lags by up to a second. */
export const IFF_LOWER_UP = 0x1_0000;

export interface Link {
  readonly ifindex: number;
  /** IFF_* bits. */
  readonly flags: number;
  readonly mtu: number;
  readonly minMtu: number;
  readonly maxMtu: number;
  /** Lower case, colons. */
  readonly address: string;
  /** Times that the carrier came or went since the device was created. */
  readonly carrierChanges: number;
  /** Since the device was created, from the kernel's side: what it receives is what we send. */
  readonly rxErrors: number;
  readonly txErrors: number;
  readonly rxDropped: number;
  readonly txDropped: number;
}

/** What to change; absent members stay. */
export interface LinkChange {
  readonly mtu?: number | undefined;
  readonly address?: string | undefined;
  /** Wanted state of the bits in `flagMask`. */
  readonly flags?: number;
  readonly flagMask?: number;
}

const NLMSG_ERROR = 2;
const RTM_NEWLINK = 16;
const RTM_GETLINK = 18;
const RTM_SETLINK = 19;
const NLM_F_REQUEST = 0x1;
const NLM_F_ACK = 0x4;
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;
const NLMSGERR_ATTR_MSG = 1;
const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_STATS64 = 23;
const IFLA_CARRIER_CHANGES = 35;
const IFLA_MIN_MTU = 50;
const IFLA_MAX_MTU = 51;

/** struct nlmsghdr, and the struct ifinfomsg that follows it in link messages. */
const NLMSG_HDRLEN = 16;
const IFINFOMSG_LEN = 16;
const REPLY_ROOM = 32_768;
const EBADFD = 77;

/** Reads the link of the device behind `fd`. ENODEV when somebody deleted it. */
export function readLink(native: TapControl, fd: number, device: string): Link {
  try {
    const message = startMessage(RTM_GETLINK, 0, 0, 0, 0);
    addAttribute(message, IFLA_IFNAME, Buffer.from(`${native.tapInfo(fd).name}\0`));
    return parseLink(exchange(native, fd, message));
  } catch (error) {
    throw kernelError(error, `cannot read the state of TAP device "${device}"`);
  }
}

/** Changes the link in one request; `what` says for the error's sentence what was tried. */
export function changeLink(
  native: TapControl,
  fd: number,
  ifindex: number,
  change: LinkChange,
  what: string,
): void {
  const message = startMessage(RTM_SETLINK, NLM_F_ACK, ifindex, change.flags ?? 0, change.flagMask ?? 0);
  if (change.address !== undefined) {
    addAttribute(message, IFLA_ADDRESS, Buffer.from(change.address.replaceAll(':', ''), 'hex'));
  }
  if (change.mtu !== undefined)
    addAttribute(message, IFLA_MTU, Buffer.from(Uint32Array.of(change.mtu).buffer));
  try {
    exchange(native, fd, message);
  } catch (error) {
    throw kernelError(error, what);
  }
}

/** An error of the binding or of rtnetlink as sentence: `what` failed, why, and what to do where that is known. */
export function kernelError(error: unknown, what: string): DpifError {
  if (error instanceof DpifError) return error;
  if (!isSystemError(error)) throw error;
  const { errno, message } = error;
  if (errno === EBADFD) {
    return new DpifError('ENODEV', `${what}: somebody deleted the device, close it and open it again`, {
      cause: error,
    });
  }
  const code = errnoCode(errno);
  const advice =
    code === 'EPERM' || code === 'EACCES' ? '; it takes root or the capability CAP_NET_ADMIN' : '';
  return new DpifError(code, `${what}: ${message}${advice}`, { cause: error });
}

class RtnetlinkError extends Error {
  readonly errno: number;
  readonly syscall = 'rtnetlink';

  constructor(errno: number, text: string | undefined) {
    super(`the kernel refused with errno ${errno}${text === undefined ? '' : ` ("${text}")`}`);
    this.errno = errno;
  }
}

interface Message {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  length: number;
}

function startMessage(
  type: number,
  flags: number,
  ifindex: number,
  ifiFlags: number,
  ifiChange: number,
): Message {
  const bytes = new Uint8Array(256);
  const view = new DataView(bytes.buffer);
  view.setUint16(4, type, true);
  view.setUint16(6, NLM_F_REQUEST | flags, true);
  view.setInt32(NLMSG_HDRLEN + 4, ifindex, true);
  view.setUint32(NLMSG_HDRLEN + 8, ifiFlags, true);
  view.setUint32(NLMSG_HDRLEN + 12, ifiChange, true);
  return { bytes, view, length: NLMSG_HDRLEN + IFINFOMSG_LEN };
}

function addAttribute(message: Message, type: number, payload: Uint8Array): void {
  message.view.setUint16(message.length, 4 + payload.length, true);
  message.view.setUint16(message.length + 2, type, true);
  message.bytes.set(payload, message.length + 4);
  message.length += 4 + align(payload.length);
}

/** Sends `message`; returns the reply that carries something, throws the error that one carries. */
function exchange(native: TapControl, fd: number, message: Message): DataView {
  message.view.setUint32(0, message.length, true);
  const reply = new Uint8Array(REPLY_ROOM);
  const length = native.rtnetlink(fd, message.bytes.subarray(0, message.length), reply);
  const view = new DataView(reply.buffer, 0, length);
  if (length < NLMSG_HDRLEN + 4) throw new RtnetlinkError(71, `a reply of ${length} bytes`);
  if (view.getUint16(4, true) !== NLMSG_ERROR) return view;
  const errno = -view.getInt32(NLMSG_HDRLEN, true);
  if (errno !== 0) throw new RtnetlinkError(errno, errorText(view));
  return view;
}

/** The kernel's own sentence (NLMSGERR_ATTR_MSG), which stands behind the request that it repeats. */
function errorText(view: DataView): string | undefined {
  const flags = view.getUint16(6, true);
  const repeated = NLMSG_HDRLEN + 4;
  if ((flags & NLM_F_ACK_TLVS) === 0 || view.byteLength < repeated + NLMSG_HDRLEN) return undefined;
  const skip = (flags & NLM_F_CAPPED) !== 0 ? NLMSG_HDRLEN : align(view.getUint32(repeated, true));
  const payload = attributes(view, repeated + skip).get(NLMSGERR_ATTR_MSG);
  return payload === undefined ? undefined : text(payload);
}

function parseLink(view: DataView): Link {
  const found = attributes(view, NLMSG_HDRLEN + IFINFOMSG_LEN);
  const stats = found.get(IFLA_STATS64);
  const address = found.get(IFLA_ADDRESS);
  const mtu = found.get(IFLA_MTU);
  if (
    view.getUint16(4, true) !== RTM_NEWLINK ||
    stats === undefined ||
    address === undefined ||
    mtu === undefined
  ) {
    throw new RtnetlinkError(71, 'a link without statistics, address or MTU');
  }
  const u32 = (type: number): number => found.get(type)?.getUint32(0, true) ?? 0;
  const u64 = (at: number): number => Number(stats.getBigUint64(at, true));
  return {
    ifindex: view.getInt32(NLMSG_HDRLEN + 4, true),
    flags: view.getUint32(NLMSG_HDRLEN + 8, true),
    mtu: mtu.getUint32(0, true),
    minMtu: u32(IFLA_MIN_MTU),
    maxMtu: u32(IFLA_MAX_MTU),
    address: Array.from(octets(address), (octet) => octet.toString(16).padStart(2, '0')).join(':'),
    carrierChanges: u32(IFLA_CARRIER_CHANGES),
    rxErrors: u64(32),
    txErrors: u64(40),
    rxDropped: u64(48),
    txDropped: u64(56),
  };
}

/** Payloads by attribute type, from `at` to the end; stops at the first that is cut off. */
function attributes(view: DataView, at: number): Map<number, DataView> {
  const found = new Map<number, DataView>();
  while (at + 4 <= view.byteLength) {
    const length = view.getUint16(at, true);
    if (length < 4 || at + length > view.byteLength) break;
    // The upper two bits of a type are flags (nested, byte order).
    const type = view.getUint16(at + 2, true) & 0x3fff;
    found.set(type, new DataView(view.buffer, view.byteOffset + at + 4, length - 4));
    at += align(length);
  }
  return found;
}

function octets(view: DataView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

function text(view: DataView): string {
  return Buffer.from(octets(view)).toString('utf8').replace(/\0+$/, '');
}

function align(length: number): number {
  return (length + 3) & ~3;
}
