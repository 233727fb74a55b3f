/**
 * What a poll-mode thread does all day: polls its receive queues, executes commands, and sleeps when there is nothing to
 * do. Hot: no allocation, no throw.
 *
 * While packets come it polls without end; then it goes on for {@link SPIN_MS}, since a packet that finds the thread awake
 * waits 10 us and one that must wake it 40 to 100; then it sleeps in ppoll(2) on its descriptors and its doorbell. Where
 * packets come just after that, as answers of a host do, it goes on for {@link LONG_SPIN_MS}: a fifth of the sleeps.
 */

import type { FramePool, NetdevQueue } from '@etherloom/core/data';
import { DP_COUNTERS, type Pipeline } from '../pipeline.hot.js';
import type { Port } from '../port.hot.js';
import {
  ASLEEP,
  AWAKE,
  REPORT_ASLEEP,
  REPORT_BUSY,
  REPORT_BUSY_ITERATIONS,
  REPORT_COMMANDS,
  REPORT_FREE,
  REPORT_FREE_LARGE,
  REPORT_IDLE,
  REPORT_ITERATIONS,
  REPORT_PACKETS,
  REPORT_SLEEPS,
  REPORT_UPCALLS,
  WORD_BELL,
  WORD_DONE,
  WORD_SLEEPING,
  WORD_STOP,
} from './layout.hot.js';
import type { RelayReceiver } from './relay.hot.js';
import type { SharedRing } from './ring.hot.js';
import type { UpcallWriter } from './upcall-writer.hot.js';

/** How long the thread polls in vain before it sleeps, in milliseconds. */
const SPIN_MS = 0.05;
/** The same after a sleep that ended sooner than this: it would have been better to wait for what ended it. */
const LONG_SPIN_MS = 0.2;
/** Longest sleep, in milliseconds: after a missed doorbell, whatever its reason, things go on. */
const SLEEP_MS = 1000;
/** Iterations with packets between two looks at the clock, which cost 0.1 us each. */
const CLOCK_EVERY = 64;
/** Commands executed after a burst, 1 to 2 us each, and when no packet waits. */
const BUSY_COMMANDS = 4;
const IDLE_COMMANDS = 256;
/**
 * After so many polls in vain a queue is polled in one of four iterations only: an empty TAP costs a system call each time,
 * 0.4 us, and most ports of a switch are quiet while few are busy. Between two TAPs, with the local port the third, it is 3 %.
 */
const QUIET = 64;
const QUIET_ROUNDS = 3;
/** How often chores are due, in milliseconds. */
const CHORES_MS = 1000;

export interface PolledQueue {
  readonly port: Port;
  readonly queue: NetdevQueue;
  /** Polls in vain in a row. */
  vain: number;
}

/** The thread's control path, as the loop sees it. */
export interface Chores {
  /** Number of the last command that was executed, and whether a message waits. */
  readonly sequence: number;
  readonly message: boolean;
  /** Executes up to `max` commands; stops behind one that announces a message. Returns how many. */
  commands(max: number): number;
  /** What is due about once a second. */
  tick(): void;
}

export interface Sleeper {
  clock(into: Float64Array): void;
  sleep(fds: Int32Array, count: number, milliseconds: number): number;
}

/** What the loop works with. */
export interface LoopParts {
  readonly pool: FramePool;
  readonly pipeline: Pipeline;
  readonly commands: SharedRing;
  readonly replies: SharedRing;
  readonly upcallRing: SharedRing;
  readonly upcalls: UpcallWriter;
  readonly chores: Chores;
  readonly native: Sleeper;
  /** Control words. */
  readonly control: Int32Array;
  readonly report: Float64Array;
  /** What to add to the monotonic clock for the clock of flow statistics. */
  readonly clockOffset: Float64Array;
}

export class PollLoop {
  // Set between runs.
  queues: readonly PolledQueue[] = [];
  relays: readonly RelayReceiver[] = [];
  /** The doorbell, then the descriptors of the queues that have one. */
  fds = new Int32Array(1);
  /** Whether a queue can neither be slept on nor tells when packets come: then sleeps are as short as a millisecond. */
  restless = false;

  readonly #parts: LoopParts;
  readonly #clock = new Float64Array(1);
  /** Whether the last iteration received something. */
  #busy = false;
  /** When the present state began, and when the last packet came; of which accounts are settled up to `#since`. */
  #since = 0;
  #idleSince = 0;
  #spin = SPIN_MS;
  #chores = 0;
  #untilClock = CLOCK_EVERY;
  /** The thread said that it will sleep: one more iteration, and it does. */
  #drowsy = false;

