/**
 * @etherloom/core: the heart of a user-space Ethernet switch.
 *
 * Packet arena and batches, flow keys and extraction, the classifier, action execution, and the two contracts: dpif
 * (what a datapath is) and netdev (what an I/O driver is), each with its registry.
 */

export * from './abort.js';
export * from './data.js';
export * from './dpif/capture.js';
export * from './dpif/dpif.js';
export { DpifHandle, MIN_PACKET } from './dpif/generic.js';
export * from './dpif/provider.js';
export * from './dpif/registry.js';
export * from './dpif/stats.js';
export * from './dpif/trace.js';
export * from './netdev/registry.js';
export { type ComposeOptions, composePacket } from './packet/compose.js';
export { offloadNames } from './packet/offload-names.js';
export * from './packet/pcap.js';
