/** What in a program spares its callers the executor: outputs and nothing else, or plain changes in front. Control path. */

import { VLAN_TAG } from '../packet/modify-l2.hot.js';
import * as change from './change.hot.js';
import * as op from './execute.hot.js';
import type { PlainProgram } from './plain.hot.js';

const ETH_TYPE_CTAG = 0x8100;
const ETH_TYPE_STAG = 0x88a8;
/** What a new tag has 0 for: the CFI bit. */
const CFI = 0x1000;

/** The ports of a program that has outputs only from `start` on; undefined when it has anything else. */
export function outputsFrom(code: readonly number[], start: number): Int32Array | undefined {
  const ports: number[] = [];
  for (let pc = start; (code[pc]! & op.OP_MASK) !== op.OP_END; pc += 2) {
    if ((code[pc]! & op.OP_MASK) !== op.OP_OUTPUT) return undefined;
    ports.push(code[pc + 1]!);
  }
  return Int32Array.from(ports);
}

/**
 * What is plain about a program that changes packets, if all of it is: each header is set once at most, and what is pushed
 * and popped comes down to tags taken off and tags put on. Setting a header twice would be no more work, but could end in
 * another of the two zeros that a checksum has.
 */
export function plainOf(code: readonly number[]): PlainProgram | undefined {
  let eth: Int32Array | undefined;
  let ipv4: Int32Array | undefined;
  let l4: Int32Array | undefined;
  let tcp = false;
  let pops = 0;
  const tags: number[] = [];
  let pc = 0;
  for (;;) {
    const operation = code[pc]! & op.OP_MASK;
    const at = pc + 1;
    if (operation === change.OP_SET_ETH && eth === undefined) {
      eth = pairs(code, at, 3);
      pc = at + 6;
    } else if (operation === change.OP_SET_IPV4 && ipv4 === undefined) {
      ipv4 = pairs(code, at, 3);
      pc = at + 6;
    } else if ((operation === change.OP_SET_TCP || operation === change.OP_SET_UDP) && l4 === undefined) {
      l4 = pairs(code, at, 1);
      tcp = operation === change.OP_SET_TCP;
      pc = at + 2;
    } else if (operation === change.OP_PUSH_VLAN) {
      tags.push(code[at]! & ~CFI);
      pc = at + 1;
    } else if (operation === change.OP_POP_VLAN) {
      const tag = tags.pop();
      if (tag === undefined) pops++;
      // A pop leaves alone what it does not know for a tag.
      else if (tag >>> 16 !== ETH_TYPE_CTAG && tag >>> 16 !== ETH_TYPE_STAG) return undefined;
      pc = at;
    } else break;
  }
  const ports = outputsFrom(code, pc);
  if (pc === 0 || ports === undefined) return undefined;
  return {
    ports,
    eth,
    tags: Int32Array.from(tags.reverse()),
    pops,
    ipv4,
    l4,
    tcp,
    room: tags.length * VLAN_TAG,
  };
}

/** `count` pairs of value and mask, as pairs of value and what it leaves. */
function pairs(code: readonly number[], at: number, count: number): Int32Array {
  return Int32Array.from({ length: count * 2 }, (_, i) => (i % 2 === 0 ? code[at + i]! : ~code[at + i]!));
}
