/** A running daemon: the only composition root. It makes the registries, the datapaths and the control socket, and undoes all of it. */

import { DpifRegistry, isDpifError, type NetdevRegistry } from '@etherloom/core';
import {
  createUserspaceProvider,
  type PmdEvent,
  type UserspaceDpifProvider,
} from '@etherloom/dpif-userspace';
import { DummyProvider } from '@etherloom/netdev-dummy';
import type { Config } from '../config/schema.js';
import { builtinCommands } from '../control/builtin.js';
import { Coverage, coverageCommands } from '../control/coverage.js';
import { dpctlCommands } from '../control/dpctl.js';
import { dpifDummyCommands } from '../control/dpif-dummy.js';
import { fdbCommands } from '../control/fdb.js';
import { featureCommands } from '../control/features.js';
import { netdevDummyCommands } from '../control/netdev-dummy.js';
import { pmdCommands, threadsOf } from '../control/pmd.js';
import { remoteCommands } from '../control/remote/commands.js';
import { ControlServer } from '../control/server.js';
import { statusCommands } from '../control/status.js';
import { timeCommands } from '../control/time.js';
import { vlogCommands } from '../control/vlog.js';
import { UserError } from '../user-error.js';
import { Clock } from './clock.js';
import { Datapaths } from './datapaths.js';
import { loadDrivers } from './drivers.js';
import { DUMMY_INTERNAL, dummyDatapaths } from './dummy.js';
import { Log, type Logger } from './log.js';
import { RunDir } from './run-dir.js';

/** Datapath types, and their providers. An "internal" port of a user-space datapath is a TAP. */
function registerDatapaths(
  dpifs: DpifRegistry,
  netdevs: NetdevRegistry,
  clock: Clock,
  { dummy, pmdThreads, pmdCpus, vlanLimit }: Config,
  log: Logger,
): readonly UserspaceDpifProvider[] {
  const provide = (type: string, internal: string): UserspaceDpifProvider => {
    const provider = createUserspaceProvider({
      type,
      netdevs,
      portTypes: { internal },
      clock: clock.now,
      vlanLimit,
      pmdThreads,
      pmdCpus,
      onPmdEvent: ({ message, ...event }: PmdEvent) => log.error(event, message),
    });
    dpifs.register(provider);
    return provider;
  };
  const userspace = provide('netdev', 'tap');
  if (!dummy) return [userspace, provide('dummy', 'dummy')];
  if (!netdevs.has('dummy')) netdevs.register(new DummyProvider());
  netdevs.register(new DummyProvider(DUMMY_INTERNAL));
  const inMemory = dummyDatapaths(netdevs, clock, vlanLimit);
  dpifs.register(inMemory);
  return [userspace, inMemory];
}

export interface DaemonInit {
  readonly config: Config;
  /** Directory that driver paths in the configuration are relative to. */
  readonly directory: string;
  readonly version: string;
  readonly logStderr: boolean;
}

interface Registries {
  readonly dpifs: DpifRegistry;
  readonly netdevs: NetdevRegistry;
  readonly clock: Clock;
  readonly providers: readonly UserspaceDpifProvider[];
}

export class Daemon {
  readonly socket: string;
  readonly #runDir: RunDir;
  readonly #log: Logger;
  readonly #control: ControlServer;
  readonly #datapaths: Datapaths;
  readonly #coverage: Coverage;
  #undone: Promise<void> | undefined;
  #announceStop: () => void = () => {};
  /** Resolves when the daemon has stopped, whoever asked for it. */
  readonly stopped: Promise<void> = new Promise((resolve) => {
    this.#announceStop = resolve;
  });

  private constructor(
    runDir: RunDir,
    log: Log,
    { dpifs, netdevs, clock, providers }: Registries,
    init: DaemonInit,
  ) {
    const { learning, dummy, vlanLimit } = init.config;
    this.socket = runDir.socket;
    this.#runDir = runDir;
    this.#log = log.logger;
    this.#datapaths = new Datapaths({
      dpifs,
      netdevs,
      log: this.#log,
      learning,
      clock: clock.now,
      // Open vSwitch has no client on a datapath that dpctl made, and tests count on it.
      defaultClient: dummy ? 'none' : 'learning',
    });
    this.#control = new ControlServer(this.#log);
    const context = { dpifs, netdevs, vlanLimit };
    this.#coverage = new Coverage({
      context,
      own: () => ({ unixctl_received: this.#control.received, unixctl_replied: this.#control.replied }),
    });
    const exit = async (): Promise<void> => {
      await this.#undo();
      // The reply leaves first: stop() cuts the connections.
      setImmediate(() => void this.stop());
    };
    this.#control.register([
      ...builtinCommands({ version: init.version, commands: () => this.#control.commands(), exit }),
      ...dpctlCommands(context, () => this.#datapaths.sync()),
      ...remoteCommands(context, this.#datapaths),
      ...fdbCommands(this.#datapaths),
      ...statusCommands(context, this.#datapaths),
      ...featureCommands(context),
      ...pmdCommands(context, threadsOf(providers)),
      ...coverageCommands(this.#coverage),
      ...vlogCommands(log),
      ...(dummy
        ? [...timeCommands(clock), ...netdevDummyCommands(context), ...dpifDummyCommands(context)]
        : []),
    ]);
  }

  /** Starts everything that `init.config` asks for. Throws a `UserError`, and then nothing is left of what was made. */
  static async start(init: DaemonInit): Promise<Daemon> {
    const { config } = init;
    const netdevs = await loadDrivers(config.drivers, init.directory);
    const dpifs = new DpifRegistry();
    const clock = new Clock();
    const runDir = RunDir.claim(config.runDir);
    try {
      const log = await orUserError(
        `the log ${runDir.log} cannot be written`,
        () => new Log({ file: runDir.log, level: config.logLevel, stderr: init.logStderr }),
      );
      const providers = registerDatapaths(dpifs, netdevs, clock, config, log.logger);
      const daemon = new Daemon(runDir, log, { dpifs, netdevs, clock, providers }, init);
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
      this.#coverage.close();
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
