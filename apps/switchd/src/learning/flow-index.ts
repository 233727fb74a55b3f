/** The flows that the switch installed, found by what they match and by the stations at either end. */

import { HashIndex } from '@etherloom/core';
import { KeyBytes } from './key-bytes.js';
import { macFromWords } from './mac.js';
import { VlanMacMap } from './vlan-mac-map.js';

/** What a megaflow matches: in_port, recirc_id, three words of Ethernet addresses, the tag, and the shape of its mask. */
export interface FlowTuple {
  /** TUPLE_WORDS words. */
  readonly words: Int32Array;
}

/** Words of a tuple. */
export const TUPLE_WORDS = 7;
const IN_PORT = 0;
const ETH = 2;
const TAG = 5;
const VLAN_VID = 0x0fff;

// Further words of a record: whether it sends to every port; the last sweep that found it in the datapath; its serial number,
// 0 when it is not in; and links of two lists, flows with the same destination and with the same source, as numbers + 1.
const FLOOD = 7;
const SWEEP = 8;
const SERIAL = 9;
const NEXT_TO = 10;
const PREVIOUS_TO = 11;
const NEXT_FROM = 12;
const PREVIOUS_FROM = 13;
/** A record takes a line of the processor's caches. */
const RECORD = 16;

const INSTALLED = 0;
const USED = 1;
/** The batch of upcalls that put it: too many for a word in the long run. */
const BATCH = 2;
const NUMBERS = 3;

const MIN_RECORDS = 64;

/** The flows of one station: heads of two lists, as numbers + 1. */
interface Station {
  to: number;
  from: number;
}

/**
 * A flow is a number, which is given away again when it was removed, and its record lies in arrays. As an object each it cost
 * 300 bytes, and the garbage collector, which copies what lives on, a sixth of all time; strings as keys of a Map took 2 us a
 * flow, to make, to find and to collect.
 */
export class FlowIndex {
  readonly #index = new HashIndex();
  readonly #free: number[] = [];
  /** Numbers below this one have been in use. */
  #highWater = 0;
  #lastSerial = 0;
  #records = new Int32Array(MIN_RECORDS * RECORD);
  #numbers = new Float64Array(MIN_RECORDS * NUMBERS);
  readonly #keys = new KeyBytes();
  readonly #stations = new VlanMacMap<Station>();
  readonly #seed = (Math.random() * 0x1_0000_0000) | 0;

  get size(): number {
    return this.#index.count;
  }

