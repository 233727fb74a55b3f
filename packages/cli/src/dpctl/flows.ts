/** dpctl: add-flow, mod-flow, del-flow, del-flows. */

import { type Dpif, type FlowStats, FP_CREATE, FP_MODIFY, FP_ZERO_STATS, toDpifError } from '@etherloom/core';
import { OdpError, type ParseOptions, parseActions, parseFlowKey } from '@etherloom/odp-codec';
import {
  type DpctlCommand,
  type DpctlContext,
  type DpctlOptions,
  type DpctlResult,
  Report,
} from './command.js';
import { formatStats, statsJson } from './flow-text.js';
import { withOptional } from './open.js';

/** Lets flow texts name ports. */
async function portNames(dpif: Dpif): Promise<ParseOptions> {
  const numbers = new Map<string, number>();
  for await (const { name, portNo } of dpif.portDump()) numbers.set(name, portNo);
  return { portNumber: (name) => numbers.get(name) };
}

function parseKey(report: Report, text: string, options: ParseOptions, shape: (reason: string) => string) {
  try {
    return parseFlowKey(text, options);
  } catch (error) {
    if (!(error instanceof OdpError)) throw error;
    report.fail(
      `${shape(`syntax error at ${fromAttribute(text, error.column)}`)} (Invalid argument)`,
      `the flow "${text}" cannot be read: ${error.message}`,
    );
    return undefined;
  }
}

/** The rest of a flow text from the outermost attribute that holds `column` (from 1): what Open vSwitch quotes. */
function fromAttribute(text: string, column = 1): string {
  let start = 0;
  let depth = 0;
  for (let i = 0; i < column - 1; i++) {
    const char = text[i]!;
    if (char === '(') depth++;
    else if (char === ')') depth--;
    else if (depth === 0 && /[,\s]/.test(char)) start = i + 1;
  }
  return text.slice(start);
}

async function putFlow(
  context: DpctlContext,
  args: readonly string[],
  flags: number,
  options: DpctlOptions,
): Promise<DpctlResult> {
  const report = new Report();
  let json = {};
  await withOptional(context, report, args, 3, async (dpif, [keyText = '', actionsText = '']) => {
    const names = await portNames(dpif);
    const parsed = parseKey(report, keyText, names, (reason) => `parsing flow key (${reason})`);
    if (parsed === undefined) return;
    let actions: Uint8Array;
    try {
      actions = parseActions(actionsText, names);
    } catch (error) {
      if (!(error instanceof OdpError)) throw error;
      report.fail(
        'parsing actions (Invalid argument)',
        `the actions "${actionsText}" cannot be read: ${error.message}`,
      );
      return;
    }
    try {
      const before = await dpif.flowPut({ flags, ...parsed, actions });
      json = await printStats(report, dpif, before, options);
    } catch (error) {
      report.failWith('updating flow table', toDpifError(error));
    }
  });
  return report.result(json);
}

/** With `-s`, the line of statistics that a put or delete answers. */
async function printStats(report: Report, dpif: Dpif, stats: FlowStats, options: DpctlOptions) {
  if (!options.statistics) return {};
  const now = await dpif.now();
  report.print(`${formatStats(stats, now)}\n`);
  return { stats: statsJson(stats, now) };
}

const addFlow: DpctlCommand = {
  name: 'add-flow',
  usage: '[dp] flow actions',
  minArgs: 2,
  maxArgs: 3,
  run: (context, args, options) => putFlow(context, args, FP_CREATE, options),
};

const modFlow: DpctlCommand = {
  name: 'mod-flow',
  usage: '[dp] flow actions',
  minArgs: 2,
  maxArgs: 3,
  run: (context, args, options) =>
    putFlow(
      context,
      args,
      FP_MODIFY | (options.mayCreate ? FP_CREATE : 0) | (options.clear ? FP_ZERO_STATS : 0),
      options,
    ),
};

const delFlow: DpctlCommand = {
  name: 'del-flow',
  usage: '[dp] flow',
  minArgs: 1,
  maxArgs: 2,
  async run(context, args, options) {
    const report = new Report();
    let json = {};
    await withOptional(context, report, args, 2, async (dpif, [keyText = '']) => {
      const parsed = parseKey(report, keyText, await portNames(dpif), (reason) => reason);
      if (parsed === undefined) return;
      try {
        json = await printStats(report, dpif, await dpif.flowDel(parsed.key), options);
      } catch (error) {
        const failure = toDpifError(error);
        if (failure.code !== 'ENOENT') return report.failWith('deleting flow', failure);
        report.fail(
          `deleting flow (${failure.strerror})\nPerhaps you need to specify a UFID?`,
          `no flow has exactly the key "${keyText}"; "dump-flows -m" prints keys in full`,
        );
      }
    });
    return report.result(json);
  },
};

const delFlows: DpctlCommand = {
  name: 'del-flows',
  usage: '[dp]',
  minArgs: 0,
  maxArgs: 1,
  async run(context, args, _options) {
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

export const FLOW_COMMANDS: readonly DpctlCommand[] = [addFlow, modFlow, delFlow, delFlows];
