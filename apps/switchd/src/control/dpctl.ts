/** The `dpctl/*` control commands. */

import { DPCTL_COMMANDS, type DpctlContext, DpctlError, runDpctl } from '@etherloom/cli';
import { type ControlCommand, formatListing } from './command.js';

/** The name that Open vSwitch's clients and tests expect in front of error lines. */
const PROGRAM = 'ovs-vswitchd';

/** `changed` is called after each command that may have made or deleted a datapath, before the reply. */
export function dpctlCommands(context: DpctlContext, changed: () => Promise<void>): ControlCommand[] {
  const commands = DPCTL_COMMANDS.map((command): ControlCommand => {
    const changesDatapaths = command.name === 'add-dp' || command.name === 'del-dp';
    return {
      name: `dpctl/${command.name}`,
      usage: command.usage,
      // Options do not count: the command itself checks what is left without them.
      minArgs: 0,
      maxArgs: Number.POSITIVE_INFINITY,
      async run(args, { errors }, sink) {
        try {
          return await runDpctl(command, context, args, sink);
        } catch (error) {
          if (!(error instanceof DpctlError)) throw error;
          if (errors === 'sentence') throw new Error(error.message);
          if (error.tolerated) return { text: error.format(PROGRAM) };
          throw new Error(error.format(PROGRAM));
        } finally {
          if (changesDatapaths) await changed();
        }
      },
    };
  });
  const listing: ControlCommand = {
    name: 'dpctl/list-commands',
    usage: '',
    minArgs: 0,
    maxArgs: 0,
    async run() {
      // Open vSwitch's, and the two for action lists stand behind this one, as there. `list-commands` has all of them.
      const known = commands.filter(({ name }) => name !== 'dpctl/trace');
      const names = [...known.slice(0, -2), listing, ...known.slice(-2)];
      return { text: formatListing(names, 'dpctl/'.length) };
    },
  };
  return [...commands, listing];
}
