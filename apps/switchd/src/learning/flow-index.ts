/** The flows that the switch installed, found by what they match and by the stations at either end. */

import { VlanMacMap } from './vlan-mac-map.js';

/** One installed megaflow. */
export interface FlowRecord {
  readonly tuple: string;
  readonly inPort: number;
  readonly vlan: number;
  readonly src: number;
  readonly dst: number;
  /** Sends to every port, so it changes with the set of ports. */
  readonly flood: boolean;
  /** The unmasked key that names the flow in the datapath. */
  key: Uint8Array;
  /** When it was put, and when a dump last said that it was used: milliseconds of the switch's clock. */
  installed: number;
  used: number;
  /** Number of the batch of upcalls that put it. */
  batch: number;
  /** Number of the last sweep that found it in the datapath. */
  sweep: number;
  // Links of the two lists that it is in, the index's business: flows with the same destination, with the same source.
  nextTo?: FlowRecord | undefined;
  previousTo?: FlowRecord | undefined;
  nextFrom?: FlowRecord | undefined;
  previousFrom?: FlowRecord | undefined;
}

/** The flows of one station: heads of two lists. Linked lists, since most stations have one or two flows, and a Set each cost 200 bytes and 2 us. */
interface Station {
  to: FlowRecord | undefined;
  from: FlowRecord | undefined;
}

export class FlowIndex {
  readonly #flows = new Map<string, FlowRecord>();
  readonly #stations = new VlanMacMap<Station>();

  get size(): number {
    return this.#flows.size;
  }

  get(tuple: string): FlowRecord | undefined {
    return this.#flows.get(tuple);
  }

  /** Adds a record whose tuple is not in yet. */
  add(record: FlowRecord): void {
    this.#flows.set(record.tuple, record);
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
    if (this.#flows.get(record.tuple) !== record) return;
    this.#flows.delete(record.tuple);
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
    return [...this.#flows.values()];
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
}
