/** Operations on flows as a client of this datapath has them: keys as upcalls bring them, a handful of masks. */

import { type DpifOp, FP_CREATE } from '@etherloom/core';
import {
  flowToKey,
  KEY_WORDS,
  keyToFlow,
  parseActions,
  parseFlowKey,
  W_NW_SRC,
  W_TP,
} from '@etherloom/odp-codec';

/** A TCP packet as the datapath describes it. */
const KEY =
  'recirc_id(0),dp_hash(0),skb_priority(0),in_port(9),skb_mark(0),ct_state(0),ct_zone(0),ct_mark(0),ct_label(0),' +
  'packet_type(ns=0,id=0),eth(src=52:54:00:12:34:56,dst=52:54:00:ab:cd:ef),eth_type(0x0800),' +
  'ipv4(src=0.0.0.0,dst=10.20.30.40,proto=6,tos=0,ttl=64,frag=no),tcp(src=49152,dst=443),tcp_flags(ack)';

/** All leave the time to live and the flags alone, as the rule of a client that looks at connections does. */
const MASKS = [
  'eth_type(0x0800),ipv4(src=1.2.3.4,dst=1.2.3.4,proto=6,frag=no),tcp(src=1,dst=1)',
  'eth_type(0x0800),ipv4(src=1.2.3.4,proto=6,frag=no),tcp(src=1,dst=1)',
  'eth_type(0x0800),ipv4(src=1.2.3.4,proto=6,frag=no),tcp(src=1)',
  'eth_type(0x0800),ipv4(src=1.2.3.4,dst=1.2.3.4,proto=6,frag=no),tcp(src=1)',
].map((text) => parseFlowKey(`recirc_id(0),in_port(9),packet_type(ns=0,id=0),eth(),${text}`).mask);

const ACTIONS = ['1', '2', '3', '4,5', 'drop', 'set(ipv4(ttl=63)),6'].map((text) => parseActions(text));

/** Source address and port of flow `i`, different for all below 2^30. */
const word = (i: number): number => Math.imul(i, 0x9e3779b1);

export class Flows {
  readonly #row = new Int32Array(KEY_WORDS);
  readonly #masks: number;

  /** Flows of `masks` masks, in turn: 1 to 4. */
  constructor(masks: number) {
    keyToFlow(parseFlowKey(KEY).key, this.#row);
    this.#masks = masks;
  }

  key(i: number): Uint8Array {
    this.#row[W_NW_SRC] = word(i);
    this.#row[W_TP] = ((1024 + (i & 0x7fff)) << 16) | 443;
    return flowToKey(this.#row);
  }

  puts(first: number, count: number): DpifOp[] {
    return Array.from({ length: count }, (_, i) => ({
      type: 'flowPut',
      flags: FP_CREATE,
      key: this.key(first + i),
      mask: MASKS[(first + i) % this.#masks]!,
      actions: ACTIONS[(first + i) % ACTIONS.length]!,
    }));
  }

  dels(first: number, count: number): DpifOp[] {
    return Array.from({ length: count }, (_, i) => ({ type: 'flowDel', key: this.key(first + i) }));
  }
}
