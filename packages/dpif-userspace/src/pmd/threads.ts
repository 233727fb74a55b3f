/**
 * The data plane on poll-mode threads: sends them what clients change and execute, and brings up what they pass to
 * clients. Control path; it never touches a packet on its way.
 */

import {
  DpifError,
  type DpifOp,
  DROP_REASON_COUNT,
  DROP_THREAD_CRASHED,
  type ExecuteOp,
  type OpResult,
  PACKED_WORDS,
  packRow,
} from '@etherloom/core';
import type { TapSource } from '../capture/source.js';
import { ClientMetadata } from '../execute.js';
import { AHEAD, type FlowTable } from '../flow-table.js';
import { nextTurn, Pacer } from '../pacing.js';
import { DP_COUNTERS, DP_LOST, HAND_PACKETS, HAND_PORT } from '../pipeline.hot.js';
import type { DataPlane, NewPort, Performer, PortData } from '../plane.js';
import type { Runner } from '../runner.js';
import type { Discarded, Upcalls } from '../upcalls.js';
import { type PmdBinding, pmdBinding } from './binding.js';
import { commandWords } from './command-writer.js';
import { Crew, type CrewHost, type ThreadOptions } from './crew.js';
import { COMMAND_RING, REPORT_HAND } from './layout.hot.js';
import type { Message } from './messages.js';
import { Pending } from './pending.js';
import type { PmdThread } from './pmd-thread.js';
import { PortPlan } from './port-plan.js';
import type { Replicas } from './replicas.js';
import { countersOf, type PmdReport } from './report.js';
import { longestRecord } from './ring.hot.js';
import { UpcallReader } from './upcall-reader.js';

/** Operations whose replies are waited for together; the rings hold several times as many. */
const REPLIES = 512;
/** Operations that threads are shown together, a power of two: waking one that sleeps costs as much as ten of them. */
const PUBLISHED = 256;
/** Upcalls read between two looks at the clock, and how often so many: more than a full ring has. */
const UPCALLS = 64;
const FULL_RING = 128;
/** Words of a command without key, actions and packet. */
const SHORT = commandWords(0);
const LONGEST = longestRecord(COMMAND_RING);

export interface ThreadPlaneParts {
  /** Of the datapath. */
  readonly name: string;
  readonly options: ThreadOptions;
  /** VLAN tags that are part of a key, 1 or 2. */
  readonly vlanLimit: number;
  readonly runner: Runner;
  readonly flows: FlowTable;
  readonly replicas: Replicas;
  readonly upcalls: Upcalls;
  /** Where `upcalls` finds packets. */
  readonly packets: { bytes: Uint8Array };
}

export class ThreadPlane implements DataPlane, CrewHost {
  readonly clock = new SharedArrayBuffer(Float64Array.BYTES_PER_ELEMENT);
  readonly vlanLimit: number;
  readonly #parts: ThreadPlaneParts;
  readonly #native: PmdBinding;
  readonly crew: Crew;
  readonly #ports: PortPlan;
  readonly #reader: UpcallReader;
  readonly #offset = new Float64Array(this.clock);
  readonly #now = new Float64Array(1);
  /** What the control thread counted, and threads that are gone. */
  readonly #counters = new Float64Array(DP_COUNTERS);
  readonly #portlessDrops = new Float64Array(DROP_REASON_COUNT);
  readonly #metadata = new ClientMetadata();
  readonly #packed = new Int32Array(PACKED_WORDS);
  /** Captures that run. */
  readonly #taps = new Map<number, TapSource>();
  #bringing = false;

  constructor(parts: ThreadPlaneParts) {
    this.#parts = parts;
    this.vlanLimit = parts.vlanLimit;
    this.#native = pmdBinding();
    this.#reader = new UpcallReader(parts.upcalls, parts.packets);
    this.crew = new Crew(parts.name, parts.options, this);
    this.#ports = new PortPlan(this.crew, (thread, message) => this.#ask(thread, message));
  }

  async start(): Promise<void> {
    this.#setClock();
    await this.crew.start();
    for (const thread of this.crew.alive) this.#parts.replicas.threads.add(thread);
  }

  async close(): Promise<void> {
    await this.crew.stop();
    this.#parts.replicas.threads.clear();
  }

  reports(): PmdReport[] {
    return this.crew.slots.map(({ index, cpu, restarts, thread }) => ({
      thread: index,
      cpu,
      running: thread !== undefined,
      restarts,
      queues: this.#ports.queuesOf(index),
      ...countersOf(thread?.report),
    }));
  }

  main(): undefined {}

  // --- counters

  counters(): Float64Array {
    this.#setClock();
    const sum = this.#counters.slice();
    for (const { report } of this.crew.alive) add(sum, report);
    return sum;
  }

