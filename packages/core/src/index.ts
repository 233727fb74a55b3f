/**
 * @etherloom/core: the heart of a user-space Ethernet switch.
 *
 * Packet arena and batches, flow keys and extraction, the classifier, action execution, and the two contracts: dpif
 * (what a datapath is) and netdev (what an I/O driver is), each with its registry.
 */

export * from './abort.js';
export { type CompileOptions, compileActions } from './actions/compile.js';
export { ActionExecutor } from './actions/execute.hot.js';
export { changePlain, isPlain, type PlainProgram } from './actions/plain.hot.js';
export * from './actions/program.js';
export * from './classifier/index.js';
export * from './dpif/capture.js';
export * from './dpif/dpif.js';
export { DpifHandle, MIN_PACKET } from './dpif/generic.js';
export * from './dpif/provider.js';
export * from './dpif/registry.js';
export * from './dpif/stats.js';
export * from './dpif/trace.js';
export * from './drops.js';
export * from './errors.js';
export {
  extractFrame,
  LAYER_L2_5,
  LAYER_L2_PAD,
  LAYER_L3,
  LAYER_L4,
  LAYER_WORDS,
  tcpFlagsOf,
} from './flow/extract.hot.js';
export * from './netdev/netdev.js';
export * from './netdev/registry.js';
export * from './packet/arena.js';
export * from './packet/batch.hot.js';
export * from './packet/checksum.hot.js';
export { type ComposeOptions, composePacket } from './packet/compose.js';
export { copyBytes } from './packet/copy.hot.js';
export * from './packet/frame-pool.hot.js';
export { PacketState } from './packet/modify.hot.js';
export { offloadNames } from './packet/offload-names.js';
export * from './packet/pcap.js';
export * from './packet/resolve.hot.js';
export { finishChecksum, Segmenter } from './packet/segment.hot.js';
export * from './packet/virtio-net.hot.js';
export { watchWord } from './watch.js';
