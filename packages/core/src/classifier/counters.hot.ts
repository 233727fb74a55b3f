/** Flow statistics (struct dpif_flow_stats) as doubles, exact to 2^53, by flow id. Hot: no allocation, no throw. */

const STRIDE = 4;
const PACKETS = 0;
const BYTES = 1;
const USED = 2;
const TCP_FLAGS = 3;

export class FlowCounters {
  /** Four doubles per flow, so that accounting touches half a cache line. Replaced when the flow table grows. */
  values: Float64Array;

  /** Memory for the statistics of `capacity` flows. */
  static bytes(capacity: number): number {
    return capacity * STRIDE * Float64Array.BYTES_PER_ELEMENT;
  }

  constructor(capacity: number) {
    this.values = new Float64Array(capacity * STRIDE);
  }

  /** Counts `packets` of `bytes` together that hit `flow` at monotonic millisecond `now`. */
  count(flow: number, packets: number, bytes: number, now: number, tcpFlags: number): void {
    const { values } = this;
    const at = flow * STRIDE;
    values[at + BYTES]! += bytes;
    values[at + USED] = now;
    if (tcpFlags !== 0) values[at + TCP_FLAGS]! |= tcpFlags;
    // Last: another thread that sees the packets sees the rest of them.
    values[at + PACKETS]! += packets;
  }

  /** Brings the counters of `flow` closer, for a {@link count} soon: any number, which the caller must use. */
  touch(flow: number): number {
    return this.values[flow * STRIDE]!;
  }

  /** Adds what somebody else counted for `flow`. */
  add(flow: number, packets: number, bytes: number, used: number, tcpFlags: number): void {
    const { values } = this;
    const at = flow * STRIDE;
    values[at + PACKETS]! += packets;
    values[at + BYTES]! += bytes;
    values[at + USED] = Math.max(values[at + USED]!, used);
    values[at + TCP_FLAGS]! |= tcpFlags;
  }

  packets(flow: number): number {
    return this.values[flow * STRIDE + PACKETS]!;
  }

  bytes(flow: number): number {
    return this.values[flow * STRIDE + BYTES]!;
  }

  /** Monotonic millisecond of the last packet; 0 when there was none. */
  used(flow: number): number {
    return this.values[flow * STRIDE + USED]!;
  }

  tcpFlags(flow: number): number {
    return this.values[flow * STRIDE + TCP_FLAGS]!;
  }

  zero(flow: number): void {
    const { values } = this;
    const at = flow * STRIDE;
    // In a fifth of the time of `fill`.
    for (let i = 0; i < STRIDE; i++) values[at + i] = 0;
  }
}
