/** The `psample` action: a copy of the packet to the psample multicast group of the kernel. */
import { OdpError } from '../errors.js';
import { getLe32 } from '../key/bytes.js';
import { wideHex } from '../key/wide-kinds.js';
import { NlReader } from '../netlink.js';
import { Scanner } from '../text/scanner.js';
import { ACTION_ATTR, PSAMPLE_ATTR, PSAMPLE_COOKIE_MAX } from './attrs.js';
import type { ActionOf } from './model.js';
import { type ActionRow, VARIABLE } from './row.js';
import { blob, encodeProperties, fromBlob, type PropertyEncoders, uint } from './values.js';

/** NLA_F_NESTED, which Open vSwitch sets on this action and on no other. */
const NESTED = 0x8000;

export const psample: ActionRow<'psample'> = {
  type: 'psample',
  attr: ACTION_ATTR.PSAMPLE,
  length: VARIABLE,
  text: 'psample(group=N[,cookie=0xBYTES])',
  about:
    'sends a copy to the psample group, with up to 16 bytes of cookie; leading zeros of it do not show in text',
  keyword: 'psample(',
  format(payload) {
    const attributes = new NlReader(payload);
    let out = 'psample(';
    while (attributes.next()) {
      if (attributes.type === PSAMPLE_ATTR.GROUP) {
        if (attributes.length < 4) {
          throw new OdpError('EINVAL', `psample group must have 4 bytes, not ${attributes.length}`);
        }
        out += `group=${getLe32(attributes.payload(), 0)},`;
      } else if (attributes.type === PSAMPLE_ATTR.COOKIE) {
        out += `cookie=${wideHex(attributes.payload(), 0, attributes.length)}`;
      }
    }
    return `${out.endsWith(',') ? out.slice(0, -1) : out})`;
  },
  parse({ scan, out, strict }) {
    scan.expect('psample(');
    let group: number | undefined;
    let cookie: Uint8Array | undefined;
    while (!scan.accept(')')) {
      scan.skipDelimiters();
      if (group === undefined && scan.accept('group=')) {
        group = scan.need(scan.u32(), 'a number');
      } else if (cookie === undefined && scan.accept('cookie=0x')) {
        const digits = scan.run('0123456789abcdefABCDEF', 2 * PSAMPLE_COOKIE_MAX);
        const bytes = new Scanner(scan.need(digits, 'hexadecimal digits')).hexBytes();
        if (bytes.length > 0) cookie = bytes;
      } else if (cookie === undefined && !strict && scan.accept('cookie=0')) {
        // So Open vSwitch prints a cookie of zeros, however long it is.
        cookie = new Uint8Array(1);
      } else {
        scan.fail('group= or cookie=0x, each once');
      }
    }
    if (group === undefined) return scan.fail('group= before', 'EINVAL', scan.position - 1);
    const mark = out.begin(ACTION_ATTR.PSAMPLE | NESTED);
    out.u32(PSAMPLE_ATTR.GROUP, group);
    if (cookie !== undefined) out.put(PSAMPLE_ATTR.COOKIE, cookie);
    out.end(mark);
  },
  decode(payload) {
    const action: ActionOf<'psample'> = { type: 'psample', group: 0 };
    const attributes = new NlReader(payload);
    while (attributes.next()) {
      if (attributes.type === PSAMPLE_ATTR.GROUP && attributes.length === 4) {
        action.group = getLe32(attributes.payload(), 0);
      } else if (attributes.type === PSAMPLE_ATTR.COOKIE) action.cookie = fromBlob(attributes.payload());
    }
    return action;
  },
  encode(out, action) {
    const mark = out.begin(ACTION_ATTR.PSAMPLE | NESTED);
    encodeProperties(out, action, 'psample', PROPERTIES);
    out.end(mark);
  },
};

const PROPERTIES: PropertyEncoders = {
  group: (out, value) => out.u32(PSAMPLE_ATTR.GROUP, uint(value, 32, 'group')),
  cookie: (out, value) => out.put(PSAMPLE_ATTR.COOKIE, blob(value, 'cookie')),
};
