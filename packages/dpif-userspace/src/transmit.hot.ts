/**
 * From a port's transmit batch to its device: the one place where packets are resolved for devices that cannot do what
 * is left to do on them. Hot: no allocation, no throw.
 */

import { type FramePool, OFFLOAD_UNFINISHED, OffloadResolver, PacketBatch } from '@etherloom/core/data';
import type { Port } from './port.hot.js';

const UNFINISHED = OFFLOAD_UNFINISHED;

export class Transmitter {
  readonly #resolver: OffloadResolver;
  readonly #resolved = new PacketBatch();

  constructor(pool: FramePool) {
    this.#resolver = new OffloadResolver(pool);
  }

  /**
   * Sends what is in `batch`, by default the transmit batch, to the device of `port`, and empties it. What cannot be
   * resolved is a drop of that port.
   */
  send(port: Port, batch = port.txBatch): void {
    const lacks = UNFINISHED & ~port.txOffloads;
    if (lacks !== 0) {
      const { offload, count } = batch;
      let found = 0;
      for (let i = 0; i < count; i++) found |= offload[i]!;
      if ((found & lacks) !== 0) {
        this.#sendResolved(port, batch, lacks);
        return;
      }
    }
    port.txQueue.txBurst(batch);
  }

  #sendResolved(port: Port, batch: PacketBatch, lacks: number): void {
    const { txQueue } = port;
    const resolver = this.#resolver;
    const resolved = this.#resolved;
    for (let i = 0; i < batch.count; i++) {
      if ((batch.offload[i]! & lacks) === 0) {
        resolved.pushFrom(batch, i);
        if (resolved.count === resolved.capacity) txQueue.txBurst(resolved);
        continue;
      }
      // All ports are Ethernet.
      resolver.begin(batch, i, 0);
      for (let at = resolver.next(); at >= 0; at = resolver.next()) {
        resolved.push(at, resolver.length);
        if (resolved.count === resolved.capacity) txQueue.txBurst(resolved);
      }
      port.drops[resolver.reason]! += resolver.lost;
    }
    batch.count = 0;
    if (resolved.count > 0) txQueue.txBurst(resolved);
  }
}
