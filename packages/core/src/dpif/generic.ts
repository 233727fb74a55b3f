/** The generic layer of dpif: what holds for every provider, once (the part of dpif.c that a client talks to). */

import { onAbort } from '../abort.js';
import { DpifError } from '../errors.js';
import { MAX_PACKET } from '../packet/arena.js';
import type { CaptureOptions, PacketCapture } from './capture.js';
import {
  type Dpif,
  type DpifOp,
  type DpifPort,
  type DpStats,
  type ExecuteOp,
  type Flow,
  type FlowDump,
  type FlowPutOp,
  type FlowStats,
  LOCAL_PORT,
  NO_STATS,
  type OpResult,
  PORT_NONE,
  type PortChange,
  type PortSpec,
  type Upcall,
} from './dpif.js';
import { executeWithHelp, needsHelp } from './help.js';
import type { DpifBackend, DpifProvider } from './provider.js';
import type { Trace, TraceRequest } from './trace.js';

/** Shortest packet that crosses the datapath interface: a complete Ethernet header (dpif.h "Packet Format"). */
export const MIN_PACKET = 14;

/** Linux's IFNAMSIZ less its terminator. */
const MAX_NAME = 15;

export class DpifHandle implements Dpif {
  readonly baseName: string;
  readonly type: string;
  readonly name: string;
  readonly #backend: DpifBackend;
  readonly #onClose: () => void;
  #closed = false;
  #deleted = false;

