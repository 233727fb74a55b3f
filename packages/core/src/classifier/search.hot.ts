/** Tuple-space search: the flow that a key matches, over all subtables. Hot: no allocation, no throw. */

import { findMasked, flowOfRow, type Subtable } from './subtable.hot.js';

export class TupleSearch {
  /** Subtables to probe, most hit first. Replaced as a whole by the control path. */
  order: readonly Subtable[] = [];
  /** Subtables visited by the last {@link lookup} (struct dpif_dp_stats n_mask_hit adds them up over matches). */
  probes = 0;

  /** The flow that matches the key at `keys[base, base + KEY_WORDS)`, or -1. */
  lookup(keys: Int32Array, base: number): number {
    const { order } = this;
    for (let i = 0; i < order.length; i++) {
      const subtable = order[i]!;
      const row = findMasked(subtable, keys, base);
      if (row < 0) continue;
      subtable.hits++;
      this.probes = i + 1;
      return flowOfRow(subtable, row);
    }
    this.probes = order.length;
    return -1;
  }

  /** As {@link lookup}, leaving no trace in hits and probes. */
  match(keys: Int32Array, base: number): number {
    const { order } = this;
    for (let i = 0; i < order.length; i++) {
      const subtable = order[i]!;
      const row = findMasked(subtable, keys, base);
      if (row >= 0) return flowOfRow(subtable, row);
    }
    return -1;
  }
}
