/**
 * The 48-byte cookie that Open vSwitch's own clients put into the user data of a `userspace` action: what the upcall
 * is for. To the datapath it is opaque; the text form shows it. Integers are in host order but for the VLAN TCI and
 * the rule cookie. Layout: type u16, pad, OpenFlow in_port u32, bridge UUID 16 bytes, then 24 bytes by type.
 */
import { allBytes, getBe16, getLe16, getLe32, putBe16, putLe16, putLe32 } from '../key/bytes.js';
import { isObject } from '../key/shape.js';
import { wideHex } from '../key/wide-kinds.js';
import { hexOf } from '../text/address.js';
import { type FlagNames, scanFlags } from '../text/flags.js';
import { COOKIE_LENGTH, COOKIE_TYPE } from './attrs.js';
import { sameBytes } from './bytes.js';
import type { Cookie } from './model.js';
import type { ActionReader } from './reader.js';
import type { Printer } from './row.js';
import { blob, fromWide, reject, uint, wide } from './values.js';

const IN_PORT = 4;
const UUID = 8;
const UUID_LENGTH = 16;
const BODY = 24;
/** OFPP_NONE, what text forms stand for. */
const NO_IN_PORT = 0xffff;
const VLAN_CFI = 0x1000;

/** Reasons of a slow path, by bit. */
const SLOW_PATH_REASONS: FlagNames = ['cfm', 'bfd', 'lacp', 'stp', 'lldp', 'action', 'match'];
const SLOW_PATH_MASK = (1 << SLOW_PATH_REASONS.length) - 1;

/** Directions of a flow_sample, by number; 0 is neither. */
const DIRECTIONS = ['', ',ingress', ',egress'] as const;

/** The text of the cookie in `data`, starting with a comma; undefined when it is not a known cookie. */
export function formatCookie(data: Uint8Array, printer: Printer): string | undefined {
  if (data.length !== COOKIE_LENGTH) return undefined;
  const u16 = (at: number) => getLe16(data, BODY + at);
  const u32 = (at: number) => getLe32(data, BODY + at);
  switch (getLe16(data, 0)) {
    case COOKIE_TYPE.SFLOW: {
      const tci = getBe16(data, BODY);
      return `,sFlow(vid=${tci & 0xfff},pcp=${tci >> 13},output=${u32(4)})`;
    }
    case COOKIE_TYPE.SLOW_PATH:
      return `,slow_path(${formatReasons(u32(4))})`;
    case COOKIE_TYPE.FLOW_SAMPLE:
      return (
        `,flow_sample(probability=${u16(0)},collector_set_id=${u32(4)},obs_domain_id=${u32(8)}` +
        `,obs_point_id=${u32(12)},output_port=${printer.port(u32(16))}${DIRECTIONS[u32(20)] ?? ''})`
      );
    case COOKIE_TYPE.IPFIX:
      return `,ipfix(output_port=${printer.port(u32(0))})`;
    case COOKIE_TYPE.CONTROLLER:
      return (
        `,controller(reason=${u16(2)},dont_send=${data[BODY] ? 1 : 0},continuation=${data[BODY + 1] ? 1 : 0}` +
        `,recirc_id=${u32(4)},rule_cookie=${wideHex(data, BODY + 8, 8)}` +
        `,controller_id=${u16(16)},max_len=${u16(18)})`
      );
    default:
      return undefined;
  }
}

function formatReasons(reasons: number): string {
  const names = SLOW_PATH_REASONS.filter((_, bit) => reasons & (1 << bit));
  const rest = (reasons & ~SLOW_PATH_MASK) >>> 0;
  if (rest !== 0) names.push(`0x${rest.toString(16)}`);
  return names.length === 0 ? '0' : names.join(',');
}

/** Reads a cookie that starts with a comma and its name; undefined when none of the names comes next. */
export function readCookie(reader: ActionReader): Uint8Array | undefined {
  const { scan } = reader;
  for (const [keyword, type, read] of READERS) {
    if (!scan.accept(keyword)) continue;
    const data = new Uint8Array(COOKIE_LENGTH);
    putLe16(data, 0, type);
    putLe32(data, IN_PORT, NO_IN_PORT);
    read(reader, data);
    scan.expect(')');
    return data;
  }
  return undefined;
}