  constructor(parts: LoopParts) {
    this.#parts = parts;
    parts.native.clock(this.#clock);
    this.#since = this.#clock[0]!;
    this.#idleSince = this.#since;
    this.#chores = this.#since;
    this.#countFree();
  }

  /**
   * Polls until a message waits, for `limit` iterations at most, and sleeps when there is nothing to do if it may. False
   * when the thread shall end.
   */
  run(limit: number, maySleep: boolean): boolean {
    const parts = this.#parts;
    const { pipeline, commands, chores, control, report, upcallRing } = parts;
    const { queues, relays } = this;
    for (let round = 0; round < limit; round++) {
      if (!this.#busy || --this.#untilClock === 0) {
        this.#look();
        if (Atomics.load(control, WORD_STOP) !== 0) return false;
      }
      let got = 0;
      for (let i = 0; i < queues.length; i++) {
        const polled = queues[i]!;
        if (polled.vain >= QUIET && (round & QUIET_ROUNDS) !== 0 && !this.#drowsy) continue;
        const count = pipeline.receive(polled.port, polled.queue);
        polled.vain = count > 0 ? 0 : Math.min(polled.vain + 1, QUIET);
        got += count;
      }
      for (let i = 0; i < relays.length; i++) got += relays[i]!.poll();
      const waiting = commands.peek() >= 0;
      const executed = waiting ? chores.commands(got > 0 ? BUSY_COMMANDS : IDLE_COMMANDS) : 0;
      report[REPORT_ITERATIONS]! += 1;
      if ((got | executed) !== 0) {
        if (got > 0) {
          report[REPORT_BUSY_ITERATIONS]! += 1;
          report[REPORT_PACKETS]! += got;
          this.#received();
        }
        // First what packets led to, then the counters by which others know that they are done with, then acknowledgements.
        const rung = upcallRing.publish();
        this.#publish();
        if (executed > 0) {
          report[REPORT_COMMANDS]! += executed;
          commands.release();
          parts.replies.publish();
          Atomics.store(control, WORD_DONE, chores.sequence);
        }
        if (rung || executed > 0) {
          Atomics.add(control, WORD_BELL, 1);
          Atomics.notify(control, WORD_BELL);
        }
        this.#wake();
        if (chores.message) return true;
        continue;
      }
      // A command that waits for room to reply in: nobody would wake the thread for it.
      if (waiting) continue;
      if (this.#busy) this.#fallIdle();
      else if (this.#drowsy) this.#sleep();
      else if (maySleep && this.#clock[0]! - this.#idleSince >= this.#spin) {
        Atomics.store(control, WORD_SLEEPING, ASLEEP);
        this.#drowsy = true;
      }
    }
    this.#wake();
    return true;
  }

  /** Control path, when the thread is about to die of what was thrown: lets the others see all that came of packets. */
  testify(): void {
    const { pipeline, upcallRing } = this.#parts;
    pipeline.testify();
    upcallRing.publish();
    this.#publish();
  }

  /** Reads the clock, for flow statistics too, and does chores that are due. */
  #look(): void {
    const { native, pipeline, clockOffset, chores } = this.#parts;
    const clock = this.#clock;
    native.clock(clock);
    const now = clock[0]!;
    pipeline.now = Math.max(1, Math.floor(now + clockOffset[0]!));
    this.#untilClock = CLOCK_EVERY;
    if (this.#busy) this.#settle(REPORT_BUSY);
    if (now - this.#chores < CHORES_MS) return;
    this.#chores = now;
    this.#countFree();
    chores.tick();
  }

  /** Puts the time since the last settlement on an account. */
  #settle(account: number): void {
    const now = this.#clock[0]!;
    this.#parts.report[account]! += now - this.#since;
    this.#since = now;
  }

  #received(): void {
    if (this.#busy) return;
    // The clock was read before the burst.
    this.#settle(REPORT_IDLE);
    this.#busy = true;
  }

  #fallIdle(): void {
    this.#countFree();
    this.#look();
    this.#busy = false;
    this.#idleSince = this.#since;
  }

  #countFree(): void {
    const { pool, report } = this.#parts;
    report[REPORT_FREE] = pool.free;
    report[REPORT_FREE_LARGE] = pool.freeLarge;
  }

  #wake(): void {
    if (!this.#drowsy) return;
    this.#drowsy = false;
    this.#idleSince = this.#clock[0]!;
    Atomics.store(this.#parts.control, WORD_SLEEPING, AWAKE);
  }

  #sleep(): void {
    const { native, report } = this.#parts;
    const { fds } = this;
    this.#settle(REPORT_IDLE);
    const since = this.#since;
    native.sleep(fds, fds.length, this.restless ? 1 : SLEEP_MS);
    this.#look();
    this.#settle(REPORT_ASLEEP);
    this.#spin = this.#since - since < LONG_SPIN_MS ? LONG_SPIN_MS : SPIN_MS;
    report[REPORT_SLEEPS]! += 1;
    this.#wake();
  }

  #publish(): void {
    const { report, pipeline, upcalls } = this.#parts;
    const { counters } = pipeline;
    for (let i = 0; i < DP_COUNTERS; i++) report[i] = counters[i]!;
    report[REPORT_UPCALLS] = upcalls.count;
  }
}
