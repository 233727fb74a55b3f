/** dpctl: Open vSwitch's datapath control commands over the dpif contract. */

import { CACHE_COMMANDS } from './caches.js';
import {
  type DpctlCommand,
  type DpctlContext,
  DpctlError,
  type DpctlResult,
  type DpctlSink,
  type DpctlWords,
} from './command.js';
import { DATAPATH_COMMANDS, DUMP_DPS_COMMANDS } from './datapaths.js';
import { DUMP_FLOWS_COMMANDS } from './dump-flows.js';
import { FLOW_FILE_COMMANDS } from './flow-files.js';
import { FLOW_COMMANDS } from './flows.js';
import { NORMALIZE_COMMANDS } from './normalize.js';
import { splitOptions } from './options.js';
import { PORT_COMMANDS } from './ports.js';
import { SHOW_COMMANDS } from './show.js';
import { TRACE_COMMANDS } from './trace.js';
import { CONNECTION_COMMANDS, OFFLOAD_COMMANDS, SETTING_COMMANDS } from './unsupported.js';

export {
  type DpctlCommand,
  type DpctlContext,
  DpctlError,
  type DpctlFailure,
  type DpctlResult,
  type DpctlSink,
  type DpctlWords,
} from './command.js';
export { quoteSyntaxError } from './flow-text.js';
export { type InterfaceSpec, parseInterface } from './iface.js';
export { datapathNames, openNamed } from './open.js';
export { splitOptions } from './options.js';
export { packetFromFlow, packetFromHex } from './packet-text.js';
export { type DatapathView, formatDatapath, type PortView } from './show.js';

/** All commands, in the order in which Open vSwitch lists them, with our own `trace` among them. */
export const DPCTL_COMMANDS: readonly DpctlCommand[] = [
  ...DATAPATH_COMMANDS,
  ...PORT_COMMANDS,
  ...DUMP_DPS_COMMANDS,
  ...SHOW_COMMANDS,
  ...DUMP_FLOWS_COMMANDS,
  ...FLOW_COMMANDS,
  ...FLOW_FILE_COMMANDS,
  ...OFFLOAD_COMMANDS,
  ...CONNECTION_COMMANDS,
  ...CACHE_COMMANDS,
  ...SETTING_COMMANDS,
  ...TRACE_COMMANDS,
  ...NORMALIZE_COMMANDS,
];

/** Open vSwitch's words for a wrong number of arguments; undefined when it is right. `name` is as the caller typed it. */
export function arityError(
  name: string,
  count: number,
  { minArgs, maxArgs }: { readonly minArgs: number; readonly maxArgs: number },
): string | undefined {
  if (count < minArgs) return `"${name}" command requires at least ${minArgs} arguments`;
  if (count > maxArgs) return `"${name}" command takes at most ${maxArgs} arguments`;
  return undefined;
}

/** Runs `command` with options and arguments as `ovs-appctl` sends them. Rejects with a `DpctlError`. */
export async function runDpctl(
  command: DpctlCommand,
  context: DpctlContext,
  argv: readonly string[],
  sink?: DpctlSink,
): Promise<DpctlResult> {
  return runWords(command, context, splitOptions(argv), sink);
}

/**
 * Runs `command`. Options do not count as arguments (in Open vSwitch they do, which makes
 * `mod-flow --may-create DP FLOW ACTIONS` impossible). Rejects with a `DpctlError`.
 */
export async function runWords(
  command: DpctlCommand,
  context: DpctlContext,
  { options, args }: DpctlWords,
  sink?: DpctlSink,
): Promise<DpctlResult> {
  const wrong = arityError(`dpctl/${command.name}`, args.length, command);
  if (wrong !== undefined) {
    const sentence = `${wrong.replace('dpctl/', '')}: ${command.name} ${command.usage}`;
    throw new DpctlError([{ shape: wrong, sentence, bare: true }]);
  }
  return command.run(context, args, options, sink);
}