const READERS: readonly [string, number, (reader: ActionReader, data: Uint8Array) => void][] = [
  [
    ',sFlow(',
    COOKIE_TYPE.SFLOW,
    (reader, data) => {
      const [vid, pcp, port] = reader.pattern('vid=%i,pcp=%i,output=%i');
      const tci = (vid | (pcp << 13)) & 0xffff;
      putBe16(data, BODY, tci === 0 ? 0 : tci | VLAN_CFI);
      putLe32(data, BODY + 4, port);
    },
  ],
  [',slow_path(', COOKIE_TYPE.SLOW_PATH, (reader, data) => putLe32(data, BODY + 4, readReasons(reader))],
  [
    ',flow_sample(',
    COOKIE_TYPE.FLOW_SAMPLE,
    (reader, data) => {
      const [probability, collector, domain, point] = reader.pattern(
        'probability=%i,collector_set_id=%i,obs_domain_id=%i,obs_point_id=%i,output_port=',
      );
      putLe16(data, BODY, probability);
      putLe32(data, BODY + 4, collector);
      putLe32(data, BODY + 8, domain);
      putLe32(data, BODY + 12, point);
      putLe32(data, BODY + 16, reader.port());
      if (reader.scan.accept(',ingress')) data[BODY + 20] = 1;
      else if (reader.scan.accept(',egress')) data[BODY + 20] = 2;
    },
  ],
  [',ipfix(output_port=', COOKIE_TYPE.IPFIX, (reader, data) => putLe32(data, BODY, reader.port())],
  [
    ',controller(',
    COOKIE_TYPE.CONTROLLER,
    (reader, data) => {
      const [reason, dontSend, continuation, recircId] = reader.pattern(
        'reason=%u,dont_send=%u,continuation=%u,recirc_id=%u,rule_cookie=',
      );
      data[BODY] = (dontSend & 0xff) === 0 ? 0 : 1;
      data[BODY + 1] = (continuation & 0xff) === 0 ? 0 : 1;
      putLe16(data, BODY + 2, reason);
      putLe32(data, BODY + 4, recircId);
      const { scan } = reader;
      if (!scan.integer(16)) scan.fail('a number');
      const { hi, lo } = scan;
      for (let i = 0; i < 4; i++) {
        data[BODY + 8 + i] = hi >>> (24 - 8 * i);
        data[BODY + 12 + i] = lo >>> (24 - 8 * i);
      }
      const [controllerId, maxLen] = reader.pattern(',controller_id=%u,max_len=%u');
      putLe16(data, BODY + 16, controllerId);
      putLe16(data, BODY + 18, maxLen);
    },
  ],
];

/** Reasons joined by bars, which Open vSwitch reads, or by commas, which it prints. */
function readReasons({ scan, strict }: ActionReader): number {
  const flags = scanFlags(scan, SLOW_PATH_REASONS, ')', SLOW_PATH_MASK, false);
  if (flags !== undefined) return flags.value;
  let reasons = 0;
  do {
    const name = scan.until(',)');
    const bit = strict ? -1 : SLOW_PATH_REASONS.indexOf(name);
    if (bit < 0) return scan.fail('reasons of a slow path');
    scan.position += name.length;
    reasons |= 1 << bit;
  } while (scan.accept(','));
  return reasons;
}

/** The model of the cookie in `data`, or undefined when it has no exact one. */
export function decodeCookie(data: Uint8Array): Cookie | undefined {
  if (data.length !== COOKIE_LENGTH) return undefined;
  const cookie = decodeBody(data);
  if (cookie === undefined) return undefined;
  if (getLe32(data, IN_PORT) !== NO_IN_PORT) cookie.ofpInPort = getLe32(data, IN_PORT);
  if (!allBytes(data, UUID, UUID_LENGTH, 0)) cookie.ofproto = `0x${hexOf(data, UUID, UUID_LENGTH)}`;
  return sameBytes(encodeCookie(cookie), data) ? cookie : undefined;
}

