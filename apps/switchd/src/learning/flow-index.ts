/** The flows that the switch installed, found by what they match and by the stations at either end. */

import { HashIndex } from '@etherloom/core';
import { KeyBytes } from './key-bytes.js';
import { VlanMacMap } from './vlan-mac-map.js';

/** What a megaflow matches, and what of it is the same in all packets that match. */
export interface FlowTuple {
  /** The bits that it matches, TUPLE_WORDS words. */
  readonly words: Int32Array;
  readonly inPort: number;
  readonly vlan: number;
  readonly src: number;
  readonly dst: number;
}

/** Words of a tuple. */
export const TUPLE_WORDS = 7;

/** One installed megaflow. */
export interface FlowRecord {
  readonly inPort: number;
  readonly vlan: number;
  readonly src: number;
  readonly dst: number;
  /** Sends to every port, so it changes with the set of ports. */
  readonly flood: boolean;
  /** When it was put, and when a dump last said that it was used: milliseconds of the switch's clock. */
  installed: number;
  used: number;
  /** Number of the batch of upcalls that put it. */
  batch: number;
  /** Number of the last sweep that found it in the datapath. */
  sweep: number;
  // The index's business: its number, -1 when it is not in, and the hash of its tuple; the links of the two lists that it is in,
  // flows with the same destination and with the same source.
  number: number;
  hash: number;
  nextTo: FlowRecord | undefined;
  previousTo: FlowRecord | undefined;
  nextFrom: FlowRecord | undefined;
  previousFrom: FlowRecord | undefined;
}

/** The flows of one station: heads of two lists. Linked lists, since most stations have one or two flows, and a Set each cost 200 bytes and 2 us. */
interface Station {
  to: FlowRecord | undefined;
  from: FlowRecord | undefined;
}

/**
 * Tuples lie in one array and are found by a hash of their words: strings as keys of a Map took 2 us a flow, to make, to find and
 * to collect.
 */
export class FlowIndex {
  readonly #index = new HashIndex();
  readonly #records: (FlowRecord | undefined)[] = [];
  readonly #free: number[] = [];
  #tuples = new Int32Array(64 * TUPLE_WORDS);
  readonly #keys = new KeyBytes();
  readonly #stations = new VlanMacMap<Station>();
  readonly #seed = (Math.random() * 0x1_0000_0000) | 0;

  get size(): number {
    return this.#index.count;
  }

