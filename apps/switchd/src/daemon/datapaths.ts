/** The datapaths of a daemon, each with a learning switch on it. */

import { datapathNames } from '@etherloom/cli';
import { type Dpif, DpifError, type DpifRegistry } from '@etherloom/core';
import type { DatapathConfig } from '../config/schema.js';
import { LearningSwitch } from '../learning/learning-switch.js';
import type { LearningOptions } from '../learning/planner.js';
import type { Logger } from './log.js';

interface Running {
  readonly dpif: Dpif;
  readonly learning: LearningSwitch;
}

export interface DatapathsInit {
  readonly dpifs: DpifRegistry;
  readonly log: Logger;
  readonly learning: LearningOptions;
}

export class Datapaths {
  readonly #dpifs: DpifRegistry;
  readonly #log: Logger;
  readonly #learning: LearningOptions;
  /** By full name, `type@name`. */
  readonly #running = new Map<string, Running>();
  #turn: Promise<unknown> = Promise.resolve();

  constructor({ dpifs, log, learning }: DatapathsInit) {
    this.#dpifs = dpifs;
    this.#log = log;
    this.#learning = learning;
  }

  /** Makes a datapath with its ports and starts its switch. A failure leaves nothing of it behind. */
  create(config: DatapathConfig): Promise<void> {
    return this.#exclusive(async () => {
      const dpif = await this.#dpifs.create(config.name, config.type);
      try {
        for (const { name, type, number, options } of config.ports) {
          await dpif.portAdd({ name, ...(type === undefined ? {} : { type }), config: options }, number);
        }
        await this.#start(dpif);
      } catch (error) {
        await this.#remove(dpif);
        throw error;
      }
    });
  }

  /** Starts switches on datapaths that somebody made over the control socket, and stops those of datapaths that are gone. */
  sync(): Promise<void> {
    return this.#exclusive(async () => {
      const names = new Set(await datapathNames(this.#dpifs));
      for (const [name, running] of this.#running) {
        if (!names.has(name)) await this.#stop(running);
      }
      for (const name of names) {
        if (this.#running.has(name)) continue;
        const at = name.indexOf('@');
        const dpif = await this.#dpifs.open(name.slice(at + 1), name.slice(0, at));
        try {
          await this.#start(dpif);
        } catch (error) {
          await dpif.close();
          throw error;
        }
      }
    });
  }

  /** Full names of the datapaths that have a switch, sorted. */
  names(): string[] {
    return [...this.#running.keys()].sort();
  }

  /** The switch on the datapath called `name`, with or without its type; on the only one when no name is given. */
  find(name: string | undefined): { readonly name: string; readonly learning: LearningSwitch } | undefined {
    const names = this.names();
    const found =
      name === undefined
        ? names.length === 1
          ? names[0]
          : undefined
        : names.find((full) => full === name || full.slice(full.indexOf('@') + 1) === name);
    const running = found === undefined ? undefined : this.#running.get(found);
    return found === undefined || running === undefined
      ? undefined
      : { name: found, learning: running.learning };
  }

  /** Stops all switches and deletes all datapaths, and with them the devices that they made. */
  close(): Promise<void> {
    return this.#exclusive(async () => {
      for (const running of [...this.#running.values()]) {
        await running.learning.stop();
        this.#running.delete(running.dpif.name);
        await this.#remove(running.dpif);
      }
    });
  }

  async #start(dpif: Dpif): Promise<void> {
    const learning = new LearningSwitch({ dpif, log: this.#log, options: this.#learning });
    await learning.start();
    this.#running.set(dpif.name, { dpif, learning });
    this.#log.info({ datapath: dpif.name }, 'learning switch started');
  }

  async #stop({ dpif, learning }: Running): Promise<void> {
    this.#running.delete(dpif.name);
    await learning.stop();
    await dpif.close();
    this.#log.info({ datapath: dpif.name }, 'learning switch stopped');
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
