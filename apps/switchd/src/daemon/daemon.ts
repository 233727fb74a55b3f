/** A running daemon: the only composition root. It makes the registries, the datapaths and the control socket, and undoes all of it. */

import { DpifRegistry, isDpifError, type NetdevRegistry } from '@etherloom/core';
import { createUserspaceProvider } from '@etherloom/dpif-userspace';
import type { Config } from '../config/schema.js';
import { builtinCommands } from '../control/builtin.js';
import { dpctlCommands } from '../control/dpctl.js';
import { fdbCommands } from '../control/fdb.js';
import { ControlServer } from '../control/server.js';
import { UserError } from '../user-error.js';
import { Datapaths } from './datapaths.js';
import { loadDrivers } from './drivers.js';
import { type Logger, openLog } from './log.js';
import { RunDir } from './run-dir.js';

/**
 * Datapath types, and the device type behind each port type that is not itself one: an "internal" port of a user-space
 * datapath is a TAP, and a "system" port, which is any interface of the machine, is driven by AF_XDP.
 */
const DATAPATH_TYPES = [
  { type: 'netdev', portTypes: { internal: 'tap', system: 'afxdp' } },
  { type: 'dummy', portTypes: { internal: 'dummy' } },
] as const;

export interface DaemonInit {
  readonly config: Config;
  /** Directory that driver paths in the configuration are relative to. */
  readonly directory: string;
  readonly version: string;
  readonly logStderr: boolean;
}

export class Daemon {
  readonly socket: string;
  readonly #runDir: RunDir;
  readonly #log: Logger;
  readonly #control: ControlServer;
  readonly #datapaths: Datapaths;
  #undone: Promise<void> | undefined;
  #announceStop: () => void = () => {};
  /** Resolves when the daemon has stopped, whoever asked for it. */
  readonly stopped: Promise<void> = new Promise((resolve) => {
    this.#announceStop = resolve;
  });

  private constructor(
    runDir: RunDir,
    log: Logger,
    dpifs: DpifRegistry,
    netdevs: NetdevRegistry,
    init: DaemonInit,
  ) {
    this.socket = runDir.socket;
    this.#runDir = runDir;
    this.#log = log;
    this.#datapaths = new Datapaths({ dpifs, log, learning: init.config.learning });
    this.#control = new ControlServer(log);
    const exit = async (): Promise<void> => {
      await this.#undo();
      // The reply leaves first: stop() cuts the connections.
      setImmediate(() => void this.stop());
    };
    this.#control.register([
      ...builtinCommands({ version: init.version, commands: () => this.#control.commands(), exit }),
      ...dpctlCommands({ dpifs, netdevs }, () => this.#datapaths.sync()),
      ...fdbCommands(this.#datapaths),
    ]);
  }

  /** Starts everything that `init.config` asks for. Throws a `UserError`, and then nothing is left of what was made. */
  static async start(init: DaemonInit): Promise<Daemon> {
    const { config } = init;
    const netdevs = await loadDrivers(config.drivers, init.directory);
    const dpifs = new DpifRegistry();
    for (const { type, portTypes } of DATAPATH_TYPES) {
      dpifs.register(createUserspaceProvider({ type, netdevs, portTypes }));
    }
    const runDir = await RunDir.claim(config.runDir);
    try {
      const log = await orUserError(`the log ${runDir.log} cannot be written`, () =>
        openLog({ file: runDir.log, level: config.logLevel, stderr: init.logStderr }),
      );
      const daemon = new Daemon(runDir, log, dpifs, netdevs, init);
      await daemon.#begin(config);
      return daemon;
    } catch (error) {
      runDir.abandon();
      throw error;
    }
  }

  /** Full names of the datapaths. */
  datapaths(): string[] {
    return this.#datapaths.names();
  }

  /** Stops, removing everything that the daemon made. Idempotent. */
  async stop(): Promise<void> {
    await this.#undo();
    await this.#control.close();
    this.#announceStop();
  }

  async #begin(config: Config): Promise<void> {
    try {
      for (const datapath of config.datapaths) {
        try {
          await this.#datapaths.create(datapath);
        } catch (error) {
          if (!isDpifError(error)) throw error;
          throw new UserError(
            `datapath ${datapath.type}@${datapath.name} cannot be set up: ${error.message}`,
          );
        }
      }
      await orUserError(`the control socket ${this.socket} cannot be made`, () =>
        this.#control.listen(this.socket),
      );
      this.#log.info({ socket: this.socket, datapaths: this.datapaths() }, 'switchd is running');
    } catch (error) {
      await this.#datapaths.close();
      throw error;
    }
  }

  #undo(): Promise<void> {
    this.#undone ??= (async () => {
      this.#log.info('switchd is stopping');
      await this.#datapaths.close();
      this.#runDir.release();
    })();
    return this.#undone;
  }
}

/** Does what the system may refuse; says so in one sentence. */
async function orUserError<T>(what: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw new UserError(
      `${what} (${error instanceof Error ? error.message : error}); choose another --run-dir`,
    );
  }
}