  /** Made by `DpifRegistry`, which counts open handles through `onClose`. */
  constructor(provider: DpifProvider, backend: DpifBackend, name: string, onClose: () => void) {
    this.type = provider.type;
    this.baseName = name;
    this.name = `${provider.type}@${name}`;
    this.#backend = backend;
    this.#onClose = onClose;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    try {
      await this.#backend.close();
    } finally {
      this.#onClose();
    }
  }

  async delete(): Promise<void> {
    if (this.#deleted) return;
    const backend = this.#open();
    this.#deleted = true;
    await backend.destroy();
  }

  async run(): Promise<void> {
    await this.#open().run?.();
  }

  async wait(signal: AbortSignal): Promise<void> {
    const backend = this.#open();
    if (signal.aborted) return;
    if (backend.wait !== undefined) return backend.wait(signal);
    await new Promise<void>((resolve) => onAbort(signal, resolve));
  }

  async getDpStats(): Promise<DpStats> {
    return this.#open().getDpStats();
  }

  async getNetflowIds(): Promise<{ readonly engineType: number; readonly engineId: number }> {
    return this.#open().getNetflowIds();
  }

  async queueToPriority(queue: number): Promise<number> {
    const backend = this.#open();
    if (backend.queueToPriority === undefined) {
      throw new DpifError('EOPNOTSUPP', `datapath ${this.name} maps no OpenFlow queues to priorities`);
    }
    return backend.queueToPriority(queue);
  }

  async now(): Promise<number> {
    return this.#open().now();
  }

  async portAdd(port: PortSpec, portNo?: number): Promise<number> {
    const backend = this.#open();
    checkName('port', port.name);
    const wanted = portNo === PORT_NONE ? undefined : portNo;
    if (wanted !== undefined) checkPortNumber(wanted);
    return backend.portAdd(
      { name: port.name, type: port.type || 'system', config: port.config ?? {} },
      wanted,
    );
  }

  async portDel(portNo: number): Promise<void> {
    const backend = this.#open();
    if (portNo === LOCAL_PORT) {
      throw new DpifError('EINVAL', `port 0 is the local port of ${this.name} and cannot be deleted`);
    }
    if (portNo === PORT_NONE)
      throw new DpifError('EINVAL', 'the number 4294967295 means "no port" and cannot be deleted');
    checkPortNumber(portNo);
    await backend.portDel(portNo);
  }

  async portExists(name: string): Promise<boolean> {
    try {
      await this.#open().portQueryByName(name);
      return true;
    } catch (error) {
      if (error instanceof DpifError && error.code === 'ENODEV') return false;
      throw error;
    }
  }

  async portQueryByNumber(portNo: number): Promise<DpifPort> {
    return this.#open().portQueryByNumber(portNo);
  }

  async portQueryByName(name: string): Promise<DpifPort> {
    return this.#open().portQueryByName(name);
  }

  async portGetName(portNo: number): Promise<string> {
    return (await this.#open().portQueryByNumber(portNo)).name;
  }

  async portGetPid(portNo: number, hash = 0): Promise<number> {
    const backend = this.#open();
    if (backend.portGetPid !== undefined) return backend.portGetPid(portNo, hash);
    if (portNo !== PORT_NONE) await backend.portQueryByNumber(portNo);
    return 0;
  }

  portDump(): AsyncIterable<DpifPort> {
    return this.#open().portDump();
  }

  async portGetDrops(portNo: number): Promise<Readonly<Record<string, number>>> {
    const backend = this.#open();
    if (backend.portGetDrops === undefined) {
      throw new DpifError('EOPNOTSUPP', `datapath ${this.name} does not count drops by reason`);
    }
    return backend.portGetDrops(portNo);
  }

  async portPoll(): Promise<PortChange | undefined> {
    return this.#open().portPoll();
  }

  async portPollWait(signal?: AbortSignal): Promise<void> {
    return this.#open().portPollWait(signal);
  }

  async flowFlush(): Promise<void> {
    await this.#open().flowFlush();
  }

  async flowPut(put: Omit<FlowPutOp, 'type'>): Promise<FlowStats> {
    return (await this.#one({ ...put, type: 'flowPut' })).stats ?? NO_STATS;
  }

  async flowDel(key: Uint8Array): Promise<FlowStats> {
    return (await this.#one({ type: 'flowDel', key })).stats ?? NO_STATS;
  }

  async flowGet(key: Uint8Array): Promise<Flow> {
    const { flow } = await this.#one({ type: 'flowGet', key });
    if (flow === undefined)
      throw new DpifError('EPROTO', `datapath ${this.name} answered a flow get without a flow`);
    return flow;
  }

  flowDump(): FlowDump {
    return this.#open().flowDump();
  }

  async execute(execute: Omit<ExecuteOp, 'type'>): Promise<void> {
    await this.#one({ ...execute, type: 'execute' });
  }

  async trace(request: TraceRequest): Promise<Trace> {
    const backend = this.#open();
    if (backend.trace === undefined)
      throw new DpifError('EOPNOTSUPP', `datapath ${this.name} traces no packets`);
    const size = request.packet.length;
    if (!isPacketSize(size)) throw wrongSize(size);
    return backend.trace(request);
  }

  async capture(options: CaptureOptions = {}): Promise<PacketCapture> {
    const backend = this.#open();
    if (backend.capture === undefined)
      throw new DpifError('EOPNOTSUPP', `datapath ${this.name} captures no packets`);
    return backend.capture(options);
  }

  async operate(ops: readonly DpifOp[]): Promise<OpResult[]> {
    const backend = this.#open();
    // Most batches hold only operations for the provider: the common case costs one scan and no copy.
    const helps = backend.helps === true;
    if (ops.every((op) => isForProvider(op, helps))) return backend.operate(ops);
    const results: OpResult[] = [];
    for (let at = 0; at < ops.length; at++) {
      const first = at;
      while (at < ops.length && isForProvider(ops[at]!, helps)) at++;
      if (at > first) results.push(...(await backend.operate(ops.slice(first, at))));
      if (at < ops.length) results.push(await performHere(backend, ops[at]!));
    }
    return results;
  }

  async recvSet(enable: boolean): Promise<void> {
    await this.#open().recvSet(enable);
  }

  async handlersSet(count: number): Promise<void> {
    const backend = this.#open();
    if (!Number.isInteger(count) || count < 1) {
      throw new DpifError(
        'EINVAL',
        `${count} is not a number of upcall handlers; give a whole number from 1`,
      );
    }
    await backend.handlersSet(count);
  }

  async recv(handler: number): Promise<Upcall | undefined> {
    return this.#open().recv(handler);
  }

  async recvBatch(handler: number, max: number, signal?: AbortSignal): Promise<Upcall[]> {
    return this.#open().recvBatch(handler, max, signal);
  }

  async recvPurge(): Promise<void> {
    await this.#open().recvPurge?.();
  }

  async #one(op: DpifOp): Promise<OpResult> {
    const [result] = await this.operate([op]);
    if (result?.error !== undefined) throw result.error;
    return result ?? {};
  }

  #open(): DpifBackend {
    if (this.#closed) throw new DpifError('EBADF', `this handle on datapath ${this.name} is closed`);
    if (this.#deleted) throw new DpifError('ENODEV', `datapath ${this.name} was deleted through this handle`);
    return this.#backend;
  }
}

function isForProvider(op: DpifOp, helps: boolean): boolean {
  if (!isComplete(op)) return false;
  if (op.type !== 'execute') return true;
  return isPacketSize(op.packet.length) && op.actions.length > 0 && (helps || !needsHelp(op));
}

/** Performs an operation that is not for the provider. */
function performHere(backend: DpifBackend, op: DpifOp): OpResult | Promise<OpResult> {
  if (!isComplete(op)) {
    const message = `an operation of type "${op.type}" lacks an array of bytes that it must have`;
    return { error: new DpifError('EINVAL', message) };
  }
  // Nothing else is left.
  if (op.type !== 'execute') return {};
  const size = op.packet.length;
  if (!isPacketSize(size)) return { error: wrongSize(size) };
  // No actions: nothing to do, and nobody to ask (dpif_execute).
  return op.actions.length === 0 ? {} : executeWithHelp(backend, op);
}

const isPacketSize = (size: number): boolean => size >= MIN_PACKET && size <= MAX_PACKET;

const wrongSize = (size: number): DpifError =>
  new DpifError('EINVAL', `packet of ${size} bytes: packets are ${MIN_PACKET} to ${MAX_PACKET} bytes long`);

const isBytes = (value: unknown): boolean => value instanceof Uint8Array;

/** Whether there are bytes wherever there must be: callers without types, or with JSON, may not know. */
function isComplete(op: DpifOp): boolean {
  switch (op.type) {
    case 'flowPut':
      return isBytes(op.key) && isBytes(op.actions) && (op.mask === undefined || isBytes(op.mask));
    case 'flowDel':
    case 'flowGet':
      return isBytes(op.key);
    case 'execute':
      return isBytes(op.packet) && isBytes(op.actions) && (op.metadata === undefined || isBytes(op.metadata));
    default:
      return false;
  }
}

/** Rejects what the kernel would refuse as interface name (dev_valid_name): all datapaths do, so that names stay portable. */
export function checkName(what: 'port' | 'datapath', name: string): void {
  if (name === '' || name === '.' || name === '..' || /[\s/:]/.test(name)) {
    throw new DpifError(
      'EINVAL',
      `"${name}" cannot be a ${what} name; it must not be empty or hold spaces, "/" or ":"`,
    );
  }
  if (new TextEncoder().encode(name).length > MAX_NAME) {
    throw new DpifError(
      'ENAMETOOLONG',
      `${what} name "${name}" is longer than ${MAX_NAME} bytes; choose a shorter one`,
    );
  }
}

function checkPortNumber(portNo: number): void {
  if (!Number.isInteger(portNo) || portNo < 0 || portNo > PORT_NONE) {
    throw new DpifError('EINVAL', `${portNo} is not a port number; give a whole number from 0 to 4294967294`);
  }
}
