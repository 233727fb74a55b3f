/** What the author of a datapath provider gives to the dpif suite. */

import type { DpifRegistry, NetdevConfig, NetdevRegistry } from '@etherloom/core';
import type { FarEnd } from '../netdev/fixture.js';

/** Made anew for each case by `setup`. */
export interface DpifFixture {
  /** With the provider registered. */
  readonly dpifs: DpifRegistry;
  /** The datapath type under test. */
  readonly type: string;
  /** Where the datapath opens its devices. */
  readonly netdevs: NetdevRegistry;
  /** A port type that cases may add ports of, and the options that such ports need here. */
  readonly portType: string;
  readonly portConfig: NetdevConfig;
  /** A name that no datapath or device has, short enough for a device; another one at each call. */
  name(): string;
  /** The other end of the wire of the port called `name`, which exists. */
  farEnd(name: string): Promise<FarEnd>;
}

/** What dpif.h leaves to the implementer; everything else is demanded of all. */
export const DPIF_FEATURES = [
  /** A put whose key another flow matches already is refused: dpif.h "Flow Table" does not demand that it is noticed. */
  'overlap',
  /** Any bit can be wildcarded. */
  'wildcards',
  /** Each port has upcall queues and PIDs of its own, read in turn ("Upcall Queuing and Ordering", preferred behavior). */
  'port-queues',
  /** Several handlers. */
  'handlers',
  /** Recirculation. */
  'recirculation',
  /** Actions that cannot apply to any packet of their flow are refused, as by the Linux datapath. */
  'action-rules',
  /** `portGetDrops` names why packets were dropped. */
  'drops',
  /** `trace`. */
  'traces',
  /** `capture`. */
  'captures',
] as const;
export type DpifFeature = (typeof DPIF_FEATURES)[number];

export interface DpifSuite<F extends DpifFixture> {
  setup(): Promise<F>;
  /** Undoes `setup`, also after a case failed with datapaths still open. */
  teardown(fixture: F): Promise<void>;
  /** Features that the provider lacks, with the reason; what is not named is supported. */
  readonly supports?: Partial<Record<DpifFeature, true | string>>;
}

/** A case without setup and teardown, which every case gets. */
export interface DpifCase {
  readonly name: string;
  readonly cites: string;
  /** A feature without which the case makes no sense. */
  readonly needs?: DpifFeature;
  run(fixture: DpifFixture): Promise<void>;
}
