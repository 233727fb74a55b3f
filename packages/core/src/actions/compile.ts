/**
 * Compiles a list of actions from Netlink bytes into a program for the executor. Control path: walks the bytes once and
 * throws on everything that could not be executed, so that the hot path has nothing to check.
 */

import {
  ACTION_ATTR,
  CHECK_PKT_LEN_ATTR,
  HASH_ALG,
  KEY_ATTR,
  NLA_HEADER,
  NlReader,
  NSH_ATTR,
  SAMPLE_ATTR,
  USERSPACE_ATTR,
} from '@etherloom/odp-codec/data';
import { DpifError } from '../errors.js';
import { ETH_HEADER, MPLS_ENTRY, VLAN_TAG } from '../packet/modify-l2.hot.js';
import { exactly, host16, host32, invalid, net16, net32, ProgramBuilder } from './builder.js';
import * as change from './change.hot.js';
import { compileSet } from './compile-set.js';
import * as op from './execute.hot.js';
import { MAX_ACTION_NESTING } from './nesting.hot.js';
import type { ActionProgram } from './program.js';
import { outputsFrom, plainOf } from './shortcuts.js';

/** Bit of add_mpls: the entry goes in front of the network header, not of the whole packet. */
const MPLS_L3 = 1;
const ETH_TYPE_MPLS = 0x8847;
const ETH_TYPE_MPLS_MULTICAST = 0x8848;
const NSH_BASE = 8;
const NSH_CONTEXT = 16;
/** Most bytes of TLVs: the length field of an NSH counts 63 words. */
const NSH_TLVS_MAX = 63 * 4 - NSH_BASE;

const NOTHING = new Uint8Array(0);
const NAMES = new Map<number, string>(
  Object.entries(ACTION_ATTR).map(([name, type]) => [type, name.toLowerCase()]),
);

export interface CompileOptions {
  /** Whether the host is to be called between actions: see ACTION_STEP. Default false. */
  readonly steps?: boolean;
}

/**
 * Compiles `actions`, a run of OVS_ACTION_ATTR_* attributes; keeps no reference to it. Throws a `DpifError`: EINVAL for
 * bytes that are malformed and for actions that no packet allows, EOPNOTSUPP for dec_ttl, which only the kernel has.
 */
export function compileActions(actions: Uint8Array, { steps = false }: CompileOptions = {}): ActionProgram {
  const bytes = actions.slice();
  const out = new ProgramBuilder(steps);
  compileList(out, bytes, 0);
  return {
    actions: bytes,
    code: Int32Array.from(out.code),
    userspace: out.userspace,
    extensions: out.extensions,
    outputsOnly: outputsFrom(out.code, 0),
    plain: plainOf(out.code),
    modifies: out.changesBytes,
    changesMetadata: out.changesMetadata,
    needsResolved: out.needsResolved,
  };
}

function compileList(out: ProgramBuilder, bytes: Uint8Array, depth: number): void {
  if (depth > MAX_ACTION_NESTING) {
    throw invalid(`actions are nested deeper than ${MAX_ACTION_NESTING} levels`);
  }
  const reader = new NlReader(bytes);
  let more = reader.next();
  while (more) {
    const { type, offset } = reader;
    const payload = reader.payload();
    more = reader.next();
    const attribute = bytes.subarray(offset - NLA_HEADER, offset + payload.length);
    if (out.steps) out.step(attribute, depth);
    const start = out.code.length;
    compileAction(out, type, payload, attribute, depth);
    if (!more && !out.steps && start < out.code.length) out.code[start]! |= op.FLAG_LAST;
  }
  if (out.steps) out.step(NOTHING, depth);
  if (reader.leftover !== 0) throw invalid(`action list ends in ${reader.leftover} bytes that are no action`);
  out.emit(op.OP_END);
}