  portlessDrops(): Float64Array {
    const sum = this.#portlessDrops.slice();
    for (const { portlessDrops } of this.crew.alive) add(sum, portlessDrops);
    return sum;
  }

  discarded({ upcalls, misses }: Discarded, reason: number): void {
    this.#counters[DP_LOST]! += misses;
    this.#portlessDrops[reason]! += upcalls;
  }

  // --- ports

  openPort(port: NewPort): Promise<PortData> {
    return this.#ports.open(port, () => this.collect());
  }

  // --- operations

  async operate(ops: readonly DpifOp[], performer: Performer): Promise<OpResult[]> {
    this.#setClock();
    const { replicas } = this.#parts;
    const pacer = new Pacer();
    const results: OpResult[] = [];
    let unanswered: { readonly index: number; readonly pending: Pending }[] = [];
    const complete = async (): Promise<void> => {
      await this.#reached();
      for (const { index, pending } of unanswered) results[index] = pending.complete(results[index]!);
      unanswered = [];
    };
    for (let at = 0; at < ops.length; at++) {
      const op = ops[at]!;
      if ((at & (AHEAD - 1)) === 0) performer.expect(ops, at);
      const words = lengthOf(op);
      if (words <= LONGEST) {
        if (!this.#fits(words)) await this.#room(words);
        results.push(performer.perform(op, at));
        const pending = replicas.takePending();
        if (pending !== undefined) unanswered.push({ index: results.length - 1, pending });
      } else results.push({ error: tooLong(words) });
      if (unanswered.length >= REPLIES) await complete();
      if ((at & (PUBLISHED - 1)) === PUBLISHED - 1) this.#publish();
      if ((at & 63) === 63) await pacer.pause();
    }
    await complete();
    this.collect();
    return results;
  }

  /** By the thread that polls the packet's input port, so that it stays in order with what comes from there. */
  execute(op: ExecuteOp): void {
    const { actions } = this.#parts.flows;
    const id = actions.acquire(op.actions);
    try {
      this.#metadata.read(op, actions, id);
    } finally {
      actions.release(id);
    }
    const preferred = this.#ports.find(this.#metadata.inPort)?.sender ?? 0;
    const thread = this.crew.slots[preferred]!.thread ?? this.crew.alive[0];
    if (thread === undefined) {
      throw new DpifError('EIO', 'no poll-mode thread runs that could send the packet; try again later');
    }
    const packed = this.#packed;
    const length = packRow(this.#metadata.row, 0, packed);
    const sequence = thread.send(this.#parts.replicas.next());
    const { packetType } = this.#metadata;
    thread.commands.execute(sequence, packetType, packed, length, op.actions, op.packet);
    const pending = new Pending();
    thread.expect(pending, -1);
    this.#parts.replicas.expect(pending);
  }

  async flush(): Promise<void> {
    await this.#room(SHORT);
    this.#parts.flows.flush();
    await this.#reached();
  }

  // --- upcalls

  get listening(): boolean {
    return this.#parts.upcalls.listening;
  }

  async listen(enabled: boolean): Promise<void> {
    for (const thread of this.crew.alive) thread.listen(enabled);
    await this.#barrier();
  }

  async settle(): Promise<void> {
    this.#setClock();
    await this.#barrier();
    this.collect();
  }

  collect(): void {
    for (const thread of this.crew.alive) this.#readAll(thread);
    this.#parts.upcalls.deliver();
  }

  // --- captures

  async addTap(source: TapSource): Promise<void> {
    this.#taps.set(source.spec.id, source);
    await Promise.all(this.crew.alive.map((thread) => this.#tell(thread, tapMessage(thread, source))));
  }

  async removeTap(id: number): Promise<void> {
    this.#taps.delete(id);
    await Promise.all(this.crew.alive.map((thread) => this.#tell(thread, { type: 'removeTap', id })));
  }

  // --- CrewHost

  bell(): void {
    if (!this.#bringing) void this.#bring();
  }

  retired(thread: PmdThread): void {
    this.#readAll(thread);
    this.#parts.upcalls.deliver();
    this.#parts.replicas.retire(thread, this.#parts.flows);
    add(this.#counters, thread.report);
    add(this.#portlessDrops, thread.portlessDrops);
    this.#ports.retire(thread.slot.index);
    const inHand = thread.report[REPORT_HAND + HAND_PACKETS]!;
    if (inHand > 0) this.#drop(thread.report[REPORT_HAND + HAND_PORT]!, DROP_THREAD_CRASHED, inHand);
  }

  async initiate(thread: PmdThread): Promise<void> {
    const { flows, replicas } = this.#parts;
    const pacer = new Pacer();
    // From now on it is told of changes to flows below the cursor, and meets all others when the cursor comes to them.
    thread.cursor = 0;
    replicas.threads.add(thread);
    while (thread.cursor < flows.classifier.capacity) {
      await this.#roomFor(thread, replicas.lengthOf(flows, thread.cursor));
      if (!thread.alive) return;
      replicas.replay(thread, flows, thread.cursor++);
      if ((thread.cursor & 63) === 0) await pacer.pause();
    }
    thread.cursor = Number.POSITIVE_INFINITY;
    await thread.reached();
    await this.#ports.giveAll(thread);
    for (const source of this.#taps.values()) await this.#tell(thread, tapMessage(thread, source));
  }

  // --- inside

  /** Reads upcalls in slices, so that a flood of them leaves the event loop to others too. */
  async #bring(): Promise<void> {
    this.#bringing = true;
    for (let more = true; more; ) {
      more = false;
      const pacer = new Pacer();
      for (const thread of this.crew.alive) {
        while (!pacer.due() && this.#read(thread));
        more ||= thread.upcalls.peek() >= 0;
      }
      this.#parts.upcalls.deliver();
      if (more) await nextTurn();
    }
    this.#bringing = false;
  }

  /** Reads what is in a thread's ring by now. What comes meanwhile may stay: a flood would never end. */
  #readAll(thread: PmdThread): void {
    for (let i = 0; i < FULL_RING && this.#read(thread); i++);
  }

  /** Reads some upcalls of a thread; returns whether there may be more. */
  #read(thread: PmdThread): boolean {
    const count = this.#reader.read(thread.upcalls, UPCALLS, (portNo, reason, miss) => {
      if (miss) this.#counters[DP_LOST]! += 1;
      this.#drop(portNo, reason, 1);
    });
    return count === UPCALLS;
  }

  #drop(portNo: number, reason: number, count: number): void {
    const port = this.#ports.find(portNo);
    if (port === undefined) this.#portlessDrops[reason]! += count;
    else port.drop(reason, count);
  }

  async #ask(thread: PmdThread, message: Message): Promise<void> {
    await this.#roomFor(thread, SHORT);
    await thread.request(message, this.#parts.replicas.next());
  }

  /** As `#ask`; a thread that died meanwhile need not know, and the one that takes its place is told. */
  async #tell(thread: PmdThread, message: Message): Promise<void> {
    try {
      await this.#ask(thread, message);
    } catch (error) {
      if (thread.alive) throw error;
    }
  }

  async #barrier(): Promise<void> {
    await this.#room(SHORT);
    const sequence = this.#parts.replicas.next();
    for (const thread of this.crew.alive) thread.commands.barrier(thread.send(sequence));
    await this.#reached();
  }

  #publish(): void {
    for (const thread of this.crew.alive) thread.publish();
  }

  /** Resolves when all threads are done with what they were sent. */
  async #reached(): Promise<void> {
    await Promise.all(this.crew.alive.map((thread) => thread.reached()));
  }

  #fits(words: number): boolean {
    for (const thread of this.crew.alive) if (!thread.fits(words)) return false;
    return true;
  }

  /** Waits until every thread's ring has room for a command of `words` words. */
  async #room(words: number): Promise<void> {
    while (!this.#fits(words)) {
      await this.crew.alive.find((thread) => !thread.fits(words))?.progress();
    }
  }

  async #roomFor(thread: PmdThread, words: number): Promise<void> {
    while (thread.alive && !thread.fits(words)) await thread.progress();
  }

  /** The threads' clock follows the datapath's, which may be any. */
  #setClock(): void {
    // Read first: an offset that is a little large says a little later, never earlier than now.
    this.#native.clock(this.#now);
    this.#offset[0] = this.#parts.runner.time() - this.#now[0]!;
  }
}

function tooLong(words: number): DpifError {
  return new DpifError(
    'E2BIG',
    `an action list and packet of ${words * 4} bytes together are too long for a poll-mode thread, which takes ${LONGEST * 4}`,
  );
}

const tapMessage = ({ slot }: PmdThread, source: TapSource): Message => ({
  type: 'addTap',
  spec: source.spec,
  memory: source.memory(slot.index),
});

function lengthOf(op: DpifOp): number {
  if (op.type === 'flowPut') return commandWords(op.actions.length);
  if (op.type === 'execute') return commandWords(op.actions.length, op.packet.length);
  return SHORT;
}

/** Adds as many of `values` as `sum` has. */
function add(sum: Float64Array, values: Float64Array): void {
  for (let i = 0; i < sum.length; i++) sum[i]! += values[i]!;
}
