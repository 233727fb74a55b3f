/** The `tnl_push` action: a tunnel header to put in front of a packet, and the ports it goes through. */
import { getLe32, putLe32 } from '../key/bytes.js';
import { ACTION_ATTR } from './attrs.js';
import { type ActionRow, VARIABLE } from './row.js';
import { formatHeader } from './tnl-format.js';
import { HEADER_MAX } from './tnl-header.js';
import { readHeader } from './tnl-read.js';
import { blob, fromBlob, reject, uint } from './values.js';

/** Bytes in front of the header: tunnel port, out port, header length, tunnel type. */
const PREFIX = 16;

export const tnlPush: ActionRow<'tnl_push'> = {
  type: 'tnl_push',
  attr: ACTION_ATTR.TUNNEL_PUSH,
  length: VARIABLE,
  text: 'tnl_push(tnl_port(PORT),header(size=N,type=T,eth(..),ipv4(..) or ipv6(..),TUNNEL),out_port(PORT))',
  about: 'puts a tunnel header in front and sends the packet on through another port (userspace datapaths)',
  keyword: 'tnl_push(',
  format(payload, printer) {
    if (payload.length < PREFIX) return 'tnl_push(error)';
    const size = getLe32(payload, 8);
    const type = getLe32(payload, 12);
    const header = payload.subarray(PREFIX, PREFIX + size);
    return (
      `tnl_push(tnl_port(${printer.port(getLe32(payload, 0))}),header(size=${size},type=${type},` +
      `${formatHeader(header, type)}),out_port(${printer.port(getLe32(payload, 4))}))`
    );
  },
  parse(reader) {
    const { scan, out } = reader;
    scan.expect('tnl_push(tnl_port(');
    const tunnelPort = reader.port();
    const sizeAt = scan.position + '),header('.length;
    const [size, type] = reader.pattern('),header(size=%i,type=%i,');
    const header = readHeader(reader);
    if (type !== header.type || size !== header.bytes.length) {
      scan.fail(`size=${header.bytes.length},type=${header.type} for this header`, 'EINVAL', sizeAt);
    }
    scan.expect('),out_port(');
    const outPort = reader.port();
    scan.expect('))');
    const at = out.reserve(ACTION_ATTR.TUNNEL_PUSH, PREFIX + size);
    putPayload(out.memory, at, tunnelPort, outPort, type, header.bytes);
  },
  decode(payload) {
    if (payload.length < PREFIX) return undefined;
    return {
      type: 'tnl_push',
      tunnelPort: getLe32(payload, 0),
      outPort: getLe32(payload, 4),
      tunnelType: getLe32(payload, 12),
      header: fromBlob(payload.subarray(PREFIX)),
    };
  },
  encode(out, action) {
    const header = blob(action.header, 'header');
    if (header.length > HEADER_MAX) reject('header', `at most ${HEADER_MAX} bytes`, header.length);
    const tunnelPort = uint(action.tunnelPort, 32, 'tunnelPort');
    const outPort = uint(action.outPort, 32, 'outPort');
    const tunnelType = uint(action.tunnelType, 32, 'tunnelType');
    const at = out.reserve(ACTION_ATTR.TUNNEL_PUSH, PREFIX + header.length);
    putPayload(out.memory, at, tunnelPort, outPort, tunnelType, header);
  },
};

function putPayload(
  into: Uint8Array,
  at: number,
  tunnelPort: number,
  outPort: number,
  type: number,
  header: Uint8Array,
): void {
  putLe32(into, at, tunnelPort);
  putLe32(into, at + 4, outPort);
  putLe32(into, at + 8, header.length);
  putLe32(into, at + 12, type);
  into.set(header, at + PREFIX);
}
