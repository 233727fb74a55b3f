/** The ports of a datapath on poll-mode threads: which thread polls which queue, and how each thread sends to each port. */

import type { NewPort, PortData } from '../plane.js';
import { nextMove } from './assignment.js';
import type { Crew } from './crew.js';
import { RELAY_RING } from './layout.hot.js';
import type { Message, Transmit } from './messages.js';
import type { PmdThread } from './pmd-thread.js';
import { PortRecord, type QueueRecord } from './port-record.js';
import type { PmdQueue } from './report.js';
import { ringBytes } from './ring.hot.js';

interface Relay {
  readonly from: number;
  readonly to: number;
  readonly ring: SharedArrayBuffer;
}

/** Sends a message to a thread and waits for the answer. */
type Ask = (thread: PmdThread, message: Message) => Promise<void>;

export class PortPlan {
  readonly #crew: Crew;
  readonly #ask: Ask;
  readonly #records = new Map<number, PortRecord>();
  readonly #relays: Relay[] = [];
  #last: Promise<unknown> = Promise.resolve();

  constructor(crew: Crew, ask: Ask) {
    this.#crew = crew;
    this.#ask = ask;
  }

  find(portNo: number): PortRecord | undefined {
    return this.#records.get(portNo);
  }

  /** The receive queues of a thread. */
  queuesOf(thread: number): PmdQueue[] {
    return this.#queues()
      .filter((queue) => queue.thread === thread)
      .map(({ port, pinned, descriptor }) => ({
        port: port.name,
        portNo: port.portNo,
        queue: descriptor.index,
        pinned,
      }));
  }

  /** Makes all threads know the port. A failure leaves nothing behind. `closed` runs when no thread has it any more. */
  open(port: NewPort, closed: () => void): Promise<PortData> {
    return this.#serial(async () => {
      const record = new PortRecord(port, this.#crew.slots.length, this.#queues());
      this.#records.set(record.portNo, record);
      try {
        await this.#tellAll((thread) => this.#give(thread, record));
      } catch (error) {
        await this.#take(record).catch(() => undefined);
        throw error;
      }
      record.watch((index) => this.#crew.slots[index]!.thread?.kick());
      return {
        drops: () => record.drops(),
        close: () =>
          this.#serial(async () => {
            try {
              await this.#take(record);
            } finally {
              closed();
            }
            await this.#rebalance();
          }),
      };
    });
  }

  /** Gives a thread that took another one's place all ports of that one. */
  giveAll(thread: PmdThread): Promise<void> {
    return this.#serial(async () => {
      const { index } = thread.slot;
      for (const record of this.#records.values()) {
        // Added since the thread began: told again it would open the queues twice, and count drops elsewhere from then on.
        if (record.threads.has(thread)) continue;
        record.reclaim(index);
        try {
          await this.#give(thread, record);
        } catch (error) {
          if (!thread.alive) return;
          this.#crew.failed(index, `port "${record.name}" cannot be opened again`, error);
        }
      }
      // Last: what waits in a ring is for ports that must be there.
      for (const { to, ring } of this.#relays)
        if (to === index) await this.#ask(thread, { type: 'relay', ring });
    });
  }

  /** Keeps what a thread counted that is gone. */
  retire(thread: number): void {
    for (const record of this.#records.values()) record.retire(thread);
  }

  async #give(thread: PmdThread, record: PortRecord): Promise<void> {
    const { index } = thread.slot;
    record.threads.add(thread);
    await this.#ask(thread, {
      type: 'addPort',
      portNo: record.portNo,
      drops: record.countFor(index),
      queues: record.queuesOf(index).map(({ descriptor }) => descriptor),
      transmit: await this.#transmit(index, record),
      txOffloads: record.txOffloads,
    });
  }

  async #take(record: PortRecord): Promise<void> {
    record.unwatch();
    this.#records.delete(record.portNo);
    await this.#tellAll((thread) => this.#ask(thread, { type: 'removePort', portNo: record.portNo }));
  }

  /** Moves queues until no thread has two more than another. */
  async #rebalance(): Promise<void> {
    const { slots } = this.#crew;
    for (;;) {
      const move = nextMove(slots.length, this.#queues());
      if (move === undefined) return;
      const { queue, to } = move;
      const { portNo, threads } = queue.port;
      const { descriptor } = queue;
      const [from, target] = [slots[queue.thread]!.thread, slots[to]!.thread];
      // With one of them down, its replacement must find what it had.
      if (from === undefined || target === undefined || !threads.has(from) || !threads.has(target)) return;
      try {
        await this.#ask(from, { type: 'closeQueue', portNo, index: descriptor.index });
        queue.thread = to;
        await this.#ask(target, { type: 'openQueue', portNo, descriptor });
      } catch (error) {
        // A thread that died opens what is its own when it is replaced.
        if (from.alive && target.alive) {
          this.#crew.failed(to, `queue ${descriptor.index} of port "${queue.port.name}" cannot move`, error);
        }
        return;
      }
    }
  }

  async #transmit(index: number, record: PortRecord): Promise<Transmit> {
    const half = record.transmitDescriptor(index);
    if (half !== undefined) return { kind: 'half', descriptor: half };
    const own = record.queuesOf(index)[0];
    if (own !== undefined) return { kind: 'queue', descriptor: own.descriptor };
    const to = this.#crew.slots[record.sender]!;
    const ring = await this.#relay(index, to.index);
    return { kind: 'relay', to: to.index, ring, control: to.control, doorbell: to.doorbell };
  }

  /** The ring from one thread to another, made when it is needed first. */
  async #relay(from: number, to: number): Promise<SharedArrayBuffer> {
    const known = this.#relays.find((relay) => relay.from === from && relay.to === to);
    if (known !== undefined) return known.ring;
    const ring = new SharedArrayBuffer(ringBytes(RELAY_RING));
    this.#relays.push({ from, to, ring });
    const { thread } = this.#crew.slots[to]!;
    if (thread !== undefined) await this.#ask(thread, { type: 'relay', ring });
    return ring;
  }

  /** One that dies meanwhile is no failure: its replacement is told anew. */
  async #tellAll(tell: (thread: PmdThread) => Promise<void>): Promise<void> {
    const { alive } = this.#crew;
    const outcomes = await Promise.allSettled(alive.map(tell));
    outcomes.forEach((outcome, i) => {
      if (outcome.status === 'rejected' && alive[i]!.alive) throw outcome.reason;
    });
  }

  #queues(): QueueRecord[] {
    return [...this.#records.values()].flatMap(({ queues }) => queues);
  }

  #serial<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => undefined);
    return result;
  }
}
