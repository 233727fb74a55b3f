/** All commands of `etherloom`, in the order in which help lists them. */

import { CAPTURE } from './capture.js';
import type { CliCommand } from './command.js';
import { completionCommand } from './completion.js';
import { DAEMON_CLI } from './daemon-commands.js';
import { DOCTOR } from './doctor.js';
import { DPCTL_CLI } from './dpctl-commands.js';
import { MONITOR } from './monitor.js';

const FIRST = ['show', 'fdb', 'dump-flows', 'trace', 'capture', 'monitor'];

const all: readonly CliCommand[] = [
  ...DPCTL_CLI,
  ...DAEMON_CLI,
  CAPTURE,
  MONITOR,
  DOCTOR,
  completionCommand(() => COMMANDS),
];

export const COMMANDS: readonly CliCommand[] = [
  ...FIRST.flatMap((name) => all.filter((command) => command.name === name)),
  ...all.filter((command) => !FIRST.includes(command.name) && !command.unlisted),
  ...all.filter((command) => command.unlisted),
];
