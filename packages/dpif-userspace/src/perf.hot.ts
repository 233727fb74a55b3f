/**
 * Where the time of packets goes: one burst in {@link SAMPLE_EVERY} is timed stage by stage. Hot: no allocation, no throw.
 *
 * A look at the clock costs 40 ns and a timed burst takes five or more, so that timing each would cost 8 ns a packet in full
 * bursts and 200 in bursts of one. One in 128 costs 2 ns a burst; with the branches and counters of all the others it is 8 to 20 ns a
 * burst, between devices in memory 0.6 of 22 ns a packet in full ones.
 */

/** Timed bursts: one in so many. */
export const SAMPLE_EVERY = 128;

// What is counted, a Float64Array that another thread may read.
// Milliseconds of timed bursts, by stage.
export const PERF_RECEIVE = 0;
export const PERF_LOOKUP = 1;
/** Actions, with recirculations, without what is sent meanwhile. */
export const PERF_EXECUTE = 2;
export const PERF_TRANSMIT = 3;
/** Passing up packets that have no flow. */
export const PERF_UPCALL = 4;
/** Packets of timed bursts, and those of them that had no flow. */
export const PERF_TIMED_PACKETS = 5;
export const PERF_TIMED_MISSES = 6;
// Of all bursts, timed or not.
export const PERF_BURSTS = 7;
/** Packets and batches that were given to devices. */
export const PERF_SENT = 8;
export const PERF_SENT_BATCHES = 9;
export const PERF_LENGTH = 10;

const EVERY = SAMPLE_EVERY;
const BURSTS = PERF_BURSTS;
const TIMED_PACKETS = PERF_TIMED_PACKETS;

export class Stopwatch {
  /** Counters PERF_*. */
  readonly counters: Float64Array;
  /** Whether the burst in work is timed. */
  running = false;
  #untilDue = EVERY;
  readonly #at = new Float64Array(1);

  constructor(counters: Float64Array = new Float64Array(PERF_LENGTH)) {
    this.counters = counters;
  }

  /** To be called before each receive burst: starts, and returns true, when one is due to be timed. */
  begin(): boolean {
    if (this.#untilDue > 0) return false;
    this.running = true;
    this.#at[0] = performance.now();
    return true;
  }

  /** The burst was empty: the next one is timed. */
  cancel(): void {
    this.running = false;
  }

  /** While {@link running}: what happened since the last call belongs to `stage`. */
  lap(stage: number): void {
    const now = performance.now();
    this.counters[stage]! += now - this.#at[0]!;
    this.#at[0] = now;
  }

  /** To be called after each burst that held packets, so many. */
  end(packets: number): void {
    this.counters[BURSTS]! += 1;
    if (!this.running) {
      this.#untilDue--;
      return;
    }
    this.counters[TIMED_PACKETS]! += packets;
    this.running = false;
    this.#untilDue = EVERY - 1;
  }
}
