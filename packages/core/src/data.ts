/**
 * What the data path needs: what poll-mode threads and the data halves of drivers import, and nothing else of the package.
 * It spares a thread the modules that it has no use for, each of which costs about a millisecond of its start.
 */

export { type CompileOptions, compileActions } from './actions/compile.js';
export { ActionExecutor } from './actions/execute.hot.js';
export { changePlain, isPlain, type PlainProgram } from './actions/plain.hot.js';
export * from './actions/program.js';
export * from './classifier/index.js';
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
export * from './packet/arena.js';
export * from './packet/batch.hot.js';
export * from './packet/checksum.hot.js';
export { copyBytes } from './packet/copy.hot.js';
export * from './packet/frame-pool.hot.js';
export { PacketState } from './packet/modify.hot.js';
export * from './packet/resolve.hot.js';
export { finishChecksum, Segmenter } from './packet/segment.hot.js';
export * from './packet/virtio-net.hot.js';
export { watchWord } from './watch.js';
