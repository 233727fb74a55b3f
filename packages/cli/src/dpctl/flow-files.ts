/** dpctl: add-flows, mod-flows and del-flows, which take their flows from a file, one to a line. */

import { readFile } from 'node:fs/promises';
import { type Dpif, ERRNO, errnoCode, FP_CREATE, toDpifError } from '@etherloom/core';
import {
  type DpctlCommand,
  type DpctlContext,
  type DpctlOptions,
  type DpctlResult,
  Report,
} from './command.js';
import { deleteFlow, modifyFlags, putFlow } from './flows.js';
import { datapathExists, withOptional } from './open.js';

type Operation = 'add' | 'modify' | 'delete';

/** A line of a file: what is done with the flow, unless the command says, comes first in it. */
interface FlowLine {
  readonly operation: Operation;
  readonly flow: string;
  readonly actions: string | undefined;
}

const isOperation = (word: string): word is Operation =>
  word === 'add' || word === 'modify' || word === 'delete';

/** Undefined for a line that lacks its flow, or has or lacks actions against what it does. */
function parseLine(text: string, usual: Operation): FlowLine | undefined {
  const first = /^[^,\s]*/.exec(text)?.[0] ?? '';
  const operation = isOperation(first) ? first : usual;
  const rest = isOperation(first) ? text.slice(first.length).trimStart() : text;
  const [, flow = '', actions = ''] = /^(\S*)\s*(.*)$/.exec(rest) ?? [];
  if (flow === '' || (actions === '') !== (operation === 'delete')) return undefined;
  return { operation, flow, actions: actions === '' ? undefined : actions };
}

/**
 * Does what the lines of `file` say, one after the other: a line that fails stops none of the others. Open vSwitch's daemon
 * prints what went wrong and yet reports success.
 */
async function processFile(
  report: Report,
  dpif: Dpif,
  file: string,
  usual: Operation,
  options: DpctlOptions,
): Promise<void> {
  let text: string;
  try {
    // Standard input, of which a daemon has none. The program etherloom has, and gives its path.
    text = file === '-' ? '' : await readFile(file, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'errno' in error ? errnoCode(Number(error.errno)) : 'EIO';
    report.tolerate(
      `Opening file "${file}" failed (${ERRNO[code][1]})`,
      `the file ${file} cannot be read (${code}); give the path of a file that can be read`,
    );
    return;
  }
  const lines = text.split('\n');
  for (const [index, line] of lines.entries()) {
    const content = line.replace(/#.*/, '').trim();
    if (content === '') continue;
    const found = parseLine(content, usual);
    if (found === undefined) {
      report.tolerate(
        `Failed parsing line number ${index + 1}, skipped!`,
        `line ${index + 1} of ${file} is "${content}"; write [add|modify|delete] FLOW ACTIONS, no actions to delete`,
      );
      continue;
    }
    const one = new Report();
    if (found.operation === 'delete') await deleteFlow(one, dpif, found.flow, options);
    else {
      const flags = found.operation === 'add' ? FP_CREATE : modifyFlags(options);
      await putFlow(one, dpif, [found.flow, found.actions ?? ''], flags, options);
    }
    report.adopt(one);
  }
}

async function run(
  context: DpctlContext,
  args: readonly string[],
  options: DpctlOptions,
  usual: Operation,
): Promise<DpctlResult> {
  const report = new Report();
  await withOptional(context, report, args, 2, (dpif, [file = '']) =>
    processFile(report, dpif, file, usual, options),
  );
  return report.result({});
}

function fileCommand(name: string, usual: Operation): DpctlCommand {
  return {
    name,
    usage: '[dp] file',
    minArgs: 1,
    maxArgs: 2,
    run: (context, args, options) => run(context, args, options, usual),
  };
}

const delFlows: DpctlCommand = {
  name: 'del-flows',
  usage: '[dp] [file]',
  minArgs: 0,
  maxArgs: 2,
  async run(context, args, options) {
    const [first] = args;
    // One argument may be either. A name without a type and a slash is rather a datapath misspelt than a file.
    const isFile = first !== undefined && !(await datapathExists(context, first));
    if (args.length === 2 || isFile) return run(context, args, options, 'delete');
    const report = new Report();
    await withOptional(context, report, args, 1, async (dpif) => {
      try {
        await dpif.flowFlush();
      } catch (error) {
        report.failWith('deleting all flows', toDpifError(error));
      }
    });
    return report.result({});
  },
};

export const FLOW_FILE_COMMANDS: readonly DpctlCommand[] = [
  fileCommand('add-flows', 'add'),
  fileCommand('mod-flows', 'modify'),
  delFlows,
];
