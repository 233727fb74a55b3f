/** Packets that clients send through the datapath (dpif_execute). Control path: one packet at a time, copied in. */

import { DpifError, type ExecuteOp, extractFrame, LAYER_WORDS, PacketBatch } from '@etherloom/core';
import { KEY_WORDS, KeyForms, keyToFlow, metadataFromKey, W_PACKET_TYPE } from '@etherloom/odp-codec';
import type { ActionTable } from './action-table.js';
import type { InlinePlane } from './inline.js';

const NO_METADATA = new Uint8Array();
/** Forms of metadata that are remembered. */
const FORMS = 32;

/** What a client says of a packet, read and checked. */
export class ClientMetadata {
  /** Metadata and packet type; words of headers may hold anything. */
  readonly key = new Int32Array(KEY_WORDS);
  readonly #row = new Int32Array(KEY_WORDS);
  readonly #layers = new Int32Array(LAYER_WORDS);
  readonly #forms = new KeyForms(FORMS, () => undefined);

  get packetType(): number {
    return this.key[W_PACKET_TYPE]!;
  }

  /** Throws EINVAL when the actions, program `id` of `actions`, do not fit the packet. */
  read(op: ExecuteOp, actions: ActionTable, id: number): void {
    this.#readMetadata(op);
    if (!actions.dependsOnFlow(id)) return;
    this.#extract(op);
    actions.checkFlow(id, this.key);
  }

  /** The same for a list that is no program of the table. */
  check(op: ExecuteOp, actions: ActionTable): void {
    this.#readMetadata(op);
    this.#extract(op);
    actions.checkPacket(op.actions, this.key);
  }

  #readMetadata({ metadata = NO_METADATA }: ExecuteOp): void {
    const { key } = this;
    // Keys of upcalls come back with their packets.
    const form = this.#forms.read(metadata);
    if (form !== undefined) {
      key.set(form.row);
      return;
    }
    key[W_PACKET_TYPE] = 0;
    metadataFromKey(metadata, key);
    this.#learn(metadata);
  }

  #extract({ packet }: ExecuteOp): void {
    const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
    extractFrame(view, 0, packet.length, this.packetType, 0, this.key, 0, this.#layers, 0);
  }

  /** Learns the form of a key that says of its packet what {@link key} does. */
  #learn(metadata: Uint8Array): void {
    const row = this.#row;
    if (keyToFlow(metadata, row).fitness !== 'perfect' || row[W_PACKET_TYPE] !== this.packetType) return;
    this.#forms.learn(metadata, row);
  }
}

export class ClientPackets {
  readonly #plane: InlinePlane;
  readonly #batch = new PacketBatch(1);
  readonly #metadata = new ClientMetadata();

  constructor(plane: InlinePlane) {
    this.#plane = plane;
  }

  /**
   * Runs the actions to their end. EINVAL for an action list that is malformed or that does not fit the packet, ENOBUFS
   * when no packet buffer is free; then nothing is executed.
   */
  execute(op: ExecuteOp): void {
    const { flows, pipeline, pool, runner } = this.#plane;
    const { actions } = flows;
    const id = actions.acquire(op.actions);
    try {
      this.#metadata.read(op, actions, id);
      const { length } = op.packet;
      const data = pool.allocFor(length);
      if (data < 0)
        throw new DpifError('ENOBUFS', `no packet buffer is free for a packet of ${length} bytes`);
      pool.arena.bytes.set(op.packet, data);
      const batch = this.#batch;
      batch.count = 0;
      batch.push(data, length);
      pipeline.now = runner.now();
      pipeline.execute(batch, this.#metadata.key, this.#metadata.packetType, actions.programs[id]!);
    } finally {
      actions.release(id);
    }
  }
}
