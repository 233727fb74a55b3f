/** The command `etherloom`: arguments in, one command on datapaths, its answer out. */

import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';
import { DpifError, DpifRegistry, NetdevRegistry } from '@etherloom/core';
import { arityError, type DpctlContext, DpctlError, datapathNames } from '../dpctl/index.js';
import { JsonShapeError } from '../json.js';
import { RemoteSwitch } from '../remote/index.js';
import { UnixctlConnectionError, UnixctlServerError } from '../unixctl/client.js';
import { type CliCommand, GLOBAL_OPTIONS } from './command.js';
import { COMMANDS } from './commands.js';
import { CliError, EXIT_SERVER, EXIT_USAGE } from './errors.js';
import { commandHelp, generalHelp } from './help.js';
import type { Session, Streams } from './session.js';
import { connectDaemon, defaultRunDir } from './target.js';

/** The datapath type that `add-dp` means when none is given: the one that runs in user space. */
const NEW_DATAPATH_TYPE = 'netdev';

/**
 * Runs the command line `argv` (without the program) on the datapaths of `local`, or, without it, on those of the
 * running switchd that the options name. Resolves to the exit code; never rejects for bad input.
 */
export async function main(argv: readonly string[], streams: Streams, local?: DpctlContext): Promise<number> {
  try {
    await run(argv, streams, local);
    return 0;
  } catch (error) {
    if (error instanceof CliError) return fail(streams, error.message, error.exitCode);
    if (error instanceof JsonShapeError) {
      const message = `switchd answered with ${error.message}; it may be of another version than this command`;
      return fail(streams, message, EXIT_SERVER);
    }
    const known = [DpctlError, DpifError, UnixctlServerError, UnixctlConnectionError];
    if (error instanceof Error && known.some((type) => error instanceof type)) {
      return fail(streams, error.message, EXIT_SERVER);
    }
    throw error;
  }
}

function fail(streams: Streams, message: string, exitCode: number): number {
  for (const line of message.trimEnd().split('\n')) streams.error(`etherloom: ${line}\n`);
  return exitCode;
}

async function run(argv: readonly string[], streams: Streams, local?: DpctlContext): Promise<void> {
  const { options, args: words } = parse(argv);
  const [first, ...args] = words;
  if (options.has('version')) return streams.out(`etherloom ${version()}\n`);
  if (first === undefined || first === 'help') {
    const topic = args[0] === undefined ? undefined : findCommand(args[0]);
    await streams.out(topic === undefined ? generalHelp() : commandHelp(topic));
    if (first === undefined && !options.has('help'))
      throw new CliError('give a command, such as "etherloom show"');
    return;
  }
  const command = findCommand(first);
  if (options.has('help')) return streams.out(commandHelp(command));
  check(command, options, args);
  const session = await open(command, options, local);
  try {
    const own = new Map(
      [...options].filter(([name]) => command.options.some((option) => option.name === name)),
    );
    await command.run({
      session,
      args: await resolveDatapaths(session.context, command, args),
      options: own,
      json: options.has('json'),
      streams,
    });
  } finally {
    session.close();
  }
}

async function open(
  command: CliCommand,
  options: ReadonlyMap<string, string>,
  local: DpctlContext | undefined,
): Promise<Session> {
  if (local !== undefined) return { context: local, close: () => {} };
  if (command.local) {
    return { context: { dpifs: new DpifRegistry(), netdevs: new NetdevRegistry() }, close: () => {} };
  }
  const socket = options.get('socket');
  const client = await connectDaemon({
    ...(socket === undefined ? {} : { socket }),
    runDir: options.get('run-dir') ?? defaultRunDir(),
  });
  try {
    const remote = await RemoteSwitch.over(client);
    await client.transact('set-options', ['--errors', 'sentence']);
    return {
      context: remote.registries(),
      control: (method, params) => client.transact(method, params),
      close: () => remote.close(),
    };
  } catch (error) {
    client.close();
    throw error;
  }
}

/** All options of all commands, so that one pass reads them wherever they stand. */
function parse(argv: readonly string[]): { options: ReadonlyMap<string, string>; args: string[] } {
  const known = [...GLOBAL_OPTIONS, ...COMMANDS.flatMap(({ options }) => options)];
  const config = Object.fromEntries(
    known.map(({ name, value, short }) => [
      name,
      {
        type: value === undefined ? ('boolean' as const) : ('string' as const),
        ...(short === undefined ? {} : { short }),
      },
    ]),
  );
  try {
    const { values, positionals } = parseArgs({ args: [...argv], options: config, allowPositionals: true });
    const options = new Map(Object.entries(values).map(([name, value]) => [name, String(value)]));
    return { options, args: positionals };
  } catch (error) {
    // parseArgs says which option it does not know, or which lacks its value, in its first sentence.
    const message = error instanceof Error ? error.message.split('. ')[0] : String(error);
    throw new CliError(`${message}; "etherloom --help" lists the options`);
  }
}

function findCommand(name: string): CliCommand {
  const command = COMMANDS.find((candidate) => candidate.name === name);
  if (command !== undefined) return command;
  const names = COMMANDS.filter(({ unlisted }) => !unlisted).map((candidate) => candidate.name);
  throw new CliError(`there is no command "${name}"; the commands are ${names.join(', ')}`);
}

function check(command: CliCommand, options: ReadonlyMap<string, string>, args: readonly string[]): void {
  const known = new Set([...GLOBAL_OPTIONS, ...command.options].map(({ name }) => name));
  for (const name of options.keys()) {
    if (!known.has(name)) {
      throw new CliError(
        `"${command.name}" has no option --${name}; "etherloom help ${command.name}" lists its options`,
      );
    }
  }
  const wrong = arityError(command.name, args.length, command);
  if (wrong !== undefined)
    throw new CliError(`${wrong}: etherloom ${command.name} ${command.usage}`.trimEnd());
}

/** Turns bare datapath names into full ones, so that people need not know types. */
async function resolveDatapaths(
  { dpifs }: DpctlContext,
  { datapaths, maxArgs }: CliCommand,
  args: readonly string[],
): Promise<readonly string[]> {
  const count = {
    none: 0,
    new: 1,
    first: 1,
    known: Math.min(args.length, 1),
    full: args.length === maxArgs ? 1 : 0,
    all: args.length,
  }[datapaths];
  const bare = args.slice(0, count).filter((arg) => !arg.includes('@'));
  if (bare.length === 0) return args;
  if (datapaths === 'new') return [`${NEW_DATAPATH_TYPE}@${args[0]}`, ...args.slice(1)];
  const names = await datapathNames(dpifs);
  return args.map((arg, i) => {
    if (i >= count || !bare.includes(arg)) return arg;
    return fullName(arg, names, datapaths === 'known');
  });
}

function fullName(bare: string, names: readonly string[], maybe: boolean): string {
  const [found, another] = names.filter((name) => name.slice(name.indexOf('@') + 1) === bare);
  if (found === undefined) {
    if (maybe) return bare;
    const there = names.length === 0 ? 'none exists' : `there are ${names.join(', ')}`;
    throw new CliError(`no datapath is called "${bare}"; ${there}`, EXIT_SERVER);
  }
  if (another !== undefined) {
    throw new CliError(`"${bare}" could be ${found} or ${another}; give the full name`, EXIT_USAGE);
  }
  return found;
}

function version(): string {
  const manifest: unknown = createRequire(import.meta.url)('../../package.json');
  return typeof manifest === 'object' && manifest !== null && 'version' in manifest
    ? String(manifest.version)
    : '?';
}
