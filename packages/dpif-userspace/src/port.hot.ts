/** A port of a datapath as the packets' path sees it. Hot: no allocation, no throw. */

import type { NetdevQueue, PacketBatch } from '@etherloom/core';

export interface Port {
  readonly portNo: number;
  /** Packets from this port that were not delivered, and packets that its device dropped, by DROP_* reason. */
  readonly drops: Float64Array;
  /** Where packets to this port wait for the end of the burst. */
  readonly txBatch: PacketBatch;
  readonly txQueue: NetdevQueue;
  /** OFFLOAD_* bits that its device takes; packets with others are resolved first. */
  readonly txOffloads: number;
}
