/**
 * The data plane inline: packets go their way on the thread that has the datapath, driven by the runner. Control path;
 * the way itself is pipeline.hot.ts.
 */

import {
  DpifError,
  type DpifOp,
  DROP_REASON_COUNT,
  type ExecuteOp,
  type FramePool,
  type NetdevQueue,
  type OpResult,
  PacketBatch,
} from '@etherloom/core';
import type { TapSource } from './capture/source.js';
import { addTap, removeTap } from './capture/taps.js';
import { ClientPackets } from './execute.js';
import { AHEAD, type FlowTable } from './flow-table.js';
import { Output } from './output.hot.js';
import { Pacer } from './pacing.js';
import { DP_LOST, Pipeline } from './pipeline.hot.js';
import type { DataPlane, NewPort, Performer, PortData } from './plane.js';
import { packetsOf, type ThreadPerf } from './pmd/report.js';
import type { Port } from './port.hot.js';
import { Activity, type Runnable, type Runner } from './runner.js';
import { Undo } from './undo.js';
import type { Discarded, Upcalls } from './upcalls.js';

export class InlinePlane implements DataPlane, Runnable {
  readonly pipeline: Pipeline;
  readonly pool: FramePool;
  readonly runner: Runner;
  readonly flows: FlowTable;
  readonly upcalls: Upcalls;
  readonly activity = new Activity();
  readonly #output: Output;
  readonly #packets: ClientPackets;
  readonly #portlessDrops = new Float64Array(DROP_REASON_COUNT);

  constructor(pool: FramePool, runner: Runner, flows: FlowTable, upcalls: Upcalls, vlanLimit: number) {
    this.pool = pool;
    this.runner = runner;
    this.flows = flows;
    this.upcalls = upcalls;
    this.#output = new Output(pool);
    this.pipeline = new Pipeline(pool, flows, this.#output, upcalls, this.#portlessDrops, vlanLimit);
    this.#packets = new ClientPackets(this);
  }

  async start(): Promise<void> {}

  counters(): Float64Array {
    return this.pipeline.counters.slice();
  }

  portlessDrops(): Float64Array {
    return this.#portlessDrops.slice();
  }

  reports(): readonly [] {
    return [];
  }

  main(): ThreadPerf {
    const { iterations, busyIterations, packets, busyMs, idleMs, since } = this.activity;
    const otherwise = performance.now() - since - busyMs - idleMs;
    return {
      iterations,
      busyIterations,
      busyNs: busyMs * 1e6,
      idleNs: idleMs * 1e6,
      asleepNs: Math.max(otherwise, 0) * 1e6,
      sleeps: 0,
      packets,
      ...packetsOf(this.pipeline.counters, this.#output.watch.counters),
    };
  }

  discarded({ upcalls, misses }: Discarded, reason: number): void {
    this.pipeline.counters[DP_LOST]! += misses;
    this.#portlessDrops[reason]! += upcalls;
  }

  async openPort({ portNo, name, ref, affinity }: NewPort): Promise<PortData> {
    if (affinity.size > 0) {
      throw new DpifError(
        'EINVAL',
        `port "${name}" cannot have the option pmd-rxq-affinity: this datapath has no poll-mode threads (pmdThreads)`,
      );
    }
    const undo = new Undo();
    const drops = new Float64Array(DROP_REASON_COUNT);
    const queues: NetdevQueue[] = [];
    try {
      const { rxQueues, txQueues, txOffloads } = ref.netdev.capabilities;
      for (let index = 0; index < Math.max(rxQueues, txQueues, 1); index++) {
        const queue = ref.openQueue(ref.netdev.queueDescriptor(index), { pool: this.pool, drops });
        undo.push(() => queue.close());
        queues.push(queue);
      }
      // The first queue transmits too, since one thread does.
      const txBatch = new PacketBatch();
      const port: Port = { portNo, drops, txBatch, txQueue: queues[0]!, txOffloads };
      this.#output.add(port);
      undo.push(() => this.#output.remove(port));
      for (const queue of queues) undo.push(this.runner.attach(this, port, queue));
    } catch (error) {
      // What went wrong first is what the caller should hear.
      await undo.run().catch(() => undefined);
      throw error;
    }
    return { drops: () => drops.slice(), close: () => undo.run() };
  }

  async operate(ops: readonly DpifOp[], performer: Performer): Promise<OpResult[]> {
    const pacer = new Pacer();
    const results: OpResult[] = [];
    for (let at = 0; at < ops.length; at++) {
      // Called from inside a burst (by a device that calls back when it sends): microtasks run when that is over.
      if (this.pipeline.busy) await undefined;
      if ((at & (AHEAD - 1)) === 0) performer.expect(ops, at);
      results.push(performer.perform(ops[at]!, at));
      if ((results.length & 63) === 0) await pacer.pause();
    }
    this.upcalls.deliver();
    return results;
  }

  execute(op: ExecuteOp): void {
    this.#packets.execute(op);
  }

  async flush(): Promise<void> {
    if (this.pipeline.busy) await undefined;
    this.flows.flush();
  }

  async listen(): Promise<void> {}

  async settle(): Promise<void> {}

  collect(): void {}

  async addTap(source: TapSource): Promise<void> {
    if (this.pipeline.busy) await undefined;
    addTap(this.#output, this.pool.arena, source.spec, source.memory(0));
  }

  async removeTap(id: number): Promise<void> {
    if (this.pipeline.busy) await undefined;
    removeTap(this.#output, id);
  }

  async close(): Promise<void> {
    this.runner.forget(this);
  }
}