  get({ words }: FlowTuple): FlowRecord | undefined {
    const hash = this.#hash(words);
    const { slots, mask } = this.#index;
    for (let at = hash & mask; slots[at * 2 + 1] !== 0; at = (at + 1) & mask) {
      if (slots[at * 2] !== hash) continue;
      const number = slots[at * 2 + 1]! - 1;
      if (this.#isTuple(number, words)) return this.#records[number];
    }
    return undefined;
  }

  /** The unmasked key that names a flow in the datapath: a copy. */
  keyOf(record: FlowRecord): Uint8Array {
    return this.#keys.get(record.number);
  }

  /** Whether `key` is the key of a record that is in. */
  hasKey(record: FlowRecord, key: Uint8Array): boolean {
    return this.#keys.equals(record.number, key);
  }

  /** Another key, which is copied, names the flow of a record, if it is in. */
  setKey(record: FlowRecord, key: Uint8Array): void {
    if (record.number >= 0) this.#keys.set(record.number, key);
  }

  /** Adds and returns a record of a tuple that is not in yet, used at `now`. Copies the key. */
  add(
    tuple: FlowTuple,
    key: Uint8Array,
    flood: boolean,
    now: number,
    batch: number,
    sweep: number,
  ): FlowRecord {
    const { words, inPort, vlan, src, dst } = tuple;
    const number = this.#free.pop() ?? this.#records.length;
    const hash = this.#hash(words);
    const record: FlowRecord = {
      inPort,
      vlan,
      src,
      dst,
      flood,
      installed: now,
      used: now,
      batch,
      sweep,
      number,
      hash,
      nextTo: undefined,
      previousTo: undefined,
      nextFrom: undefined,
      previousFrom: undefined,
    };
    this.#records[number] = record;
    const at = number * TUPLE_WORDS;
    if (at === this.#tuples.length) {
      const tuples = new Int32Array(at * 2);
      tuples.set(this.#tuples);
      this.#tuples = tuples;
    }
    for (let i = 0; i < TUPLE_WORDS; i++) this.#tuples[at + i] = words[i]!;
    this.#index.insert(hash, number);
    this.#keys.set(number, key);
    this.#link(record);
    return record;
  }

  #link(record: FlowRecord): void {
    const receiver = this.#station(record.vlan, record.dst);
    record.nextTo = receiver.to;
    if (receiver.to !== undefined) receiver.to.previousTo = record;
    receiver.to = record;
    const sender = this.#station(record.vlan, record.src);
    record.nextFrom = sender.from;
    if (sender.from !== undefined) sender.from.previousFrom = record;
    sender.from = record;
  }

  /** Takes `record` out, if it is in. */
  remove(record: FlowRecord): void {
    const { number } = record;
    if (number < 0) return;
    this.#index.remove(record.hash, number);
    this.#records[number] = undefined;
    this.#free.push(number);
    record.number = -1;
    this.#unlink(record);
    if (this.size > 0) return;
    this.#records.length = 0;
    this.#free.length = 0;
    this.#tuples = new Int32Array(64 * TUPLE_WORDS);
    this.#keys.clear();
  }

  #unlink(record: FlowRecord): void {
    const receiver = this.#station(record.vlan, record.dst);
    if (record.nextTo !== undefined) record.nextTo.previousTo = record.previousTo;
    if (record.previousTo !== undefined) record.previousTo.nextTo = record.nextTo;
    else receiver.to = record.nextTo;
    this.#drop(receiver, record.vlan, record.dst);
    const sender = this.#station(record.vlan, record.src);
    if (record.nextFrom !== undefined) record.nextFrom.previousFrom = record.previousFrom;
    if (record.previousFrom !== undefined) record.previousFrom.nextFrom = record.nextFrom;
    else sender.from = record.nextFrom;
    this.#drop(sender, record.vlan, record.src);
    record.nextTo = record.previousTo = record.nextFrom = record.previousFrom = undefined;
  }

  /** Flows whose destination is (`vlan`, `mac`): a copy, so that the caller may remove them. */
  to(vlan: number, mac: number): FlowRecord[] {
    const flows: FlowRecord[] = [];
    for (let flow = this.#stations.get(vlan, mac)?.to; flow !== undefined; flow = flow.nextTo)
      flows.push(flow);
    return flows;
  }

  /** Flows whose source is (`vlan`, `mac`): a copy too. */
  from(vlan: number, mac: number): FlowRecord[] {
    const flows: FlowRecord[] = [];
    for (let flow = this.#stations.get(vlan, mac)?.from; flow !== undefined; flow = flow.nextFrom)
      flows.push(flow);
    return flows;
  }

  /** All flows: a copy too. */
  all(): FlowRecord[] {
    return this.#records.filter((record) => record !== undefined);
  }

  #station(vlan: number, mac: number): Station {
    let station = this.#stations.get(vlan, mac);
    if (station === undefined) {
      station = { to: undefined, from: undefined };
      this.#stations.set(vlan, mac, station);
    }
    return station;
  }

  #drop(station: Station, vlan: number, mac: number): void {
    if (station.to === undefined && station.from === undefined) this.#stations.delete(vlan, mac);
  }

  #isTuple(number: number, words: Int32Array): boolean {
    const at = number * TUPLE_WORDS;
    for (let i = 0; i < TUPLE_WORDS; i++) if (this.#tuples[at + i] !== words[i]) return false;
    return true;
  }

  #hash(words: Int32Array): number {
    let hash = this.#seed;
    for (let i = 0; i < TUPLE_WORDS; i++) {
      hash = Math.imul(hash ^ words[i]!, 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    return hash;
  }
}
