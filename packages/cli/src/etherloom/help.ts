/** The help texts, made from the command table. */

import { type CliCommand, type CliOption, COMMANDS } from './commands.js';
import { DEFAULT_RUN_DIR } from './target.js';

export const GLOBAL_OPTIONS: readonly (CliOption & { readonly value?: string })[] = [
  {
    name: 'run-dir',
    value: 'DIR',
    help: `directory of the daemon's pidfile and socket (default $OVS_RUNDIR, else ${DEFAULT_RUN_DIR})`,
  },
  { name: 'socket', value: 'PATH', help: "the daemon's control socket itself" },
  { name: 'json', help: 'print JSON, one stable object per command' },
  { name: 'help', short: 'h', help: 'print this help, or that of a command' },
  { name: 'version', help: 'print the version' },
];

function optionLines(options: readonly (CliOption & { readonly value?: string })[]): string[] {
  const left = options.map(
    ({ name, short, value }) =>
      `${short === undefined ? '    ' : `-${short}, `}--${name}${value === undefined ? '' : ` ${value}`}`,
  );
  const width = Math.max(...left.map((text) => text.length));
  return options.map(({ help }, i) => `  ${left[i]!.padEnd(width)}  ${help}`);
}

export function generalHelp(): string {
  const width = Math.max(...COMMANDS.map(({ name }) => name.length));
  return [
    'etherloom: looks into a running Etherloom switch (switchd) and changes it.',
    '',
    'Usage: etherloom COMMAND [OPTIONS] [ARGUMENTS]',
    '',
    'Commands:',
    ...COMMANDS.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`),
    '',
    'Options:',
    ...optionLines(GLOBAL_OPTIONS),
    '',
    'A DATAPATH is "br0" or, with its type, "netdev@br0"; it may be left out where only one exists.',
    'A FLOW is what "dump-flows" prints; ACTIONS are port numbers or names, "drop", "push_vlan(vid=5,pcp=0)" and so on.',
    '',
    'Examples:',
    '  switchd --datapath br0 --port tap0,type=tap --port tap1,type=tap    start a switch with two ports',
    '  etherloom show                                                      see its ports',
    '  etherloom fdb                                                       see which addresses it learned',
    '  etherloom help add-flow                                             more about one command',
    '',
  ].join('\n');
}

export function commandHelp(command: CliCommand): string {
  const lines = [
    `etherloom ${command.name}: ${command.summary}.`,
    '',
    `Usage: etherloom ${command.name} [OPTIONS] ${command.usage}`.trimEnd(),
    '',
    'Options:',
    ...optionLines([...command.options, ...GLOBAL_OPTIONS]),
    '',
    'Examples:',
    ...command.examples.map((example) => `  ${example}`),
    '',
  ];
  return lines.join('\n');
}
