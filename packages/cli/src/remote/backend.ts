/** An opener of a datapath in another process. */

import {
  type CaptureOptions,
  type DpifBackend,
  DpifError,
  type DpifOp,
  type DpifPort,
  type DpStats,
  type FlowDump,
  type OpResult,
  type PacketCapture,
  type PortChange,
  type PortSpec,
  type Trace,
  type TraceRequest,
  type Upcall,
} from '@etherloom/core';
import { RemoteCapture } from './capture.js';
import { dumpPorts, RemoteFlowDump } from './dump.js';
import type { Link } from './link.js';
import * as methods from './methods.js';
import { OP } from './values.js';

export class RemoteBackend implements DpifBackend {
  readonly #link: Link;
  readonly #handle: number;

  /** `handle` is what `dpif-remote/open` answered. */
  constructor(link: Link, handle: number) {
    this.#link = link;
    this.#handle = handle;
  }

  async close(): Promise<void> {
    try {
      await this.#call(methods.close, undefined);
    } catch (error) {
      // The server closes what a connection had open when it ends.
      if (!(error instanceof DpifError && error.code === 'ENOTCONN')) throw error;
    }
  }

  destroy(): Promise<void> {
    return this.#call(methods.destroy, undefined);
  }

  getDpStats(): Promise<DpStats> {
    return this.#call(methods.getDpStats, undefined);
  }

  getNetflowIds(): Promise<{ readonly engineType: number; readonly engineId: number }> {
    return this.#call(methods.getNetflowIds, undefined);
  }

  queueToPriority(queue: number): Promise<number> {
    return this.#call(methods.queueToPriority, queue);
  }

  now(): Promise<number> {
    return this.#call(methods.now, undefined);
  }

  portAdd(port: Required<PortSpec>, portNo: number | undefined): Promise<number> {
    return this.#call(methods.portAdd, [port, portNo]);
  }

  portDel(portNo: number): Promise<void> {
    return this.#call(methods.portDel, portNo);
  }

  portQueryByNumber(portNo: number): Promise<DpifPort> {
    return this.#call(methods.portQueryByNumber, portNo);
  }

  portQueryByName(name: string): Promise<DpifPort> {
    return this.#call(methods.portQueryByName, name);
  }

  portGetPid(portNo: number, hash: number): Promise<number> {
    return this.#call(methods.portGetPid, [portNo, hash]);
  }

  portDump(): AsyncIterable<DpifPort> {
    return dumpPorts(this.#link, this.#handle);
  }

  portGetDrops(portNo: number): Promise<Readonly<Record<string, number>>> {
    return this.#call(methods.portGetDrops, portNo);
  }

  portPoll(): Promise<PortChange | undefined> {
    return this.#call(methods.portPoll, undefined);
  }

  async portPollWait(signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return;
    await this.#link.wait(methods.portPollWait, this.#handle, signal);
  }

  flowFlush(): Promise<void> {
    return this.#call(methods.flowFlush, undefined);
  }

  flowDump(): FlowDump {
    return new RemoteFlowDump(this.#link, this.#handle);
  }

  /** As many requests as the operations need: each holds so many, and the server performs as many as its answer can hold. */
  async operate(ops: readonly DpifOp[]): Promise<OpResult[]> {
    const results: OpResult[] = [];
    const packed = ops.map((op) => JSON.stringify(OP.pack(op)));
    while (results.length < ops.length) {
      const from = results.length;
      const size = packed[from]!.length;
      if (size > methods.MAX_OPERATION_BYTES) {
        const limit = `at most ${methods.MAX_OPERATION_BYTES} can cross the control socket`;
        results.push({
          error: new DpifError('E2BIG', `operation ${from} takes ${size} bytes as JSON; ${limit}`),
        });
        continue;
      }
      let to = from + 1;
      for (let bytes = size; to < ops.length && to - from < methods.SLICE_ITEMS; to++) {
        bytes += packed[to]!.length;
        if (bytes > methods.SLICE_BYTES) break;
      }
      const request = `[${this.#handle},[${packed.slice(from, to).join(',')}]]`;
      const answer = await this.#perform(request);
      if (answer === undefined) {
        const message = 'the datapath handle was closed before this operation';
        return [...results, ...ops.slice(from).map(() => ({ error: new DpifError('EBADF', message) }))];
      }
      if (answer.length === 0 || answer.length > to - from) {
        throw new DpifError('EPROTO', `switchd answered ${answer.length} of ${to - from} operations`);
      }
      results.push(...answer);
    }
    return results;
  }

  /** Outcomes of the first operations of a request; undefined when the handle was closed meanwhile. */
  async #perform(request: string): Promise<readonly OpResult[] | undefined> {
    try {
      return await this.#link.callPacked(methods.operate, request);
    } catch (error) {
      if (error instanceof DpifError && error.code === 'EBADF') return undefined;
      throw error;
    }
  }

  /** switchd's own handle is behind `operate`. */
  readonly helps = true;

  trace(request: TraceRequest): Promise<Trace> {
    return this.#call(methods.trace, request);
  }

  async capture(options: CaptureOptions): Promise<PacketCapture> {
    const capture = await this.#call(methods.captureStart, options);
    return new RemoteCapture(this.#link, this.#handle, capture);
  }

  recvSet(enable: boolean): Promise<void> {
    return this.#call(methods.recvSet, enable);
  }

  handlersSet(count: number): Promise<void> {
    return this.#call(methods.handlersSet, count);
  }

  recv(handler: number): Promise<Upcall | undefined> {
    return this.#call(methods.recv, handler);
  }

  async recvBatch(handler: number, max: number, signal?: AbortSignal): Promise<Upcall[]> {
    if (!(max >= 1)) throw new DpifError('EINVAL', `a batch of at most ${max} upcalls: give 1 or more`);
    if (signal?.aborted) return [];
    const wanted = Math.min(Math.floor(max), methods.SLICE_ITEMS);
    return [...(await this.#link.wait(methods.recvBatch, [this.#handle, [handler, wanted]], signal))];
  }

  recvPurge(): Promise<void> {
    return this.#call(methods.recvPurge, undefined);
  }

  #call<A, R>(method: methods.RemoteMethod<readonly [number, A], R>, args: A): Promise<R> {
    return this.#link.call(method, [this.#handle, args]);
  }
}
