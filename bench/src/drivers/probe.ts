/**
 * Devices that measure latency: "source" receives frames at a steady rate, each with the time at which it was due, and
 * "sink" notes for each frame how long ago that was. A thread that stalls shows in full: the frames that were due
 * meanwhile come late.
 */

import { type Netdev, type NetdevConfig, type NetdevProvider, QUEUE_COUNTERS } from '@etherloom/core';
import { bareDevice } from './bare.js';
import { BUCKETS, openQueue, type ProbeDescriptor, STATE_WORDS } from './probe-queue.js';

const MODULE = new URL('./probe-queue.js', import.meta.url).href;

export class ProbeProvider implements NetdevProvider {
  readonly type = 'probe';
  readonly openQueue = openQueue;
  /** Frames by latency in microseconds; the last bucket has all longer ones. */
  readonly histogram = new Int32Array(new SharedArrayBuffer(BUCKETS * 4));
  /** Frames a second that the source receives from now on; 0 stops it. */
  readonly rate = new Int32Array(new SharedArrayBuffer(STATE_WORDS * 4));

  async open(name: string, _config: NetdevConfig): Promise<Netdev> {
    const descriptor: ProbeDescriptor = {
      module: MODULE,
      netdev: name,
      index: 0,
      counters: new SharedArrayBuffer(QUEUE_COUNTERS * 8),
      rate: name === 'source' ? this.rate.buffer : new SharedArrayBuffer(STATE_WORDS * 4),
      histogram: this.histogram.buffer,
    };
    return bareDevice(name, this.type, descriptor);
  }
}