function compileAction(
  out: ProgramBuilder,
  type: number,
  payload: Uint8Array,
  attribute: Uint8Array,
  depth: number,
): void {
  const name = NAMES.get(type);
  if (name === undefined) throw invalid(`action ${type} is unknown`);
  switch (type) {
    case ACTION_ATTR.OUTPUT:
      exactly(name, payload, 4);
      out.emit(op.OP_OUTPUT, host32(payload) | 0);
      break;
    case ACTION_ATTR.USERSPACE:
      compileUserspace(out, payload, attribute);
      break;
    case ACTION_ATTR.SET:
    case ACTION_ATTR.SET_MASKED:
      compileSet(out, payload, type === ACTION_ATTR.SET_MASKED);
      break;
    case ACTION_ATTR.PUSH_VLAN:
      exactly(name, payload, 4);
      out.push(VLAN_TAG, change.OP_PUSH_VLAN, net32(payload));
      break;
    case ACTION_ATTR.POP_VLAN:
      exactly(name, payload, 0);
      out.change(change.OP_POP_VLAN);
      break;
    case ACTION_ATTR.SAMPLE:
      compileSample(out, payload, attribute, depth);
      break;
    case ACTION_ATTR.RECIRC:
      exactly(name, payload, 4);
      out.emit(op.OP_RECIRC, host32(payload) | 0);
      break;
    case ACTION_ATTR.HASH: {
      exactly(name, payload, 8);
      const algorithm = host32(payload);
      if (algorithm > HASH_ALG.SYM_L4) throw invalid(`action hash has unknown algorithm ${algorithm}`);
      out.metadata(op.OP_HASH, algorithm, host32(payload, 4) | 0);
      break;
    }
    case ACTION_ATTR.PUSH_MPLS:
    case ACTION_ATTR.ADD_MPLS:
      compilePushMpls(out, name, type, payload);
      break;
    case ACTION_ATTR.POP_MPLS:
      exactly(name, payload, 2);
      out.needsResolved = true;
      out.change(change.OP_POP_MPLS, net16(payload));
      break;
    case ACTION_ATTR.TRUNC:
      exactly(name, payload, 4);
      // Never into the Ethernet header. No packet has 2 ** 31 bytes, so all longer ones are the same to the signed word.
      out.needsResolved = true;
      out.emit(op.OP_TRUNC, Math.min(Math.max(host32(payload), ETH_HEADER), 0x7fff_ffff));
      break;
    case ACTION_ATTR.PUSH_ETH:
      exactly(name, payload, 12);
      out.push(
        ETH_HEADER,
        change.OP_PUSH_ETH,
        net32(payload, 6),
        (net16(payload, 10) << 16) | net16(payload),
        net32(payload, 2),
      );
      break;
    case ACTION_ATTR.POP_ETH:
      exactly(name, payload, 0);
      out.change(change.OP_POP_ETH);
      break;
    case ACTION_ATTR.CT_CLEAR:
      exactly(name, payload, 0);
      out.metadata(op.OP_CT_CLEAR);
      break;
    case ACTION_ATTR.PUSH_NSH:
      compilePushNsh(out, payload);
      break;
    case ACTION_ATTR.POP_NSH:
      exactly(name, payload, 0);
      out.needsResolved = true;
      out.change(change.OP_POP_NSH);
      break;
    case ACTION_ATTR.CLONE: {
      const at = out.emit(op.OP_CLONE, 0);
      nested(out, at, () => compileList(out, payload, depth + 1));
      out.code[at + 1] = out.code.length;
      break;
    }
    case ACTION_ATTR.CHECK_PKT_LEN:
      compileCheckLength(out, payload, depth);
      break;
    case ACTION_ATTR.DROP:
      exactly(name, payload, 4);
      out.emit(op.OP_DROP);
      break;
    case ACTION_ATTR.CT:
    case ACTION_ATTR.METER:
    case ACTION_ATTR.PSAMPLE:
    case ACTION_ATTR.TUNNEL_PUSH:
    case ACTION_ATTR.TUNNEL_POP:
    case ACTION_ATTR.LB_OUTPUT:
      extension(out, type, payload, attribute);
      break;
    default:
      throw new DpifError('EOPNOTSUPP', `action ${name} is not supported by userspace datapaths`);
  }
}

/** Compiles what is nested in the instruction at `at`, and notes there whether that changes metadata. */
function nested(out: ProgramBuilder, at: number, compile: () => void): void {
  const before = out.changesMetadata;
  out.changesMetadata = false;
  compile();
  if (out.changesMetadata) out.code[at]! |= op.FLAG_METADATA;
  out.changesMetadata ||= before;
}

function extension(out: ProgramBuilder, type: number, payload: Uint8Array, attribute: Uint8Array): void {
  // Conntrack, tunnels and whatever a host adds may rewrite headers and metadata alike.
  out.changesMetadata = true;
  out.needsResolved = true;
  out.change(op.OP_EXTENSION, out.extensions.push({ type, payload, attribute }) - 1);
}

function compileUserspace(out: ProgramBuilder, payload: Uint8Array, attribute: Uint8Array): void {
  let pid = 0;
  let userdata: Uint8Array | undefined;
  let egressTunnelPort: number | undefined;
  let withActions = false;
  const reader = new NlReader(payload);
  while (reader.next()) {
    const value = reader.payload();
    if (reader.type === USERSPACE_ATTR.PID) {
      exactly('userspace, pid', value, 4);
      pid = host32(value);
    } else if (reader.type === USERSPACE_ATTR.USERDATA) {
      userdata = value;
    } else if (reader.type === USERSPACE_ATTR.EGRESS_TUN_PORT) {
      exactly('userspace, egress tunnel port', value, 4);
      egressTunnelPort = host32(value);
    } else if (reader.type === USERSPACE_ATTR.ACTIONS) {
      withActions = true;
    }
  }
  if (reader.leftover !== 0) throw invalid('action userspace is malformed inside');
  const index =
    out.userspace.push({
      pid,
      withActions,
      attribute,
      ...(userdata !== undefined && { userdata }),
      ...(egressTunnelPort !== undefined && { egressTunnelPort }),
    }) - 1;
  out.emit(op.OP_USERSPACE, index);
}

