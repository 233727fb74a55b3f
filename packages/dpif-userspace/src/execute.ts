/** Packets that clients send through the datapath (dpif_execute). Control path: one packet at a time, copied in. */

import { DpifError, type ExecuteOp, extractFrame, LAYER_WORDS, PacketBatch } from '@etherloom/core';
import {
  KEY_WORDS,
  KeyForms,
  keyToFlow,
  metadataFromKey,
  W_IN_PORT,
  W_PACKET_TYPE,
} from '@etherloom/odp-codec';
import type { ActionTable } from './action-table.js';
import type { InlinePlane } from './inline.js';

const NO_METADATA = new Uint8Array();
/** Forms of metadata that are remembered. */
const FORMS = 32;

/** What a client says of a packet, read and checked. */
export class ClientMetadata {
  /** Metadata and packet type, until the next read: not to be written. Words of headers may hold anything. */
  row: Int32Array;
  readonly #key = new Int32Array(KEY_WORDS);
  readonly #learned = new Int32Array(KEY_WORDS);
  readonly #layers = new Int32Array(LAYER_WORDS);
  readonly #forms = new KeyForms(FORMS, () => undefined);

  constructor() {
    this.row = this.#key;
  }

  get inPort(): number {
    return this.row[W_IN_PORT]! >>> 0;
  }

  get packetType(): number {
    return this.row[W_PACKET_TYPE]!;
  }

  /** The row as one that may be written. */
  get key(): Int32Array {
    if (this.row !== this.#key) {
      this.#key.set(this.row);
      this.row = this.#key;
    }
    return this.#key;
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
    // Keys of upcalls come back with their packets.
    const form = this.#forms.read(metadata);
    if (form !== undefined) {
      this.row = form.row;
      return;
    }
    this.row = this.#key;
    this.row[W_PACKET_TYPE] = 0;
    metadataFromKey(metadata, this.row);
    this.#learn(metadata);
  }

  #extract({ packet }: ExecuteOp): void {
    const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
    extractFrame(view, 0, packet.length, this.packetType, 0, this.key, 0, this.#layers, 0);
  }

  /** Learns the form of a key that says of its packet what {@link row} does. */
  #learn(metadata: Uint8Array): void {
    const row = this.#learned;
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
      const { packetType } = this.#metadata;
      const program = actions.programs[id]!;
      if (program.outputsOnly !== undefined && packetType === 0)
        pipeline.send(batch, this.#metadata.inPort, program.outputsOnly);
      else {
        // For flows that it may meet by recirculation.
        pipeline.now = runner.now();
        pipeline.execute(batch, this.#metadata.key, packetType, program);
      }
    } finally {
      actions.release(id);
    }
  }
}
