/** Actions without an argument, and those whose argument is one 32-bit number in host order. */
import { getLe32 } from '../key/bytes.js';
import { alternateHex } from '../key/kind.js';
import type { Scanner } from '../text/scanner.js';
import { ACTION_ATTR } from './attrs.js';
import type { ActionOf, ActionType } from './model.js';
import type { ActionReader } from './reader.js';
import type { ActionRow, Printer } from './row.js';
import { uint } from './values.js';

interface Bare<T extends ActionType> {
  type: T;
  attr: number;
  keyword: string;
  about: string;
  model: ActionOf<T>;
  printOnly?: true;
}

function bare<T extends ActionType>({ model, ...row }: Bare<T>): ActionRow<T> {
  const { attr, keyword } = row;
  return {
    ...row,
    length: 0,
    text: keyword,
    format: () => keyword,
    parse({ scan, out }) {
      scan.expect(keyword);
      out.flag(attr);
    },
    decode: () => ({ ...model }),
    encode: (out) => out.flag(attr),
  };
}

export const popVlan = bare({
  type: 'pop_vlan',
  attr: ACTION_ATTR.POP_VLAN,
  keyword: 'pop_vlan',
  about: 'removes the outer VLAN tag',
  model: { type: 'pop_vlan' },
});

export const popEth = bare({
  type: 'pop_eth',
  attr: ACTION_ATTR.POP_ETH,
  keyword: 'pop_eth',
  about: 'removes the Ethernet header',
  model: { type: 'pop_eth' },
  printOnly: true,
});

export const ctClear = bare({
  type: 'ct_clear',
  attr: ACTION_ATTR.CT_CLEAR,
  keyword: 'ct_clear',
  about: 'forgets the connection tracking state of the packet',
  model: { type: 'ct_clear' },
});

export const popNsh = bare({
  type: 'pop_nsh',
  attr: ACTION_ATTR.POP_NSH,
  keyword: 'pop_nsh()',
  about: 'removes the NSH header',
  model: { type: 'pop_nsh' },
});

interface Numbered<T extends ActionType> {
  type: T;
  attr: number;
  text: string;
  about: string;
  keyword?: string;
  printOnly?: true;
  print(value: number, printer: Printer): string;
  read?(reader: ActionReader): number;
  model(value: number): ActionOf<T>;
  value(action: ActionOf<T>): unknown;
}

function numbered<T extends ActionType>({ print, read, model, value, ...row }: Numbered<T>): ActionRow<T> {
  const { attr, type } = row;
  return {
    ...row,
    length: 4,
    format: (payload, printer) => print(getLe32(payload, 0), printer),
    ...(read !== undefined && { parse: (reader) => reader.out.u32(attr, read(reader)) }),
    decode: (payload) => model(getLe32(payload, 0)),
    encode: (out, action) => out.u32(attr, uint(value(action), 32, type)),
  };
}

/** A plain number or a port name; recognised by the table's reader, as it has no keyword. */
export const output = numbered({
  type: 'output',
  attr: ACTION_ATTR.OUTPUT,
  text: 'PORT',
  about: 'sends the packet to a port',
  print: (port, printer) => printer.port(port),
  model: (port) => ({ type: 'output', port }),
  value: (action) => action.port,
});

export const lbOutput = numbered({
  type: 'lb_output',
  attr: ACTION_ATTR.LB_OUTPUT,
  text: 'lb_output(BOND)',
  about: 'sends the packet to the member of a bond that its hash selects (userspace datapaths)',
  keyword: 'lb_output(',
  print: (bond) => `lb_output(${bond})`,
  read: (reader) => reader.number('lb_output(%u)'),
  model: (bond) => ({ type: 'lb_output', bond }),
  value: (action) => action.bond,
});

export const trunc = numbered({
  type: 'trunc',
  attr: ACTION_ATTR.TRUNC,
  text: 'trunc(BYTES)',
  about: 'cuts what the next output sends',
  keyword: 'trunc(',
  print: (maxLen) => `trunc(${maxLen})`,
  read: (reader) => reader.number('trunc(%i)'),
  model: (maxLen) => ({ type: 'trunc', maxLen }),
  value: (action) => action.maxLen,
});

/** Prints hexadecimal; reading takes decimal (all that Open vSwitch takes) and, unless strict, what it prints. */
export const recirc = numbered({
  type: 'recirc',
  attr: ACTION_ATTR.RECIRC,
  text: 'recirc(0xID)',
  about: 'looks the packet up again, with this recirculation id',
  keyword: 'recirc(',
  print: (id) => `recirc(${alternateHex(id)})`,
  read(reader) {
    const { scan, strict } = reader;
    scan.expect('recirc(');
    const id = !strict && scan.at('0x') ? reader.number('%x') : reader.number('%u');
    scan.expect(')');
    return id;
  },
  model: (id) => ({ type: 'recirc', id }),
  value: (action) => action.id,
});

export const meter = numbered({
  type: 'meter',
  attr: ACTION_ATTR.METER,
  text: 'meter(ID)',
  about: 'drops or marks what exceeds the rate of a meter',
  keyword: 'meter(',
  print: (id) => `meter(${id})`,
  read({ scan }) {
    scan.expect('meter(');
    const id = readLongLong(scan);
    scan.expect(')');
    return id;
  },
  model: (id) => ({ type: 'meter', id }),
  value: (action) => action.id,
});

/**
 * Low 32 bits of what sscanf(3) reads for %lli: unlike the scanner's integers it stays within 64 signed bits, and a `0x`
 * needs no digits.
 */
function readLongLong(scan: Scanner): number {
  const start = scan.position;
  if (!scan.integer()) {
    const bare = /^[ \t-\r]*[+-]?0x/i.exec(scan.text.slice(start));
    if (bare === null) return scan.fail('a number');
    scan.position += bare[0].length;
    return 0;
  }
  const digits = scan.text.slice(start, scan.position).trim();
  // 15 characters hold no more than 60 bits, whatever the base.
  if (digits.length <= 15) return scan.lo;
  const magnitude = BigInt(digits.replace(/^[+-]/, '').replace(/^0(?=[0-7])/, '0o'));
  if (magnitude < 1n << 63n) return scan.lo;
  return digits.startsWith('-') ? 0 : 0xffff_ffff;
}

export const tnlPop = numbered({
  type: 'tnl_pop',
  attr: ACTION_ATTR.TUNNEL_POP,
  text: 'tnl_pop(PORT)',
  about:
    'removes the tunnel header and looks the packet up as coming from a tunnel port (userspace datapaths)',
  keyword: 'tnl_pop(',
  print: (port, printer) => `tnl_pop(${printer.port(port)})`,
  read(reader) {
    reader.scan.expect('tnl_pop(');
    const port = reader.port();
    reader.scan.expect(')');
    return port;
  },
  model: (port) => ({ type: 'tnl_pop', port }),
  value: (action) => action.port,
});

/**
 * Prints as `drop` whatever the reason. Open vSwitch reads `drop` only as the whole text; here it may also stand
 * between other actions, but alone in a nested list it means what it prints for: an empty list.
 */
export const drop = numbered({
  type: 'drop',
  attr: ACTION_ATTR.DROP,
  text: 'drop',
  about: 'drops the packet; the reason (an xlate error of Open vSwitch) does not show in text',
  keyword: 'drop',
  printOnly: true,
  print: () => 'drop',
  read({ scan }) {
    scan.expect('drop');
    return 0;
  },
  model: (reason) => ({ type: 'drop', reason }),
  value: (action) => action.reason,
});
