/** Packets that clients send through the datapath (dpif_execute). Control path: one packet at a time, copied in. */

import { DpifError, type ExecuteOp, extractFrame, LAYER_WORDS, PacketBatch } from '@etherloom/core';
import { KEY_WORDS, metadataFromKey, W_PACKET_TYPE } from '@etherloom/odp-codec';
import type { Datapath } from './datapath.js';

const NO_METADATA = new Uint8Array();

export class ClientPackets {
  readonly #datapath: Datapath;
  readonly #batch = new PacketBatch(1);
  readonly #key = new Int32Array(KEY_WORDS);
  readonly #layers = new Int32Array(LAYER_WORDS);

  constructor(datapath: Datapath) {
    this.#datapath = datapath;
  }

  /**
   * Runs the actions to their end. EINVAL for an action list that is malformed or that does not fit the packet, ENOBUFS
   * when no packet buffer is free; then nothing is executed.
   */
  execute(op: ExecuteOp): void {
    const { flows, pipeline, pool, runner } = this.#datapath;
    const { actions } = flows;
    const id = actions.acquire(op.actions);
    try {
      const { length } = op.packet;
      const data = pool.allocFor(length);
      if (data < 0)
        throw new DpifError('ENOBUFS', `no packet buffer is free for a packet of ${length} bytes`);
      pool.arena.bytes.set(op.packet, data);
      const batch = this.#batch;
      batch.count = 0;
      batch.push(data, length);
      const key = this.#key;
      key[W_PACKET_TYPE] = 0;
      metadataFromKey(op.metadata ?? NO_METADATA, key);
      if (actions.dependsOnFlow(id)) this.#check(id, data, length);
      pipeline.now = runner.now();
      pipeline.execute(batch, key, key[W_PACKET_TYPE]!, actions.programs[id]!);
    } finally {
      actions.release(id);
    }
  }

  /** Releases the frame and throws when the actions do not fit the packet, whose metadata are in the key. */
  #check(id: number, data: number, length: number): void {
    const { flows, pool } = this.#datapath;
    const key = this.#key;
    try {
      extractFrame(pool.arena.view, data, length, key[W_PACKET_TYPE]!, 0, key, 0, this.#layers, 0);
      flows.actions.checkFlow(id, key);
    } catch (error) {
      pool.release(data);
      throw error;
    }
  }
}
