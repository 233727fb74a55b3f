/** Sums of flow statistics from several counters. */

import type { FlowStats } from '@etherloom/core';

export function sumStats(a: FlowStats, b: FlowStats): FlowStats {
  return {
    packets: a.packets + b.packets,
    bytes: a.bytes + b.bytes,
    used: Math.max(a.used, b.used),
    tcpFlags: a.tcpFlags | b.tcpFlags,
  };
}
