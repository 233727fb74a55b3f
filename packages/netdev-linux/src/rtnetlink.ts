/**
 * rtnetlink messages (rtnetlink(7)): building requests, reading replies and errors.
 *
 * Netlink is in host byte order: little-endian on every machine that Node's Linux builds run on but s390x.
 */

const NLMSG_ERROR = 2;
const NLM_F_REQUEST = 0x1;
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;
const NLMSGERR_ATTR_MSG = 1;
const EPROTO = 71;
/** struct nlmsghdr. */
export const NLMSG_HDRLEN = 16;
const REPLY_ROOM = 32_768;

/** What a driver's binding has for this. */
export interface Rtnetlink {
  /**
   * Sends `request` in the network namespace that the descriptor `control` stands for; puts the one reply into `reply`, and returns
   * its length. Throws a `SystemError`.
   */
  rtnetlink(control: number, request: Uint8Array, reply: Uint8Array): number;
}

/** The kernel refused a request, or its answer makes no sense. Has the shape of the binding's `SystemError`. */
export class RtnetlinkError extends Error {
  readonly errno: number;
  readonly syscall = 'rtnetlink';

  constructor(errno: number, text: string | undefined) {
    super(`the kernel refused with errno ${errno}${text === undefined ? '' : ` ("${text}")`}`);
    this.errno = errno;
  }
}

/** A request of up to 256 bytes; attributes are appended. */
export class Request {
  readonly #bytes = new Uint8Array(256);
  readonly view = new DataView(this.#bytes.buffer);
  #length: number;

  /** `body` bytes of the message's own structure follow the header, all zero. */
  constructor(type: number, flags: number, body: number) {
    this.view.setUint16(4, type, true);
    this.view.setUint16(6, NLM_F_REQUEST | flags, true);
    this.#length = NLMSG_HDRLEN + body;
  }

  add(type: number, payload: Uint8Array): this {
    this.view.setUint16(this.#length, 4 + payload.length, true);
    this.view.setUint16(this.#length + 2, type, true);
    this.#bytes.set(payload, this.#length + 4);
    this.#length += 4 + align(payload.length);
    return this;
  }

  addU32(type: number, value: number): this {
    return this.add(type, new Uint8Array(Uint32Array.of(value).buffer));
  }

  bytes(): Uint8Array {
    this.view.setUint32(0, this.#length, true);
    return this.#bytes.subarray(0, this.#length);
  }
}

/** Sends `request`; returns the reply that carries something, throws the error that one carries. */
export function exchange(native: Rtnetlink, control: number, request: Request): DataView {
  const reply = new Uint8Array(REPLY_ROOM);
  const length = native.rtnetlink(control, request.bytes(), reply);
  const view = new DataView(reply.buffer, 0, length);
  if (length < NLMSG_HDRLEN + 4) throw new RtnetlinkError(EPROTO, `a reply of ${length} bytes`);
  if (messageType(view) !== NLMSG_ERROR) return view;
  const errno = -view.getInt32(NLMSG_HDRLEN, true);
  if (errno !== 0) throw new RtnetlinkError(errno, errorText(view));
  return view;
}

export function messageType(view: DataView): number {
  return view.getUint16(4, true);
}

/** Payloads by attribute type, from `at` to the end; stops at the first that is cut off. */
export function attributes(view: DataView, at: number): Map<number, DataView> {
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

export function octets(view: DataView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

/** A string attribute, without the zero at its end. */
export function text(view: DataView): string {
  return Buffer.from(octets(view)).toString('utf8').replace(/\0+$/, '');
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

function align(length: number): number {
  return ((length + 3) & ~3) >>> 0;
}
