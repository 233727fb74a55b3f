/** dpctl: add-flow, mod-flow, get-flow, del-flow, and what they share with the commands that read files of flows. */

import { type Dpif, type FlowStats, FP_CREATE, FP_MODIFY, FP_ZERO_STATS, toDpifError } from '@etherloom/core';
import { OdpError, type ParseOptions, parseActions, parseFlowKey } from '@etherloom/odp-codec';
import type { JsonValue } from '../unixctl/protocol.js';
import { type DpctlCommand, type DpctlOptions, Report } from './command.js';
import {
  flowJson,
  flowLine,
  formatStats,
  portNames,
  quoteSyntaxError,
  statsJson,
  textOptions,
} from './flow-text.js';
import { withOptional } from './open.js';
import { findFlow, takeUfid } from './ufid.js';

const BAD_UFID = 'parsing flow ufid (Invalid argument)';
const NO_FLOW = '(No such file or directory)\nPerhaps you need to specify a UFID?';
const badUfid = (text: string): string =>
  `"${text}" begins with no UFID; write ufid: and 32 hexadecimal digits in groups of 8, 4, 4, 4 and 12`;

/** FP_* bits of mod-flow. */
export const modifyFlags = ({ mayCreate, clear }: DpctlOptions): number =>
  FP_MODIFY | (mayCreate ? FP_CREATE : 0) | (clear ? FP_ZERO_STATS : 0);

/** Reads a flow text; undefined, and reported, when it cannot be read. A UFID in front of a key says nothing more. */
function readKey(report: Report, text: string, options: ParseOptions, shape: (reason: string) => string) {
  const { bad, rest } = takeUfid(text);
  if (bad) {
    report.fail(BAD_UFID, badUfid(text));
    return undefined;
  }
  try {
    return parseFlowKey(rest, options);
  } catch (error) {
    if (!(error instanceof OdpError)) throw error;
    report.fail(
      `${shape(quoteSyntaxError(rest, error))} (Invalid argument)`,
      `the flow "${rest}" cannot be read: ${error.message}`,
    );
    return undefined;
  }
}

/** Puts one flow; the JSON of its statistics with `-s`. */
export async function putFlow(
  report: Report,
  dpif: Dpif,
  [keyText, actionsText]: readonly [string, string],
  flags: number,
  options: DpctlOptions,
): Promise<JsonValue> {
  const names = await portNames(dpif);
  const parsed = readKey(report, keyText, names, (reason) => `parsing flow key (${reason})`);
  if (parsed === undefined) return {};
  let actions: Uint8Array;
  try {
    actions = parseActions(actionsText, names);
  } catch (error) {
    if (!(error instanceof OdpError)) throw error;
    report.fail(
      'parsing actions (Invalid argument)',
      `the actions "${actionsText}" cannot be read: ${error.message}`,
    );
    return {};
  }
  try {
    return await printStats(report, dpif, await dpif.flowPut({ flags, ...parsed, actions }), options);
  } catch (error) {
    report.failWith('updating flow table', toDpifError(error));
    return {};
  }
}

/** Deletes one flow, by its key or, when there is nothing but a UFID, by that. */
export async function deleteFlow(
  report: Report,
  dpif: Dpif,
  text: string,
  options: DpctlOptions,
): Promise<JsonValue> {
  const parsed = readKey(report, text, await portNames(dpif), (reason) => reason);
  if (parsed === undefined) return {};
  const { ufid, rest } = takeUfid(text);
  try {
    const key = ufid !== undefined && rest === '' ? (await findFlow(dpif, ufid)).key : parsed.key;
    return await printStats(report, dpif, await dpif.flowDel(key), options);
  } catch (error) {
    const failure = toDpifError(error);
    const why = `no flow has exactly the key "${text}"; "dump-flows -m" prints keys in full`;
    if (ufid !== undefined) report.failWith('deleting flow', failure);
    else if (failure.code === 'ENOENT') report.fail(`deleting flow ${NO_FLOW}`, why);
    // A key that no flow can have: Open vSwitch, which looks for the UFID, says no more than that there is none.
    else if (failure.code === 'EINVAL') report.fail(`deleting flow ${NO_FLOW}`, failure.message);
    else report.failWith('deleting flow', failure);
    return {};
  }
}

/** With `-s`, the line of statistics that a put or delete answers. */
async function printStats(
  report: Report,
  dpif: Dpif,
  stats: FlowStats,
  options: DpctlOptions,
): Promise<JsonValue> {
  if (!options.statistics) return {};
  const now = await dpif.now();
  report.print(`${formatStats(stats, now)}\n`);
  return { stats: statsJson(stats, now) };
}

function putCommand(name: string, flags: (options: DpctlOptions) => number): DpctlCommand {
  return {
    name,
    usage: '[dp] flow actions',
    minArgs: 2,
    maxArgs: 3,
    async run(context, args, options) {
      const report = new Report();
      let json: JsonValue = {};
      await withOptional(context, report, args, 3, async (dpif, [key = '', actions = '']) => {
        json = await putFlow(report, dpif, [key, actions], flags(options), options);
      });
      return report.result(json);
    },
  };
}

const getFlow: DpctlCommand = {
  name: 'get-flow',
  usage: '[dp] ufid',
  minArgs: 1,
  maxArgs: 2,
  async run(context, args, options) {
    const report = new Report();
    let json: JsonValue = {};
    await withOptional(context, report, args, 2, async (dpif, [text = '']) => {
      const { ufid, bad } = takeUfid(text);
      if (ufid === undefined) {
        report.tolerate(bad ? BAD_UFID : 'parsing flow ufid', badUfid(text));
        return;
      }
      try {
        const flow = await findFlow(dpif, ufid);
        const [now, format] = [await dpif.now(), await textOptions(dpif, options)];
        report.print(flowLine(flow, now, format));
        json = flowJson(flow, now, format);
      } catch (error) {
        report.failWith('getting flow', toDpifError(error));
      }
    });
    return report.result(json);
  },
};

const delFlow: DpctlCommand = {
  name: 'del-flow',
  usage: '[dp] flow',
  minArgs: 1,
  maxArgs: 2,
  async run(context, args, options) {
    const report = new Report();
    let json: JsonValue = {};
    await withOptional(context, report, args, 2, async (dpif, [text = '']) => {
      json = await deleteFlow(report, dpif, text, options);
    });
    return report.result(json);
  },
};

export const FLOW_COMMANDS: readonly DpctlCommand[] = [
  putCommand('add-flow', () => FP_CREATE),
  putCommand('mod-flow', modifyFlags),
  getFlow,
  delFlow,
];
