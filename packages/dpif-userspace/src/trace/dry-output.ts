/** The ports of a datapath with nothing behind them. */

import {
  DROP_REASON_COUNT,
  type FramePool,
  type NetdevQueue,
  OFFLOAD_UNFINISHED,
  PacketBatch,
  type PacketState,
} from '@etherloom/core';
import { Output } from '../output.hot.js';

export class DryOutput extends Output {
  /** Drops of everything, by reason. */
  readonly drops = new Float64Array(DROP_REASON_COUNT);
  readonly #ports: { has(portNo: number): boolean };
  readonly #queue: NetdevQueue;

  constructor(pool: FramePool, ports: { has(portNo: number): boolean }) {
    super(pool);
    this.#ports = ports;
    this.#queue = {
      pollFd: -1,
      rxBurst: () => 0,
      txBurst(batch) {
        const { count } = batch;
        for (let i = 0; i < count; i++) pool.release(batch.data[i]!);
        batch.count = 0;
        return count;
      },
      close() {},
    };
  }

  override sendPacket(portNo: number, packet: PacketState, drops: Float64Array): void {
    if (this.port(portNo) === undefined && this.#ports.has(portNo)) {
      const [txBatch, txQueue] = [new PacketBatch(), this.#queue];
      this.add({ portNo, drops: this.drops, txBatch, txQueue, txOffloads: OFFLOAD_UNFINISHED });
    }
    super.sendPacket(portNo, packet, drops);
  }
}
