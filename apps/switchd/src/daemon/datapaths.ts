/** The datapaths of a daemon, each with a learning switch on it unless it is to have no client. */

import { datapathNames } from '@etherloom/cli';
import { type Dpif, DpifError, type DpifRegistry, type NetdevRegistry, parseName } from '@etherloom/core';
import type { DatapathConfig } from '../config/schema.js';
import { LearningSwitch } from '../learning/learning-switch.js';
import type { LearningOptions } from '../learning/planner.js';
import { DeviceLog } from './device-log.js';
import type { Logger } from './log.js';

interface Running {
  readonly dpif: Dpif;
  readonly devices: DeviceLog;
  /** Absent on a datapath without a client. */
  readonly learning: LearningSwitch | undefined;
}

type Client = DatapathConfig['client'];

export interface DatapathsInit {
  readonly dpifs: DpifRegistry;
  readonly netdevs: NetdevRegistry;
  readonly log: Logger;
  readonly learning: LearningOptions;
  /** Monotonic milliseconds. */
  readonly clock: () => number;
  /** Client of datapaths that are made over the control socket. */
  readonly defaultClient: Client;
}

export class Datapaths {
  readonly #dpifs: DpifRegistry;
  readonly #netdevs: NetdevRegistry;
  readonly #log: Logger;
  readonly #learning: LearningOptions;
  readonly #clock: () => number;
  readonly #defaultClient: Client;
  /** By full name, `type@name`. */
  readonly #running = new Map<string, Running>();
  /** Datapaths that somebody makes or has made over the control socket and has not closed yet, and how many do. */
  readonly #held = new Map<string, number>();
  #turn: Promise<unknown> = Promise.resolve();

  constructor({ dpifs, netdevs, log, learning, clock, defaultClient }: DatapathsInit) {
    this.#dpifs = dpifs;
    this.#netdevs = netdevs;
    this.#log = log;
    this.#learning = learning;
    this.#clock = clock;
    this.#defaultClient = defaultClient;
  }

  /** Makes a datapath with its ports and starts its client. A failure leaves nothing of it behind. */
  create(config: DatapathConfig): Promise<void> {
    return this.#exclusive(async () => {
      const dpif = await this.#dpifs.create(config.name, config.type);
      try {
        for (const { name, type, number, options } of config.ports) {
          await dpif.portAdd({ name, ...(type === undefined ? {} : { type }), config: options }, number);
        }
        await this.#start(dpif, config.client);
      } catch (error) {
        await this.#remove(dpif);
        throw error;
      }
    });
  }

  /** Starts clients on datapaths that somebody made over the control socket, and stops those of datapaths that are gone. */
  sync(): Promise<void> {
    return this.#exclusive(async () => {
      const names = new Set(await datapathNames(this.#dpifs));
      for (const [name, running] of this.#running) {
        if (!names.has(name)) await this.#stop(running);
      }
      for (const name of names) {
        if (this.#running.has(name) || this.#held.has(name)) continue;
        const { type, name: baseName } = parseName(name);
        const dpif = await this.#dpifs.open(baseName, type);
        try {
          await this.#start(dpif, this.#defaultClient);
        } catch (error) {
          await dpif.close();
          throw error;
        }
      }
    });
  }

  /**
   * Whoever makes a datapath over a remote handle may be its client: none is started on it before that handle is closed. Then
   * the datapath, if it is still there, gets the daemon's own, so that it works without its maker.
   */
  hold(name: string): void {
    this.#held.set(name, (this.#held.get(name) ?? 0) + 1);
  }

  async release(name: string): Promise<void> {
    const count = this.#held.get(name) ?? 0;
    if (count > 1) this.#held.set(name, count - 1);
    else this.#held.delete(name);
    await this.sync();
  }

  /** Full names of the datapaths, sorted. */
  names(): string[] {
    return [...this.#running.keys()].sort();
  }

  /** The switch on the datapath called `name`, with or without its type; on the only one when no name is given. */
  find(name: string | undefined): { readonly name: string; readonly learning: LearningSwitch } | undefined {
    const clients = this.clients();
    if (name === undefined) return clients.length === 1 ? clients[0] : undefined;
    return clients.find(({ name: full }) => full === name || full.slice(full.indexOf('@') + 1) === name);
  }

  /** The datapaths that have a switch, by name. */
  clients(): { readonly name: string; readonly learning: LearningSwitch }[] {
    return this.names().flatMap((name) => {
      const learning = this.#running.get(name)?.learning;
      return learning === undefined ? [] : [{ name, learning }];
    });
  }

  /** Stops all switches and deletes all datapaths, and with them the devices that they made. */
  close(): Promise<void> {
    return this.#exclusive(async () => {
      for (const running of [...this.#running.values()]) {
        await running.devices.stop();
        await running.learning?.stop();
        this.#running.delete(running.dpif.name);
        await this.#remove(running.dpif);
      }
      // Those that others made and still hold: they go when the connections are cut.
      for (const name of await datapathNames(this.#dpifs)) {
        const { type, name: baseName } = parseName(name);
        await this.#remove(await this.#dpifs.open(baseName, type));
      }
    });
  }

  async #start(dpif: Dpif, client: Client): Promise<void> {
    const devices = await this.#follow(dpif);
    try {
      const learning = client === 'none' ? undefined : await this.#startLearning(dpif);
      this.#running.set(dpif.name, { dpif, devices, learning });
    } catch (error) {
      await devices.stop();
      throw error;
    }
  }

  async #startLearning(dpif: Dpif): Promise<LearningSwitch> {
    const learning = new LearningSwitch({
      dpif,
      log: this.#log,
      options: this.#learning,
      clock: this.#clock,
    });
    await learning.start();
    this.#log.info({ datapath: dpif.name }, 'learning switch started');
    return learning;
  }

  async #follow({ name, type }: Dpif): Promise<DeviceLog> {
    const dpif = await this.#dpifs.open(parseName(name).name, type);
    return new DeviceLog({ dpif, dpifs: this.#dpifs, netdevs: this.#netdevs, log: this.#log });
  }

  async #stop({ dpif, devices, learning }: Running): Promise<void> {
    this.#running.delete(dpif.name);
    await devices.stop();
    await learning?.stop();
    await dpif.close();
    this.#log.info({ datapath: dpif.name }, 'datapath is gone');
  }

  async #remove(dpif: Dpif): Promise<void> {
    try {
      await dpif.delete();
    } catch (error) {
      // Deleted over the control socket a moment ago.
      if (!(error instanceof DpifError && error.code === 'ENODEV')) throw error;
    } finally {
      await dpif.close();
    }
  }

  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#turn.then(work);
    this.#turn = run.catch(() => undefined);
    return run;
  }
}
