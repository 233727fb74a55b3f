/**
 * Drives datapaths inline: packets are received on the event loop of the thread that owns the datapath, whenever a
 * receive queue has some.
 *
 * Queues with a file descriptor are watched (one report, then silence until it is asked for again), queues in memory
 * call. A turn of the event loop takes a burst from each queue that was silent until now, then goes round the ready queues, some
 * bursts of each, for {@link SLICE_MS} at most or until a client was handed upcalls; then everything else on the loop has its
 * turn. A descriptor that had packets is polled for {@link LINGER_MS} or {@link LONG_LINGER_MS} more, once a turn, before it is
 * watched again; after that, at idle, nothing runs. Descriptors keep the process alive as open sockets do, until their ports are
 * closed; queues in memory do not.
 */

import type { NetdevQueue } from '@etherloom/core';
import { FdWatcher, type WatchHandle } from './fdwait.js';
import { SLICE_MS } from './pacing.js';
import type { Pipeline } from './pipeline.hot.js';
import type { Port } from './port.hot.js';

/** How often subtables are ordered by hits while there is traffic, in milliseconds. */
const RANK_MS = 1000;

/**
 * How long a descriptor without packets is polled until it is watched again, in milliseconds. By way of the watcher a packet
 * waits some 50 us, two threads' waking, and an answer comes sooner than that: of two hosts that talk in turn, each would
 * wait for it every time. Poll-mode threads linger as long before they sleep.
 */
const LINGER_MS = 0.05;
/** The same after the watcher reported packets sooner than this: it would have been better to wait for them. */
const LONG_LINGER_MS = 0.2;

/** Bursts from one queue in a row: looking at the clock for each would cost 5 ns a packet. */
const BURSTS = 8;

/** What the runner did for one datapath. Times are in milliseconds. */
export class Activity {
  /** Bursts asked for, and those of them that had packets. */
  iterations = 0;
  busyIterations = 0;
  packets = 0;
  /** Turns of queues that had packets, and of others. */
  busyMs = 0;
  idleMs = 0;
  readonly since = performance.now();
}

/** What the runner needs of a datapath. */
export interface Runnable {
  readonly activity: Activity;
  readonly pipeline: Pipeline;
  readonly upcalls: { deliver(): boolean };
  readonly flows: { readonly classifier: { rank(): void } };
}

interface Source {
  readonly datapath: Runnable;
  readonly port: Port;
  readonly queue: NetdevQueue;
  watch: WatchHandle | undefined;
  ready: boolean;
  closed: boolean;
  /** Time of performance.now() until which a descriptor is polled, packets or not; how long that is from the last ones on. */
  lingers: number;
  linger: number;
  /** When it was last given to the watcher. */
  armed: number;
}

export class Runner {
  readonly #clock: () => number;
  #watcher: FdWatcher | undefined;
  #watched = 0;
  /**
   * Queues that had no packets when they were last looked at. They go before those that still had some: one that floods
   * always does, and costs its neighbours' upcalls no more than the burst that is under way.
   */
  readonly #fresh: Source[] = [];
  /** Queues that may have more packets, in the order of their turns. */
  readonly #ready: Source[] = [];
  #scheduled = false;
  #rankedAt = 0;
  /** When it last looked at the clock in this turn. */
  #time = 0;
  readonly #datapaths = new Set<Runnable>();

  /** `clock` gives monotonic milliseconds, for flow statistics. */
  constructor(clock: () => number) {
    this.#clock = clock;
  }

  /** Monotonic milliseconds. */
  time(): number {
    return this.#clock();
  }

  /** Monotonic milliseconds, whole, never 0 (which means "never" in flow statistics). */
  now(): number {
    return Math.max(1, Math.floor(this.#clock()));
  }

  /**
   * Begins to receive from `queue`; returns the function that ends it, to be called before the queue is closed. Throws
   * a `DpifError` when the queue's descriptor cannot be watched.
   */
  attach(datapath: Runnable, port: Port, queue: NetdevQueue): () => void {
    const source: Source = {
      datapath,
      port,
      queue,
      watch: undefined,
      ready: false,
      closed: false,
      lingers: 0,
      linger: LINGER_MS,
      armed: 0,
    };
    if (queue.pollFd >= 0) {
      this.#watcher ??= new FdWatcher();
      source.watch = this.#watcher.watch(queue.pollFd, () => {
        source.linger = performance.now() - source.armed < LONG_LINGER_MS ? LONG_LINGER_MS : LINGER_MS;
        this.#wake(source);
      });
      this.#watched++;
    } else queue.setWake?.(() => this.#wake(source));
    this.#datapaths.add(datapath);
    return () => this.#detach(source);
  }

  /** Forgets a datapath whose sources are all detached. */
  forget(datapath: Runnable): void {
    this.#datapaths.delete(datapath);
  }

  #detach(source: Source): void {
    if (source.closed) return;
    source.closed = true;
    if (source.watch === undefined) {
      source.queue.setWake?.(undefined);
      return;
    }
    source.watch.close();
    if (--this.#watched > 0) return;
    this.#watcher?.close();
    this.#watcher = undefined;
  }

  #wake(source: Source): void {
    if (source.ready || source.closed) return;
    source.ready = true;
    this.#fresh.push(source);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(this.#turn);
  }

  readonly #turn = (): void => {
    this.#scheduled = false;
    this.#time = performance.now();
    const end = this.#time + SLICE_MS;
    for (let count = this.#fresh.length; count > 0 && this.#time <= end; count--) {
      this.#serve(this.#fresh.shift()!, 1);
    }
    // At least one of them, whatever the others took: silence must not be rewarded for ever.
    do {
      const source = this.#ready.shift();
      if (source === undefined || this.#serve(source, BURSTS)) break;
    } while (this.#time <= end);
    if (end - this.#rankedAt > RANK_MS) {
      this.#rankedAt = end;
      for (const { flows } of this.#datapaths) flows.classifier.rank();
    }
    if (this.#ready.length > 0 || this.#fresh.length > 0) this.#schedule();
  };

  /** Takes up to `bursts` from a queue, fewer when a client was handed upcalls; returns whether one was. */
  #serve(source: Source, bursts: number): boolean {
    if (source.closed) return false;
    const { activity, pipeline, upcalls } = source.datapath;
    pipeline.now = this.now();
    let received = 1;
    let packets = 0;
    let delivered = false;
    for (let burst = 0; burst < bursts && received > 0 && !delivered; burst++) {
      received = pipeline.receive(source.port, source.queue);
      packets += received;
      activity.iterations++;
      if (received > 0) activity.busyIterations++;
      delivered = upcalls.deliver();
    }
    const began = this.#time;
    const now = performance.now();
    this.#time = now;
    if (packets > 0) {
      activity.packets += packets;
      activity.busyMs += now - began;
      source.lingers = now + source.linger;
    } else activity.idleMs += now - began;
    if (received > 0) this.#ready.push(source);
    else if (source.watch !== undefined && now < source.lingers) this.#fresh.push(source);
    else {
      source.ready = false;
      source.armed = now;
      source.watch?.arm();
    }
    return delivered;
  }
}