  /** The flow with this tuple, or -1. */
  find({ words }: FlowTuple): number {
    const hash = this.#hash(words, 0);
    const { slots, mask } = this.#index;
    for (let at = hash & mask; slots[at * 2 + 1] !== 0; at = (at + 1) & mask) {
      if (slots[at * 2] !== hash) continue;
      const flow = slots[at * 2 + 1]! - 1;
      if (this.#isTuple(flow, words)) return flow;
    }
    return -1;
  }

  /** Adds a flow of a tuple that is not in yet, used at `now`; returns its number. Copies the key. */
  add(
    { words }: FlowTuple,
    key: Uint8Array,
    flood: boolean,
    now: number,
    batch: number,
    sweep: number,
  ): number {
    const flow = this.#free.pop() ?? this.#highWater++;
    const at = flow * RECORD;
    if (at === this.#records.length) this.#grow();
    const records = this.#records;
    for (let i = 0; i < TUPLE_WORDS; i++) records[at + i] = words[i]!;
    records[at + FLOOD] = flood ? 1 : 0;
    records[at + SWEEP] = sweep;
    this.#lastSerial = (this.#lastSerial + 1) | 0 || 1;
    records[at + SERIAL] = this.#lastSerial;
    this.#numbers[flow * NUMBERS + INSTALLED] = now;
    this.#numbers[flow * NUMBERS + USED] = now;
    this.#numbers[flow * NUMBERS + BATCH] = batch;
    this.#index.insert(this.#hash(words, 0), flow);
    this.#keys.set(flow, key);
    this.#link(flow);
    return flow;
  }

  /** Takes a flow out that is in. */
  remove(flow: number): void {
    const records = this.#records;
    const at = flow * RECORD;
    this.#index.remove(this.#hash(records, at), flow);
    this.#unlink(flow);
    records[at + SERIAL] = 0;
    this.#free.push(flow);
    if (this.size > 0) return;
    this.#free.length = 0;
    this.#highWater = 0;
    this.#keys.clear();
    if (records.length === MIN_RECORDS * RECORD) return;
    this.#records = new Int32Array(MIN_RECORDS * RECORD);
    this.#numbers = new Float64Array(MIN_RECORDS * NUMBERS);
  }

  // --- what is known of a flow that is in

  /** Tells the flow from others that have its number later; see {@link isFlow}. */
  serial(flow: number): number {
    return this.#records[flow * RECORD + SERIAL]!;
  }

  /** Whether the flow with this number and serial number is still in. */
  isFlow(flow: number, serial: number): boolean {
    return this.#records[flow * RECORD + SERIAL] === serial;
  }

  inPort(flow: number): number {
    return this.#records[flow * RECORD + IN_PORT]! >>> 0;
  }

  /** Sends to every port, so it changes with the set of ports. */
  isFlood(flow: number): boolean {
    return this.#records[flow * RECORD + FLOOD] === 1;
  }

  /** Number of the batch of upcalls that put it last. */
  batch(flow: number): number {
    return this.#numbers[flow * NUMBERS + BATCH]!;
  }

  setBatch(flow: number, batch: number): void {
    this.#numbers[flow * NUMBERS + BATCH] = batch;
  }

  /** Number of the last sweep that found it in the datapath. */
  sweep(flow: number): number {
    return this.#records[flow * RECORD + SWEEP]!;
  }

  setSweep(flow: number, sweep: number): void {
    this.#records[flow * RECORD + SWEEP] = sweep;
  }

  /** When it was put: milliseconds of the switch's clock. */
  installed(flow: number): number {
    return this.#numbers[flow * NUMBERS + INSTALLED]!;
  }

  /** When it was used last, as far as the switch heard. */
  used(flow: number): number {
    return this.#numbers[flow * NUMBERS + USED]!;
  }

  setUsed(flow: number, used: number): void {
    this.#numbers[flow * NUMBERS + USED] = used;
  }

  /** The unmasked key that names a flow in the datapath: a copy. */
  keyOf(flow: number): Uint8Array {
    return this.#keys.get(flow);
  }

  hasKey(flow: number, key: Uint8Array): boolean {
    return this.#keys.equals(flow, key);
  }

  /** Another key, which is copied, names the flow. */
  setKey(flow: number, key: Uint8Array): void {
    this.#keys.set(flow, key);
  }

  // --- sets of flows

  /** Flows whose destination is (`vlan`, `mac`), which is no group: a copy, so that the caller may remove them. */
  to(vlan: number, mac: number): number[] {
    return this.#list(this.#stations.get(vlan, mac)?.to ?? 0, NEXT_TO);
  }

  /** Flows whose source is (`vlan`, `mac`): a copy too. */
  from(vlan: number, mac: number): number[] {
    return this.#list(this.#stations.get(vlan, mac)?.from ?? 0, NEXT_FROM);
  }

  /** All flows: a copy too. */
  all(): number[] {
    const { slots } = this.#index;
    const flows: number[] = [];
    for (let at = 1; at < slots.length; at += 2) if (slots[at] !== 0) flows.push(slots[at]! - 1);
    return flows;
  }

  // --- inside

  #list(first: number, next: number): number[] {
    const flows: number[] = [];
    for (let link = first; link !== 0; link = this.#records[(link - 1) * RECORD + next]!)
      flows.push(link - 1);
    return flows;
  }

  #link(flow: number): void {
    const records = this.#records;
    const at = flow * RECORD;
    const vlan = this.#vlanOf(at);
    const receiver = this.#station(vlan, this.#dstOf(at));
    records[at + NEXT_TO] = receiver.to;
    records[at + PREVIOUS_TO] = 0;
    if (receiver.to !== 0) records[(receiver.to - 1) * RECORD + PREVIOUS_TO] = flow + 1;
    receiver.to = flow + 1;
    const sender = this.#station(vlan, this.#srcOf(at));
    records[at + NEXT_FROM] = sender.from;
    records[at + PREVIOUS_FROM] = 0;
    if (sender.from !== 0) records[(sender.from - 1) * RECORD + PREVIOUS_FROM] = flow + 1;
    sender.from = flow + 1;
  }

  #unlink(flow: number): void {
    const records = this.#records;
    const at = flow * RECORD;
    const vlan = this.#vlanOf(at);
    const nextTo = records[at + NEXT_TO]!;
    const previousTo = records[at + PREVIOUS_TO]!;
    if (nextTo !== 0) records[(nextTo - 1) * RECORD + PREVIOUS_TO] = previousTo;
    if (previousTo !== 0) records[(previousTo - 1) * RECORD + NEXT_TO] = nextTo;
    else {
      const dst = this.#dstOf(at);
      const receiver = this.#station(vlan, dst);
      receiver.to = nextTo;
      this.#drop(receiver, vlan, dst);
    }
    const nextFrom = records[at + NEXT_FROM]!;
    const previousFrom = records[at + PREVIOUS_FROM]!;
    if (nextFrom !== 0) records[(nextFrom - 1) * RECORD + PREVIOUS_FROM] = previousFrom;
    if (previousFrom !== 0) records[(previousFrom - 1) * RECORD + NEXT_FROM] = nextFrom;
    else {
      const src = this.#srcOf(at);
      const sender = this.#station(vlan, src);
      sender.from = nextFrom;
      this.#drop(sender, vlan, src);
    }
  }

  // Of the record at `at`: the tuple says it, as far as all packets of the flow agree on it.
  #vlanOf(at: number): number {
    return this.#records[at + TAG]! & VLAN_VID;
  }

  #dstOf(at: number): number {
    const upper = this.#records[at + ETH]!;
    return macFromWords(upper >>> 16, (upper << 16) | (this.#records[at + ETH + 1]! >>> 16));
  }

  #srcOf(at: number): number {
    return macFromWords(this.#records[at + ETH + 1]!, this.#records[at + ETH + 2]!);
  }

  #station(vlan: number, mac: number): Station {
    let station = this.#stations.get(vlan, mac);
    if (station === undefined) {
      station = { to: 0, from: 0 };
      this.#stations.set(vlan, mac, station);
    }
    return station;
  }

  #drop(station: Station, vlan: number, mac: number): void {
    if (station.to === 0 && station.from === 0) this.#stations.delete(vlan, mac);
  }

  #isTuple(flow: number, words: Int32Array): boolean {
    const records = this.#records;
    const at = flow * RECORD;
    for (let i = 0; i < TUPLE_WORDS; i++) if (records[at + i] !== words[i]) return false;
    return true;
  }

  #hash(words: Int32Array, at: number): number {
    let hash = this.#seed;
    for (let i = at; i < at + TUPLE_WORDS; i++) {
      hash = Math.imul(hash ^ words[i]!, 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    return hash;
  }

  #grow(): void {
    const records = new Int32Array(this.#records.length * 2);
    records.set(this.#records);
    this.#records = records;
    const numbers = new Float64Array(this.#numbers.length * 2);
    numbers.set(this.#numbers);
    this.#numbers = numbers;
  }
}
