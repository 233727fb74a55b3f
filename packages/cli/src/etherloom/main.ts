/** The command `etherloom`: arguments in, one control command to the daemon, its answer out. */

import { createRequire } from 'node:module';
import { parseArgs } from 'node:util';
import { arityError } from '../dpctl/index.js';
import { type UnixctlClient, UnixctlConnectionError, UnixctlServerError } from '../unixctl/client.js';
import type { JsonValue } from '../unixctl/protocol.js';
import { readNames } from './answers.js';
import { type CliCommand, COMMANDS } from './commands.js';
import { CliError, EXIT_SERVER, EXIT_USAGE } from './errors.js';
import { commandHelp, GLOBAL_OPTIONS, generalHelp } from './help.js';
import type { Screen } from './render.js';
import { connectDaemon, defaultRunDir } from './target.js';

/** The datapath type that `add-dp` means when none is given: the one that runs in user space. */
const NEW_DATAPATH_TYPE = 'netdev';

export interface Streams {
  out(text: string): void;
  error(text: string): void;
  readonly screen: Screen;
}

/** Runs the command line `argv` (without the program); resolves to the exit code. Never rejects for bad input. */
export async function main(argv: readonly string[], streams: Streams): Promise<number> {
  try {
    await run(argv, streams);
    return 0;
  } catch (error) {
    if (error instanceof UnixctlServerError) return fail(streams, error.message, EXIT_SERVER);
    if (error instanceof UnixctlConnectionError) return fail(streams, error.message, EXIT_SERVER);
    if (error instanceof CliError) return fail(streams, error.message, error.exitCode);
    throw error;
  }
}

function fail(streams: Streams, message: string, exitCode: number): number {
  for (const line of message.trimEnd().split('\n')) streams.error(`etherloom: ${line}\n`);
  return exitCode;
}

async function run(argv: readonly string[], streams: Streams): Promise<void> {
  const { options, args: words } = parse(argv);
  const [first, ...args] = words;
  if (options.has('version')) return streams.out(`etherloom ${version()}\n`);
  if (first === undefined || first === 'help') {
    const topic = args[0] === undefined ? undefined : findCommand(args[0]);
    streams.out(topic === undefined ? generalHelp() : commandHelp(topic));
    if (first === undefined && !options.has('help'))
      throw new CliError('give a command, such as "etherloom show"');
    return;
  }
  const command = findCommand(first);
  if (options.has('help')) return streams.out(commandHelp(command));
  check(command, options, args);
  const client = await connectDaemon({
    ...(options.get('socket') === undefined ? {} : { socket: options.get('socket')! }),
    runDir: options.get('run-dir') ?? defaultRunDir(),
  });
  try {
    streams.out(await ask(client, command, options, args, streams.screen));
  } finally {
    client.close();
  }
}

/** All options of all commands, so that one pass reads them wherever they stand. */
function parse(argv: readonly string[]): { options: ReadonlyMap<string, string>; args: string[] } {
  const known = [...GLOBAL_OPTIONS, ...COMMANDS.flatMap(({ options }) => options)];
  const config = Object.fromEntries(
    known.map((option) => [
      option.name,
      {
        type: 'value' in option && option.value !== undefined ? ('string' as const) : ('boolean' as const),
        ...(option.short === undefined ? {} : { short: option.short }),
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
  const names = COMMANDS.map((candidate) => candidate.name).join(', ');
  throw new CliError(`there is no command "${name}"; the commands are ${names}`);
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

async function ask(
  client: UnixctlClient,
  command: CliCommand,
  options: ReadonlyMap<string, string>,
  args: readonly string[],
  screen: Screen,
): Promise<string> {
  await client.transact('set-options', ['--format', 'json', '--errors', 'sentence']);
  const resolved = await resolveDatapaths(client, command, args);
  const flags = command.options.filter(({ name }) => options.has(name)).map(({ name }) => `--${name}`);
  const request = [...flags, ...resolved];
  const json = options.has('json');
  if (!json && command.render === undefined) await client.transact('set-options', ['--format', 'text']);
  const answer =
    command.datapaths === 'new'
      ? await createWhole(client, command.method, request)
      : await client.transact(command.method, request);
  if (json) return `${JSON.stringify(answer, null, 2)}\n`;
  return command.render?.(answer, screen, new Set(options.keys())) ?? String(answer);
}

/**
 * Makes a datapath with all its ports, or nothing: the daemon's own command, as Open vSwitch's, leaves the datapath
 * there without a port that failed.
 */
async function createWhole(
  client: UnixctlClient,
  method: string,
  request: readonly string[],
): Promise<JsonValue> {
  const [name = ''] = request;
  const before = readNames(await client.transact('dpctl/dump-dps'));
  try {
    return await client.transact(method, request);
  } catch (error) {
    const after = readNames(await client.transact('dpctl/dump-dps'));
    if (after.includes(name) && !before.includes(name)) await client.transact('dpctl/del-dp', [name]);
    throw error;
  }
}

/** Turns bare datapath names into full ones, so that people need not know types. */
async function resolveDatapaths(
  client: UnixctlClient,
  { datapaths, maxArgs }: CliCommand,
  args: readonly string[],
): Promise<readonly string[]> {
  const count = { none: 0, new: 1, first: 1, optional: args.length === maxArgs ? 1 : 0, all: args.length }[
    datapaths
  ];
  const bare = args.slice(0, count).filter((arg) => !arg.includes('@'));
  if (bare.length === 0) return args;
  if (datapaths === 'new') return [`${NEW_DATAPATH_TYPE}@${args[0]}`, ...args.slice(1)];
  const names = readNames(await client.transact('dpctl/dump-dps'));
  return args.map((arg, i) => (i < count && bare.includes(arg) ? fullName(arg, names) : arg));
}

function fullName(bare: string, names: readonly string[]): string {
  const [found, another] = names.filter((name) => name.slice(name.indexOf('@') + 1) === bare);
  if (found === undefined) {
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
