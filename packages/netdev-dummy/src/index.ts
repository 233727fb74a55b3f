/**
 * @etherloom/netdev-dummy: network devices in memory.
 *
 * Frames are injected and captured by the program itself, replayed from capture files, or go through a pipe to another
 * dummy device. Decorators put tracing and faults around the devices of any driver.
 */

import type { NetdevProvider } from '@etherloom/core';
import { DummyProvider } from './provider.js';

export { DummyNetdev, type TransmitListener } from './device.js';
export { type FaultOptions, faults } from './faults.js';
export { PcapWriter } from './pcap-writer.js';
export { DummyProvider } from './provider.js';
export { type TraceEvent, trace } from './trace.js';

/** What switchd's `drivers:` list loads: the type "dummy". */
export function createNetdevProviders(): NetdevProvider[] {
  return [new DummyProvider()];
}
