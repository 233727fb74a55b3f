/**
 * Follows one packet through the datapath without disturbing it: the real flow table is asked, and the real pipeline and
 * executor run, in packet memory of their own, with actions compiled so that the recorder is called between them and
 * with nothing behind the ports. Control path, also of a datapath on poll-mode threads: its own flow table says the same.
 */

import {
  extractFrame,
  FramePool,
  LAYER_WORDS,
  PacketArena,
  PacketBatch,
  type Trace,
  type TraceRequest,
} from '@etherloom/core';
import { KEY_WORDS, metadataFromKey, W_IN_PORT, W_PACKET_TYPE } from '@etherloom/odp-codec';
import type { Datapath } from '../datapath.js';
import { DryFlows } from './dry-flows.js';
import { DryOutput } from './dry-output.js';
import { Recorder, TraceFull } from './recorder.js';
import { TracedPipeline } from './traced-pipeline.js';

/** A copy at every level of nesting, in every recirculation, and then some. Memory that nothing wrote to costs nothing. */
const FRAMES = 320;
let memory: FramePool | undefined;

/** What a trace needs of a datapath. */
export type TracedDatapath = Pick<Datapath, 'flows' | 'ports' | 'upcalls' | 'vlanLimit'>;

/** EINVAL for metadata that cannot be read. */
export function tracePacket(datapath: TracedDatapath, { packet, metadata }: TraceRequest): Trace {
  const { flows, ports, upcalls, vlanLimit } = datapath;
  const key = new Int32Array(KEY_WORDS);
  metadataFromKey(metadata, key);
  const packetType = key[W_PACKET_TYPE]!;
  memory ??= new FramePool(PacketArena.create({ frames: FRAMES, largeFrames: FRAMES }));
  const pool = memory;
  const data = pool.allocFor(packet.length);
  pool.arena.bytes.set(packet, data);
  const { view } = pool.arena;
  extractFrame(view, data, packet.length, packetType, vlanLimit, key, 0, new Int32Array(LAYER_WORDS), 0);

  const recorder = new Recorder(pool.arena, vlanLimit);
  const dry = new DryFlows(flows, recorder);
  const output = new DryOutput(pool, ports);
  const pipeline = new TracedPipeline(pool, dry, output, upcalls, recorder, vlanLimit);
  const batch = new PacketBatch(1);
  batch.push(data, packet.length);
  try {
    const { byPort, others } = flows.classifier.ports;
    const own = byPort.get(key[W_IN_PORT]!) ?? others;
    const flow = dry.find(key, 0, own.order());
    if (flow < 0) {
      pipeline.missed(key, batch);
      pool.release(data);
    } else pipeline.execute(batch, key, packetType, dry.programs[flow]!);
    return { pass: recorder.finish(), truncated: false };
  } catch (error) {
    // Frames that were under way are lost with their memory.
    memory = undefined;
    if (error instanceof TraceFull) return { pass: recorder.finish(), truncated: true };
    throw error;
  }
}