/** Without a probability all packets are sampled; without actions nothing happens to them. */
function compileSample(out: ProgramBuilder, payload: Uint8Array, attribute: Uint8Array, depth: number): void {
  let probability = 0xffff_ffff;
  let actions: Uint8Array = new Uint8Array(0);
  const reader = new NlReader(payload);
  while (reader.next()) {
    if (reader.type === SAMPLE_ATTR.PROBABILITY) {
      exactly('sample, probability', reader.payload(), 4);
      probability = host32(reader.payload());
    } else if (reader.type === SAMPLE_ATTR.ACTIONS) {
      actions = reader.payload();
    }
  }
  if (reader.leftover !== 0) throw invalid('action sample is malformed inside');
  if (has(actions, ACTION_ATTR.PSAMPLE)) {
    // psample reports the rate of the sample around it, so that whoever samples must know both.
    extension(out, ACTION_ATTR.SAMPLE, payload, attribute);
    return;
  }
  const at = out.emit(op.OP_SAMPLE, probability | 0, 0);
  nested(out, at, () => compileList(out, actions, depth + 1));
  out.code[at + 2] = out.code.length;
}

/** Whether an attribute of `type` is in the run `bytes`, not nested. */
function has(bytes: Uint8Array, type: number): boolean {
  const reader = new NlReader(bytes);
  while (reader.next()) if (reader.type === type) return true;
  return false;
}

function compileCheckLength(out: ProgramBuilder, payload: Uint8Array, depth: number): void {
  let length: number | undefined;
  let longer: Uint8Array | undefined;
  let others: Uint8Array | undefined;
  const reader = new NlReader(payload);
  while (reader.next()) {
    if (reader.type === CHECK_PKT_LEN_ATTR.PKT_LEN) {
      exactly('check_pkt_len, size', reader.payload(), 2);
      length = host16(reader.payload());
    } else if (reader.type === CHECK_PKT_LEN_ATTR.ACTIONS_IF_GREATER) {
      longer = reader.payload();
    } else if (reader.type === CHECK_PKT_LEN_ATTR.ACTIONS_IF_LESS_EQUAL) {
      others = reader.payload();
    }
  }
  if (reader.leftover !== 0 || length === undefined || longer === undefined || others === undefined) {
    throw invalid('action check_pkt_len must have a size, actions for longer packets and actions for others');
  }
  const [ifLonger, ifOthers] = [longer, others];
  const at = out.emit(op.OP_CHECK_LENGTH, length, 0, 0);
  nested(out, at, () => {
    compileList(out, ifLonger, depth + 1);
    out.code[at + 2] = out.code.length;
    compileList(out, ifOthers, depth + 1);
  });
  out.code[at + 3] = out.code.length;
}

/** struct ovs_action_push_mpls: be32 entry, be16 Ethertype, then padding, or the flags of add_mpls. */
function compilePushMpls(out: ProgramBuilder, name: string, type: number, payload: Uint8Array): void {
  exactly(name, payload, 8);
  const ethType = net16(payload, 4);
  if (ethType !== ETH_TYPE_MPLS && ethType !== ETH_TYPE_MPLS_MULTICAST) {
    // Open vSwitch takes the action and does nothing.
    return;
  }
  const inside = type === ACTION_ATTR.PUSH_MPLS || (host16(payload, 6) & MPLS_L3) !== 0;
  out.needsResolved = true;
  out.push(MPLS_ENTRY, inside ? change.OP_PUSH_MPLS : change.OP_ADD_MPLS, ethType, net32(payload));
}

/** One nested NSH key attribute: the base, and a context or TLVs. */
function compilePushNsh(out: ProgramBuilder, payload: Uint8Array): void {
  const outer = new NlReader(payload);
  if (!outer.next() || outer.type !== KEY_ATTR.NSH) throw invalid('action push_nsh holds no nsh attribute');
  let base: Uint8Array | undefined;
  let metadata: Uint8Array = new Uint8Array(0);
  const parts = outer.nested();
  while (parts.next()) {
    const part = parts.payload();
    if (parts.type === NSH_ATTR.BASE) {
      exactly('push_nsh, base', part, NSH_BASE);
      base = part;
    } else if (parts.type === NSH_ATTR.MD1) {
      exactly('push_nsh, context', part, NSH_CONTEXT);
      metadata = part;
    } else if (parts.type === NSH_ATTR.MD2 && part.length <= NSH_TLVS_MAX) {
      // The header counts words; what does not fill one is not part of it.
      metadata = part.subarray(0, part.length & ~3);
    } else {
      throw invalid(
        `action push_nsh holds part ${parts.type} of ${part.length} bytes, which no header can have`,
      );
    }
  }
  if (base === undefined || parts.leftover !== 0) {
    throw invalid('action push_nsh has no well-formed base header');
  }
  const words = (NSH_BASE + metadata.length) / 4;
  const flagsTtlLength = ((base[0]! & 3) << 12) | ((base[1]! & 0x3f) << 6) | words;
  const header = [(flagsTtlLength << 16) | (base[2]! << 8) | base[3]!, net32(base, 4)];
  for (let at = 0; at < metadata.length; at += 4) header.push(net32(metadata, at));
  out.needsResolved = true;
  out.push(words * 4, change.OP_PUSH_NSH, words, ...header);
}
