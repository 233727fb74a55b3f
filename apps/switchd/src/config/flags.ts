/** The command line of switchd. */

import { parseArgs } from 'node:util';
import { DEFAULT_RUN_DIR, parseInterface } from '@etherloom/cli';
import { UserError } from '../user-error.js';
import { type ConfigInput, LOG_LEVELS } from './schema.js';

export interface Flags {
  readonly help: boolean;
  readonly version: boolean;
  readonly configFile?: string;
  readonly logStderr: boolean;
  /** What the command line says of the configuration; it overrides the file. */
  readonly overrides: ConfigInput;
}

const OPTIONS = {
  datapath: { type: 'string', multiple: true },
  port: { type: 'string', multiple: true },
  config: { type: 'string' },
  dummy: { type: 'boolean' },
  'no-config': { type: 'boolean' },
  'run-dir': { type: 'string' },
  'pmd-threads': { type: 'string' },
  'log-level': { type: 'string' },
  'log-stderr': { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean' },
} as const;

/** Reads `argv` (without the program). Throws a `UserError`. */
export function parseFlags(argv: readonly string[]): Flags {
  const { values, tokens } = read(argv);
  const flags = {
    help: values.help === true,
    version: values.version === true,
    logStderr: values['log-stderr'] === true,
  };
  if (flags.help || flags.version) return { ...flags, overrides: {} };
  if (values.config !== undefined && values['no-config']) {
    throw new UserError('--config and --no-config contradict each other; give one of them');
  }
  if (values.config === undefined && !values['no-config'] && !values.dummy && values.datapath === undefined) {
    throw new UserError(
      'nothing to do: give --datapath NAME with ports, --config FILE, or --no-config to start without a datapath (switchd --help shows examples)',
    );
  }
  const datapaths = readDatapaths(tokens);
  return {
    ...flags,
    ...(values.config === undefined ? {} : { configFile: values.config }),
    overrides: {
      ...(datapaths.length === 0 ? {} : { datapaths }),
      ...(values.dummy === undefined ? {} : { dummy: values.dummy }),
      ...(values['run-dir'] === undefined ? {} : { runDir: values['run-dir'] }),
      ...(values['pmd-threads'] === undefined ? {} : { pmdThreads: readCount(values['pmd-threads']) }),
      ...(values['log-level'] === undefined ? {} : { logLevel: readLogLevel(values['log-level']) }),
    },
  };
}

function read(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options: OPTIONS, tokens: true, allowPositionals: false });
  } catch (error) {
    // Its first sentence says which option or argument is wrong.
    const message = error instanceof Error ? error.message.split('. ')[0] : String(error);
    throw new UserError(`${message}; switchd --help lists the options`);
  }
}

type DatapathInput = NonNullable<ConfigInput['datapaths']>[number];
type PortInput = NonNullable<DatapathInput['ports']>[number];

/** `--port` belongs to the `--datapath` before it. */
function readDatapaths(tokens: ReturnType<typeof read>['tokens']): DatapathInput[] {
  const datapaths: (DatapathInput & { ports: PortInput[] })[] = [];
  for (const token of tokens) {
    if (token.kind !== 'option' || token.value === undefined) continue;
    if (token.name === 'datapath') {
      const at = token.value.indexOf('@');
      const type = at < 0 ? {} : { type: token.value.slice(0, at) };
      datapaths.push({ name: token.value.slice(at + 1), ...type, ports: [] });
    } else if (token.name === 'port') {
      const datapath = datapaths.at(-1);
      if (datapath === undefined) {
        throw new UserError(`--port ${token.value} belongs to no datapath; give --datapath NAME before it`);
      }
      datapath.ports.push(readPort(token.value));
    }
  }
  return datapaths;
}

function readPort(text: string): PortInput {
  const { name, type, portNo, options, duplicates } = parseInterface(text);
  const [duplicate] = duplicates;
  if (duplicate !== undefined) {
    throw new UserError(`--port "${text}" gives the option "${duplicate}" twice; give it once`);
  }
  if (portNo !== undefined && !/^\d+$/.test(portNo)) {
    throw new UserError(`--port ${text}: "port_no=${portNo}" is not a port number; give a whole number`);
  }
  return {
    name,
    ...(type === undefined ? {} : { type }),
    ...(portNo === undefined ? {} : { number: Number(portNo) }),
    options: { ...options },
  };
}

/** The schema says which numbers are allowed. */
function readCount(text: string): number {
  if (/^\d{1,4}$/.test(text)) return Number(text);
  throw new UserError(`--pmd-threads ${text} is not a number of threads; give a whole number`);
}

function readLogLevel(text: string): (typeof LOG_LEVELS)[number] {
  const level = LOG_LEVELS.find((candidate) => candidate === text);
  if (level !== undefined) return level;
  throw new UserError(`--log-level ${text} is not a level; the levels are ${LOG_LEVELS.join(', ')}`);
}

export const HELP = `switchd: the Etherloom daemon, a learning Ethernet switch in user space.

Usage: switchd [OPTIONS]

Options:
  --datapath NAME       make a datapath, such as br0 (or TYPE@NAME; the type is netdev unless given)
  --port PORT           give the datapath before it a port: NAME,type=TYPE[,port_no=N][,OPTION=VALUE]...
  --config FILE         read the configuration from a YAML or JSON file; flags override it
  --no-config           start without a datapath; "etherloom add-dp" makes them later
  --run-dir DIR         directory of the pidfile, the control socket and the log (default $OVS_RUNDIR, else ${DEFAULT_RUN_DIR})
  --pmd-threads N       forward on N poll-mode threads per datapath instead of the main thread (default 0)
  --dummy               for tests: datapaths and devices in memory, on a clock that can be stopped (see the README)
  --log-level LEVEL     ${LOG_LEVELS.join(', ')} (default info)
  --log-stderr          write the log to standard error too (the default on a terminal)
  --doctor [IFACE]...   print as JSON what this machine lacks for ports; "etherloom doctor" makes a table of it
  --version             print the version
  -h, --help            print this help

Examples:
  Two hosts, each a network namespace, with a switch between them:
    ip netns add h1; ip netns add h2
    switchd --datapath br0 --port tap0,type=tap,netns=h1 --port tap1,type=tap,netns=h2

  The same from a file:
    switchd --config switch.yaml

  Then, in another terminal:
    etherloom show
    etherloom fdb

switchd runs in the foreground; Ctrl-C stops it and removes the devices that it made.
`;
