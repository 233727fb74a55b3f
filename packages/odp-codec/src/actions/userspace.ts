/** The `userspace` action: an upcall with user data. */
import { getLe32 } from '../key/bytes.js';
import { NLA_MAX_PAYLOAD, NlReader } from '../netlink.js';
import { hexOf } from '../text/address.js';
import { ACTION_ATTR, COOKIE_LENGTH, USERSPACE_ATTR } from './attrs.js';
import { decodeCookie, formatCookie, readCookie, userdataOf } from './cookie.js';
import { readPushEth } from './headers.js';
import type { ActionOf } from './model.js';
import { exactly, needed, readPolicy } from './policy.js';
import type { ActionReader } from './reader.js';
import { type ActionRow, VARIABLE } from './row.js';
import { encodeProperties, flagEncoder, fromBlob, type PropertyEncoders, uint } from './values.js';

const POLICY = {
  [USERSPACE_ATTR.PID]: needed(4),
  [USERSPACE_ATTR.USERDATA]: { min: 0 },
  [USERSPACE_ATTR.EGRESS_TUN_PORT]: exactly(4),
  [USERSPACE_ATTR.ACTIONS]: { min: 0 },
};

/** Kernels before 3.10 wanted 8 bytes of user data, and Open vSwitch still pads to that. */
const USERDATA_MIN = 8;
/** ODPP_NONE: no tunnel port. */
const NO_PORT = 0xffff_ffff;

export const userspace: ActionRow<'userspace'> = {
  type: 'userspace',
  attr: ACTION_ATTR.USERSPACE,
  length: VARIABLE,
  text: 'userspace(pid=PID[,COOKIE or userdata(HEX)][,actions][,tunnel_out_port=PORT])',
  about: 'sends the packet to the client, with user data',
  keyword: 'userspace(',
  format(payload, printer) {
    const found = readPolicy(payload, POLICY);
    if (found === undefined) return 'userspace(error)';
    const data = found.get(USERSPACE_ATTR.USERDATA);
    const tunnelPort = found.get(USERSPACE_ATTR.EGRESS_TUN_PORT);
    let out = `userspace(pid=${getLe32(found.get(USERSPACE_ATTR.PID)!, 0)}`;
    if (data !== undefined) out += formatCookie(data, printer) ?? `,userdata(${hexOf(data)})`;
    if (found.has(USERSPACE_ATTR.ACTIONS)) out += ',actions';
    if (tunnelPort !== undefined) out += `,tunnel_out_port=${printer.port(getLe32(tunnelPort, 0))}`;
    return `${out})`;
  },
  parse(reader) {
    const { scan, out } = reader;
    const start = scan.position;
    const pid = reader.number('userspace(pid=%i');
    const data = readCookie(reader) ?? readUserdata(reader) ?? new Uint8Array(COOKIE_LENGTH);
    const actions = scan.accept(',actions');
    // Open vSwitch's only parser for push_eth sits here, behind `userspace(pid=..` without a comma.
    if (scan.at('push_eth(')) return readPushEth(reader, ',type=%i');
    const tunnelPort = scan.accept(',tunnel_out_port=') ? reader.port() : NO_PORT;
    scan.expect(')');
    const mark = out.begin(ACTION_ATTR.USERSPACE);
    out.u32(USERSPACE_ATTR.PID, pid);
    putUserdata(reader, data, start);
    if (tunnelPort !== NO_PORT) out.u32(USERSPACE_ATTR.EGRESS_TUN_PORT, tunnelPort);
    if (actions) out.flag(USERSPACE_ATTR.ACTIONS);
    reader.end(mark);
  },
  decode(payload) {
    const action: ActionOf<'userspace'> = { type: 'userspace', pid: 0 };
    const found = readPolicy(payload, POLICY);
    if (found === undefined) return undefined;
    const attributes = new NlReader(payload);
    while (attributes.next()) {
      const value = attributes.payload();
      if (attributes.type === USERSPACE_ATTR.PID) action.pid = getLe32(value, 0);
      else if (attributes.type === USERSPACE_ATTR.USERDATA) {
        action.userdata = decodeCookie(value) ?? fromBlob(value);
      } else if (attributes.type === USERSPACE_ATTR.EGRESS_TUN_PORT) action.tunnelOutPort = getLe32(value, 0);
      else if (attributes.type === USERSPACE_ATTR.ACTIONS) action.actions = true;
    }
    return action;
  },
  encode(out, action) {
    const mark = out.begin(ACTION_ATTR.USERSPACE);
    encodeProperties(out, action, 'userspace', PROPERTIES);
    out.end(mark);
  },
};

const PROPERTIES: PropertyEncoders = {
  pid: (out, value) => out.u32(USERSPACE_ATTR.PID, uint(value, 32, 'pid')),
  userdata: (out, value) => out.put(USERSPACE_ATTR.USERDATA, userdataOf(value)),
  tunnelOutPort: (out, value) => out.u32(USERSPACE_ATTR.EGRESS_TUN_PORT, uint(value, 32, 'tunnelOutPort')),
  actions: flagEncoder(USERSPACE_ATTR.ACTIONS, 'actions'),
};

function readUserdata({ scan }: ActionReader): Uint8Array | undefined {
  if (!scan.accept(',userdata(')) return undefined;
  const data = scan.hexBytes();
  scan.expect(')');
  return data;
}

function putUserdata({ scan, out }: ActionReader, data: Uint8Array, start: number): void {
  if (data.length > NLA_MAX_PAYLOAD) scan.fail('user data that fits the action', 'E2BIG', start);
  const at = out.reserve(USERSPACE_ATTR.USERDATA, Math.max(USERDATA_MIN, data.length));
  out.memory.set(data, at);
}
