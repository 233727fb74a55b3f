/** The clock of datapaths and learning switches, which a test can stop and set forward (`time/stop`, `time/warp`). */

export class Clock {
  #stoppedAt: number | undefined;
  #ahead = 0;

  /** Monotonic milliseconds. */
  readonly now = (): number => (this.#stoppedAt ?? performance.now()) + this.#ahead;

  /** From now on only `warp` moves it. Idempotent. */
  stop(): void {
    this.#stoppedAt ??= performance.now();
  }

  /** Sets it forward. */
  warp(milliseconds: number): void {
    this.#ahead += milliseconds;
  }
}
