/** Flow statistics of the dpif contract as text and as JSON. */

import type { FlowStats } from '@etherloom/core';
import { formatFlowStats } from '@etherloom/odp-codec';

const NONE = new Uint8Array(0);

/** The statistics part of a codec flow. `now` is `Dpif.now()`, the clock of `stats.used`. */
export function codecStats({ packets, bytes, used, tcpFlags }: FlowStats, now: number) {
  const counts = { packets, bytes, tcpFlags };
  return used === 0 ? counts : { ...counts, used: Math.max(now - used, 0) };
}

/** `packets:N, bytes:N, used:T[, flags:F]`. */
export const formatStats = (stats: FlowStats, now: number): string =>
  formatFlowStats({ key: NONE, mask: NONE, actions: NONE, ...codecStats(stats, now) });

/** `used` is seconds since the last packet, null for never; `tcpFlags` the 12 bits. */
export function statsJson(stats: FlowStats, now: number) {
  const { packets, bytes, tcpFlags } = stats;
  const used = stats.used === 0 ? null : Math.round(Math.max(now - stats.used, 0)) / 1000;
  return { packets, bytes, used, tcpFlags };
}
