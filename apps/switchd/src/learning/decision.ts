/** What a learning switch does with a packet. Pure: all it knows comes in, and the answer is one number. */

import { isGroup, isReserved } from './mac.js';
import type { MacEntry } from './mac-table.js';

/** Send to every port but the one it came from. */
export const FLOOD = -1;
/** Send nowhere. */
export const DROP = -2;

/** The headers that the decision reads, and therefore all that its megaflow matches. */
export interface Headers {
  readonly inPort: number;
  /** VLAN id; 0 for untagged and priority-tagged packets, which share one VLAN. */
  readonly vlan: number;
  readonly src: number;
  readonly dst: number;
}

/** What the decision asks: where a station was last seen. */
export interface Stations {
  lookup(vlan: number, mac: number): MacEntry | undefined;
}

/** A port number, {@link FLOOD} or {@link DROP}. */
export function decide(headers: Headers, stations: Stations): number {
  const { inPort, vlan, dst } = headers;
  if (isReserved(dst)) return DROP;
  if (isGroup(dst)) return FLOOD;
  const entry = stations.lookup(vlan, dst);
  if (entry === undefined) return FLOOD;
  // The receiver is on the segment that the packet came from and has it already: a switch never reflects.
  return entry.port === inPort ? DROP : entry.port;
}
