/** The command `switchd`: flags and file to a configuration, a daemon of it, signals to its end. */

import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { HELP, parseFlags } from './config/flags.js';
import { checkConfig, type RawConfig, readConfigFile } from './config/load.js';
import { Daemon } from './daemon/daemon.js';
import { diagnose } from './doctor/doctor.js';
import { UserError } from './user-error.js';

/** No file: only what the flags say. */
const NO_FILE: RawConfig = { data: {}, where: () => 'command line' };

/** Milliseconds that cleaning up may take before the process ends anyway. */
const STOP_TIMEOUT = 10_000;

/** Runs until a signal or the control command `exit`; resolves to the exit code. */
export async function main(argv: readonly string[]): Promise<number> {
  if (argv[0] === '--doctor') {
    const diagnosis = await diagnose(argv.slice(1));
    process.stdout.write(`${JSON.stringify(diagnosis, null, 2)}\n`);
    return diagnosis.ok ? 0 : 1;
  }
  try {
    const flags = parseFlags(argv);
    if (flags.help) {
      process.stdout.write(HELP);
      return 0;
    }
    if (flags.version) {
      process.stdout.write(`switchd (Etherloom) ${version()}\n`);
      return 0;
    }
    const { configFile } = flags;
    const raw = configFile === undefined ? NO_FILE : readConfigFile(configFile);
    const config = checkConfig(raw, flags.overrides);
    // Everything that the daemon makes in the file system is its user's alone.
    process.umask(0o077);
    const stopSignal = nextSignal();
    const daemon = await Daemon.start({
      config,
      directory: configFile === undefined ? process.cwd() : dirname(configFile),
      version: version(),
      logStderr: flags.logStderr || process.stderr.isTTY === true,
    });
    announce(daemon);
    await Promise.race([stopSignal, daemon.stopped]);
    setTimeout(() => {
      process.stderr.write('switchd: stopping takes too long; devices may be left behind\n');
      process.exit(1);
    }, STOP_TIMEOUT).unref();
    await daemon.stop();
    return 0;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    for (const line of error.message.split('\n')) process.stderr.write(`switchd: ${line}\n`);
    return 1;
  }
}

/** Resolves at the first SIGINT, SIGTERM or SIGHUP, also one that comes while the daemon is still starting. */
function nextSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve());
  });
}

function announce(daemon: Daemon): void {
  const names = daemon.datapaths();
  const what =
    names.length === 0 ? 'without a datapath ("etherloom add-dp" makes one)' : `with ${names.join(', ')}`;
  process.stdout.write(`switchd runs ${what}; control socket ${daemon.socket}\n`);
}

function version(): string {
  const manifest: unknown = createRequire(import.meta.url)('../package.json');
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest
    ? String(manifest.version)
    : '?';
}