function decodeBody(data: Uint8Array): Cookie | undefined {
  const u16 = (at: number) => getLe16(data, BODY + at);
  const u32 = (at: number) => getLe32(data, BODY + at);
  switch (getLe16(data, 0)) {
    case COOKIE_TYPE.SFLOW:
      return { type: 'sFlow', vlanTci: getBe16(data, BODY), output: u32(4) };
    case COOKIE_TYPE.SLOW_PATH:
      return { type: 'slow_path', reason: u32(4) };
    case COOKIE_TYPE.FLOW_SAMPLE:
      return {
        type: 'flow_sample',
        probability: u16(0),
        collectorSetId: u32(4),
        obsDomainId: u32(8),
        obsPointId: u32(12),
        outputPort: u32(16),
        direction: u32(20),
      };
    case COOKIE_TYPE.IPFIX:
      return { type: 'ipfix', outputPort: u32(0) };
    case COOKIE_TYPE.CONTROLLER:
      return {
        type: 'controller',
        dontSend: data[BODY] !== 0,
        continuation: data[BODY + 1] !== 0,
        reason: u16(2),
        recircId: u32(4),
        ruleCookie: fromWide(data.subarray(BODY + 8, BODY + 16)),
        controllerId: u16(16),
        maxLen: u16(18),
      };
    default:
      return undefined;
  }
}

/** The bytes of a cookie; throws an `OdpError` for a value out of range. */
function encodeCookie(model: unknown): Uint8Array {
  if (!isObject(model)) return reject('userdata', 'a cookie or a string', model);
  const data = new Uint8Array(COOKIE_LENGTH);
  const put16 = (at: number, name: string) => putLe16(data, BODY + at, uint(model[name], 16, name));
  const put32 = (at: number, name: string) => putLe32(data, BODY + at, uint(model[name], 32, name));
  putLe32(data, IN_PORT, model.ofpInPort === undefined ? NO_IN_PORT : uint(model.ofpInPort, 32, 'ofpInPort'));
  if (model.ofproto !== undefined) data.set(wide(model.ofproto, UUID_LENGTH, 'ofproto'), UUID);
  switch (model.type) {
    case 'sFlow':
      putLe16(data, 0, COOKIE_TYPE.SFLOW);
      putBe16(data, BODY, uint(model.vlanTci, 16, 'vlanTci'));
      put32(4, 'output');
      break;
    case 'slow_path':
      putLe16(data, 0, COOKIE_TYPE.SLOW_PATH);
      put32(4, 'reason');
      break;
    case 'flow_sample':
      putLe16(data, 0, COOKIE_TYPE.FLOW_SAMPLE);
      put16(0, 'probability');
      put32(4, 'collectorSetId');
      put32(8, 'obsDomainId');
      put32(12, 'obsPointId');
      put32(16, 'outputPort');
      put32(20, 'direction');
      break;
    case 'ipfix':
      putLe16(data, 0, COOKIE_TYPE.IPFIX);
      put32(0, 'outputPort');
      break;
    case 'controller':
      putLe16(data, 0, COOKIE_TYPE.CONTROLLER);
      data[BODY] = model.dontSend === true ? 1 : 0;
      data[BODY + 1] = model.continuation === true ? 1 : 0;
      put16(2, 'reason');
      put32(4, 'recircId');
      data.set(wide(model.ruleCookie, 8, 'ruleCookie'), BODY + 8);
      put16(16, 'controllerId');
      put16(18, 'maxLen');
      break;
    default:
      reject('type of a cookie', 'sFlow, slow_path, flow_sample, ipfix or controller', model.type);
  }
  return data;
}

/** User data of a model: a blob, or a cookie. */
export const userdataOf = (value: unknown): Uint8Array =>
  typeof value === 'string' ? blob(value, 'userdata') : encodeCookie(value);
