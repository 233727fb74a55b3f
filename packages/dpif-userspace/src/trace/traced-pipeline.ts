/** The pipeline with a recorder at every place where a packet goes somewhere. Control path. */

import {
  ACTION_STEP,
  type ActionProgram,
  DROP_NO_HANDLER,
  EXTENSION_CONTINUE,
  type FramePool,
  type PacketBatch,
  type PacketState,
} from '@etherloom/core';
import { Pipeline, type UpcallSink } from '../pipeline.hot.js';
import type { Upcalls } from '../upcalls.js';
import type { DryFlows } from './dry-flows.js';
import type { DryOutput } from './dry-output.js';
import type { Recorder } from './recorder.js';

const ACCEPTED = -1;

/** Says where upcalls would go. Whether the queue is full is not asked: that is another matter a moment later. */
class DryUpcalls implements UpcallSink {
  readonly #upcalls: Pick<Upcalls, 'target'>;
  readonly #recorder: Recorder;

  constructor(upcalls: Pick<Upcalls, 'target'>, recorder: Recorder) {
    this.#upcalls = upcalls;
    this.#recorder = recorder;
  }

  miss(keys: Int32Array, base: number, batch: PacketBatch, i: number): number {
    const pid = this.#upcalls.target(keys, base);
    if (pid < 0) {
      this.#recorder.drop(DROP_NO_HANDLER);
      return DROP_NO_HANDLER;
    }
    const packet = this.#recorder.bytes(batch.data[i]!, batch.length[i]!);
    this.#recorder.event({ type: 'upcall', reason: 'miss', pid, packet });
    return ACCEPTED;
  }

  action(keys: Int32Array, base: number, state: PacketState, program: ActionProgram, index: number): number {
    const { pid, userdata } = program.userspace[index]!;
    const target = this.#upcalls.target(keys, base, pid);
    if (target < 0) return DROP_NO_HANDLER;
    const packet = this.#recorder.bytes(state.data, state.length - state.pendingCut);
    this.#recorder.event({
      type: 'upcall',
      reason: 'action',
      pid: target,
      packet,
      ...(userdata !== undefined && { userdata: userdata.slice() }),
    });
    return ACCEPTED;
  }
}

export class TracedPipeline extends Pipeline {
  readonly #recorder: Recorder;
  readonly #drops: Float64Array;
  readonly #sink: UpcallSink;

  constructor(
    pool: FramePool,
    flows: DryFlows,
    output: DryOutput,
    upcalls: Pick<Upcalls, 'target'>,
    recorder: Recorder,
    vlanLimit: number,
  ) {
    const sink = new DryUpcalls(upcalls, recorder);
    super(pool, flows, output, sink, output.drops, vlanLimit);
    this.#recorder = recorder;
    this.#drops = output.drops;
    this.#sink = sink;
  }

  /** The packet of `batch` as received, when no flow matches its key. */
  missed(key: Int32Array, batch: PacketBatch): void {
    this.#sink.miss(key, 0, batch, 0);
  }

  override output(packet: PacketState, port: number, last: boolean): void {
    const recorder = this.#recorder;
    const bytes = recorder.bytes(packet.data, packet.length - packet.pendingCut);
    const { key } = recorder.state(packet);
    const dropped = this.#dropsOf(() => super.output(packet, port, last));
    if (!dropped) recorder.event({ type: 'output', port, packet: bytes, key });
  }

  override userspace(packet: PacketState, program: ActionProgram, index: number, last: boolean): void {
    this.#dropsOf(() => super.userspace(packet, program, index, last));
  }

  override recirc(packet: PacketState, id: number, last: boolean): void {
    const { passes } = this.#recorder;
    const before = this.#drops.slice();
    super.recirc(packet, id, last);
    // Without a lookup there was one recirculation too many.
    if (this.#recorder.passes === passes) this.#recordDrops(before);
    else this.#recorder.endPass();
  }

  override extension(packet: PacketState, program: ActionProgram, index: number): number {
    const { type, attribute, depth = 0 } = program.extensions[index]!;
    if (type === ACTION_STEP) {
      this.#recorder.step(packet, attribute, depth);
      return EXTENSION_CONTINUE;
    }
    let verdict = EXTENSION_CONTINUE;
    this.#dropsOf(() => {
      verdict = super.extension(packet, program, index);
    });
    return verdict;
  }

  override drop(packet: PacketState, reason: number): void {
    super.drop(packet, reason);
    this.#recorder.drop(reason);
  }

  /** Does `work`, and records what it counted as dropped; returns whether anything was. */
  #dropsOf(work: () => void): boolean {
    const before = this.#drops.slice();
    work();
    return this.#recordDrops(before);
  }

  #recordDrops(before: Float64Array): boolean {
    const reason = this.#drops.findIndex((count, i) => count > before[i]!);
    if (reason >= 0) this.#recorder.drop(reason);
    return reason >= 0;
  }
}
