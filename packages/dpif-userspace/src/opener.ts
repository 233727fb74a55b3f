/** One opener's view of a datapath: what the generic dpif layer calls. */

import {
  type CaptureOptions,
  type DpifBackend,
  type DpifOp,
  type DpifPort,
  type DpStats,
  DROP_UPCALL_PURGED,
  type ExecuteOp,
  type FlowDump,
  type OpResult,
  type PacketCapture,
  type PortChange,
  type PortSpec,
  type Trace,
  type TraceRequest,
  toDpifError,
  type Upcall,
} from '@etherloom/core';
import type { Capture } from './capture/capture.js';
import type { Datapath } from './datapath.js';
import { TableDump } from './dump.js';
import { ClientMetadata } from './execute.js';
import { DP_HIT, DP_LOST, DP_MASK_HIT, DP_MISSED } from './pipeline.hot.js';
import type { Performer } from './plane.js';
import { PortChanges } from './port-changes.js';
import { tracePacket } from './trace/trace.js';

/** What the provider does when a handle says so. */
export interface OpenerHost {
  closed(): Promise<void>;
  destroyed(): void;
}

export class Opener implements DpifBackend, Performer {
  readonly #datapath: Datapath;
  readonly #host: OpenerHost;
  readonly #changes = new PortChanges();
  /** Captures that were started on this handle. */
  #captures: readonly Capture[] = [];
  #closed = false;

  constructor(datapath: Datapath, host: OpenerHost) {
    this.#datapath = datapath;
    this.#host = host;
    datapath.listeners.add(this.#changes);
  }

  async close(): Promise<void> {
    this.#datapath.listeners.delete(this.#changes);
    this.#changes.wakeAll();
    this.#closed = true;
    await Promise.all(this.#captures.map((capture) => capture.discard()));
    await this.recvSet(false);
    await this.#host.closed();
  }

  async destroy(): Promise<void> {
    this.#host.destroyed();
  }

  async getDpStats(): Promise<DpStats> {
    const counters = this.#datapath.plane.counters();
    const { flows } = this.#datapath;
    const { classifier } = flows;
    return {
      hit: counters[DP_HIT]!,
      missed: counters[DP_MISSED]!,
      lost: counters[DP_LOST]!,
      flows: classifier.flowCount,
      maskHit: counters[DP_MASK_HIT]!,
      masks: classifier.maskCount,
      refused: flows.refused,
    };
  }

  /** Both derived from the name, so that they are the same after a restart. */
  async getNetflowIds(): Promise<{ readonly engineType: number; readonly engineId: number }> {
    const id = nameHash(this.#datapath.name);
    return { engineType: (id >>> 8) & 0xff, engineId: id & 0xff };
  }

  /** The priority is the queue's number. */
  async queueToPriority(queue: number): Promise<number> {
    return queue;
  }

  async now(): Promise<number> {
    return this.#datapath.runner.now();
  }

  portAdd(port: Required<PortSpec>, portNo: number | undefined): Promise<number> {
    return this.#datapath.ports.add(port, portNo);
  }

  portDel(portNo: number): Promise<void> {
    return this.#datapath.ports.del(portNo);
  }

  async portQueryByNumber(portNo: number): Promise<DpifPort> {
    return this.#datapath.ports.byNumber(portNo);
  }

  async portQueryByName(name: string): Promise<DpifPort> {
    return this.#datapath.ports.byName(name);
  }

  async portGetPid(portNo: number, hash: number): Promise<number> {
    return this.#datapath.pid(portNo, hash);
  }

  async *portDump(): AsyncGenerator<DpifPort> {
    yield* this.#datapath.ports.list();
  }

  async portGetDrops(portNo: number): Promise<Readonly<Record<string, number>>> {
    return this.#datapath.drops(portNo);
  }

  async portPoll(): Promise<PortChange | undefined> {
    return this.#changes.poll();
  }

  portPollWait(signal?: AbortSignal): Promise<void> {
    return this.#changes.wait(signal);
  }

  async flowFlush(): Promise<void> {
    await this.#datapath.plane.flush();
  }

  flowDump(): FlowDump {
    return new TableDump(this.#datapath.flows);
  }

  operate(ops: readonly DpifOp[]): Promise<OpResult[]> {
    return this.#datapath.plane.operate(ops, this);
  }

  async checkExecute(op: ExecuteOp): Promise<void> {
    new ClientMetadata().check(op, this.#datapath.flows.actions);
  }

  async trace(request: TraceRequest): Promise<Trace> {
    return tracePacket(this.#datapath, request);
  }

  async capture(options: CaptureOptions): Promise<PacketCapture> {
    const capture = await this.#datapath.captures.start(options);
    // The handle was closed meanwhile.
    if (this.#closed) await capture.discard();
    this.#captures = [...this.#captures.filter(({ forgotten }) => !forgotten), capture];
    return capture;
  }

  async recvSet(enable: boolean): Promise<void> {
    const { plane, upcalls } = this.#datapath;
    // What waits anywhere goes with the queues.
    if (!enable) await plane.settle();
    plane.discarded(upcalls.set(this, enable), DROP_UPCALL_PURGED);
    await plane.listen(upcalls.listening);
  }

  async handlersSet(count: number): Promise<void> {
    const { plane, upcalls } = this.#datapath;
    await plane.settle();
    plane.discarded(upcalls.setHandlers(count), DROP_UPCALL_PURGED);
  }

  async recv(handler: number): Promise<Upcall | undefined> {
    this.#datapath.plane.collect();
    return this.#datapath.upcalls.recv(this, handler);
  }

  recvBatch(handler: number, max: number, signal?: AbortSignal): Promise<Upcall[]> {
    this.#datapath.plane.collect();
    return this.#datapath.upcalls.recvBatch(this, handler, max, signal);
  }

  async recvPurge(): Promise<void> {
    const { plane, upcalls } = this.#datapath;
    await plane.settle();
    plane.discarded(upcalls.purge(), DROP_UPCALL_PURGED);
  }

  // --- Performer

  expect(ops: readonly DpifOp[], first: number): void {
    this.#datapath.flows.expect(ops, first);
  }

  perform(op: DpifOp, at: number): OpResult {
    const { flows } = this.#datapath;
    try {
      switch (op.type) {
        case 'flowPut':
          return { stats: flows.put(op, at) };
        case 'flowDel':
          return { stats: flows.del(op, at) };
        case 'flowGet': {
          const flow = flows.get(op, at);
          return { flow, stats: flow.stats };
        }
        case 'execute':
          this.#datapath.plane.execute(op);
          return {};
      }
    } catch (error) {
      return { error: toDpifError(error) };
    }
  }
}

function nameHash(name: string): number {
  return [...new TextEncoder().encode(name)].reduce(
    (hash, byte) => Math.imul(hash ^ byte, 0x0100_0193),
    0x811c9dc5,
  );
}
