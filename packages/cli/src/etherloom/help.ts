/** The help texts, made from the command table. */

import { type CliCommand, type CliOption, GLOBAL_OPTIONS } from './command.js';
import { COMMANDS } from './commands.js';

function optionLines(options: readonly CliOption[]): string[] {
  const left = options.map(
    ({ name, short, value }) =>
      `${short === undefined ? '    ' : `-${short}, `}--${name}${value === undefined ? '' : ` ${value}`}`,
  );
  const width = Math.max(...left.map((text) => text.length));
  return options.map(({ help }, i) => `  ${left[i]!.padEnd(width)}  ${help}`);
}

/** Words in lines of at most 100 characters. */
function wrapped(words: readonly string[]): string[] {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last === undefined || last.length + word.length > 98) lines.push(`  ${word}`);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}

export function generalHelp(): string {
  const listed = COMMANDS.filter(({ unlisted }) => !unlisted);
  const unlisted = COMMANDS.filter((command) => command.unlisted).map(({ name }) => name);
  const width = Math.max(...listed.map(({ name }) => name.length));
  return [
    'etherloom: looks into a running Etherloom switch (switchd) and changes it.',
    '',
    'Usage: etherloom COMMAND [OPTIONS] [ARGUMENTS]',
    '',
    'Commands:',
    ...listed.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`),
    '',
    'Options:',
    ...optionLines(GLOBAL_OPTIONS),
    '',
    "These of Open vSwitch's dpctl are understood, and refused, since a datapath here has nothing to do them with:",
    ...wrapped(unlisted),
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
    ...(command.examples.length === 0
      ? []
      : ['Examples:', ...command.examples.map((example) => `  ${example}`), '']),
  ];
  return lines.join('\n');
}
