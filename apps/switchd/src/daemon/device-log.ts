/** Says in the log how the device of each new port of a datapath is run: its mode, what was refused and why, what to do. */

import {
  type Dpif,
  type DpifPort,
  type DpifRegistry,
  isDpifError,
  type NetdevRegistry,
} from '@etherloom/core';
import type { Logger } from './log.js';

export interface DeviceLogInit {
  /** A handle of its own, closed by `stop`: port changes are told to each handle once. */
  readonly dpif: Dpif;
  readonly dpifs: DpifRegistry;
  readonly netdevs: NetdevRegistry;
  readonly log: Logger;
}

export class DeviceLog {
  readonly #init: DeviceLogInit;
  readonly #stop = new AbortController();
  /** Numbers of the ports that were written of, by name: one that was replaced has another. */
  #known = new Map<string, number>();
  readonly #watching: Promise<void>;

  /** Writes of the ports that there are, and from then on of each that comes. */
  constructor(init: DeviceLogInit) {
    this.#init = init;
    this.#watching = this.#watch();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#watching;
    await this.#init.dpif.close();
  }

  async #watch(): Promise<void> {
    const { dpif, log } = this.#init;
    const { signal } = this.#stop;
    try {
      while (!signal.aborted) {
        await this.#look();
        await dpif.portPollWait(signal);
        // Which ports changed does not matter, but a poll that is not emptied would report at once again.
        while ((await dpif.portPoll()) !== undefined);
      }
    } catch (error) {
      // The datapath is gone; whoever removed it stops us soon.
      if (!isDpifError(error)) throw error;
      if (error.code !== 'ENODEV')
        log.warn({ datapath: dpif.name }, `watching ports failed: ${error.message}`);
    }
  }

  async #look(): Promise<void> {
    const now = new Map<string, number>();
    for await (const port of this.#init.dpif.portDump()) {
      now.set(port.name, port.portNo);
      if (this.#known.get(port.name) !== port.portNo) await this.#write(port);
    }
    this.#known = now;
  }

  async #write({ name, type }: DpifPort): Promise<void> {
    const { dpif, dpifs, netdevs, log } = this.#init;
    // Without a reference: that would keep the device open when its port goes meanwhile.
    const netdev = await netdevs.find(name);
    if (netdev === undefined || netdev.type !== dpifs.portOpenType(dpif.type, type)) return;
    try {
      const { warning, ...status } = { ...(await netdev.getStatus?.()) };
      const port = { datapath: dpif.name, port: name, type, ...status };
      log.info(port, 'port added');
      if (warning !== undefined) log.warn({ datapath: dpif.name, port: name }, warning);
    } catch (error) {
      // Closed or deleted between the two.
      if (!isDpifError(error)) throw error;
    }
  }
}
