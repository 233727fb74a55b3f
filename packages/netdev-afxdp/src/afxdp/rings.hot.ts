/** The rings of an AF_XDP socket as its two directions see them: sizes, layout, and what both need. Constants and types only. */

import type { FramePool } from '@etherloom/core/data';
import type { XskBinding } from '../binding.js';

/** Entries of the rings: receive, transmit, fill, completion. The kernel wants powers of two. */
export const RX_SIZE = 2048;
export const TX_SIZE = 1024;
export const FILL_SIZE = 2048;
export const COMPLETION_SIZE = 2048;

// Words of the layout that the binding gives: four per ring.
export const RX = 0;
export const TX = 4;
export const FILL = 8;
export const COMPLETION = 12;
export const LAYOUT_WORDS = 16;
export const PRODUCER = 0;
export const CONSUMER = 1;
export const FLAGS = 2;
export const ENTRIES = 3;

/** XDP_RING_NEED_WAKEUP, in a ring's flags word. */
export const NEED_WAKEUP = 1;
/** XDP_PKT_CONTD, in a descriptor's options: the packet goes on in the next one. */
export const CONTINUED = 1;
/** Bytes of metadata in front of packets to send, where the kernel reads any: struct xsk_tx_metadata up to its times. */
export const TX_METADATA = 16;

/** What both directions of a queue work with. */
export interface XskParts {
  readonly native: XskBinding;
  readonly fd: number;
  /** The memory of the rings, and where in it they are. */
  readonly ring: Int32Array;
  readonly layout: Int32Array;
  readonly pool: FramePool;
  /** By frame index: how many descriptors the kernel has of it. */
  readonly lent: Uint16Array;
  readonly drops: Float64Array;
  readonly counters: Float64Array;
  /** STATE_* words. */
  readonly state: Int32Array;
}
