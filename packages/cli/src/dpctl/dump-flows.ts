/** dpctl: dump-flows. */

import { type Dpif, type Flow, toDpifError } from '@etherloom/core';
import { KEY_WORDS, keyToFlow, maskToFlow } from '@etherloom/odp-codec';
import type { JsonValue } from '../unixctl/protocol.js';
import { type DpctlCommand, Report } from './command.js';
import { FilterError, type FlowFilter, parseFilter } from './filter.js';
import { describeFlow, portNames, textOptions } from './flow-text.js';
import { withOptional } from './open.js';

/** Flows taken from a dump at a time. */
const DUMP_BATCH = 256;

/** Lets whatever else waits on the event loop run: a dump of a full table takes a second or more, packets must not wait for it. */
const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** The kinds of flows that `type=` knows; ours are the ones that a datapath in user space executes itself. */
const TYPES = ['all', 'ovs', 'non-offloaded', 'tc', 'dpdk', 'offloaded', 'partially-offloaded'];
const OUR_TYPES = ['all', 'ovs', 'non-offloaded'];
/** `pmd=` of the thread that is no poll-mode thread. */
const MAIN_THREAD = '-1';

interface Selection {
  readonly filter?: string;
  readonly type?: string;
  readonly pmd?: string;
}

/** Takes `filter=`, `type=` and `pmd=`, which stand behind everything else, off the arguments. */
function takeSelection(args: readonly string[]): { selection: Selection; rest: readonly string[] } {
  let selection: Selection = {};
  let end = args.length;
  for (; end > 0; end--) {
    const [, name, value] = /^(filter|type|pmd)=(.*)$/s.exec(args[end - 1]!) ?? [];
    if (name === undefined) break;
    selection = { ...selection, [name]: value };
  }
  return { selection, rest: args.slice(0, end) };
}

/** Whether there can be flows of the selected types and thread; undefined, and reported, for a type that does not exist. */
function selectsOurs(report: Report, { type, pmd }: Selection): boolean | undefined {
  const types = type === undefined ? ['all'] : type.split(',');
  const unknown = types.find((one) => !TYPES.includes(one));
  if (unknown !== undefined) {
    report.fail(
      `Failed to parse type (${type})`,
      `"type=${type}" names the unknown type "${unknown}"; the types are ${TYPES.join(', ')}`,
    );
    return undefined;
  }
  return types.some((one) => OUR_TYPES.includes(one)) && (pmd === undefined || pmd === MAIN_THREAD);
}

async function readFilter(report: Report, dpif: Dpif, text: string): Promise<FlowFilter | undefined> {
  try {
    return parseFilter(text, (await portNames(dpif)).portNumber);
  } catch (error) {
    if (!(error instanceof FilterError)) throw error;
    report.fail(
      `Failed to parse filter (${text}: ${error.message})`,
      `the filter "${text}" cannot be used: ${error.message}`,
    );
    return undefined;
  }
}

const keyWords = new Int32Array(KEY_WORDS);
const maskWords = new Int32Array(KEY_WORDS);

function passes({ key, mask }: Flow, filter: FlowFilter): boolean {
  keyToFlow(key, keyWords);
  maskToFlow(mask, keyWords, maskWords);
  return filter(keyWords, maskWords);
}

const dumpFlows: DpctlCommand = {
  name: 'dump-flows',
  usage: '[-m] [--names] [dp] [filter=..] [type=..] [pmd=..]',
  minArgs: 0,
  maxArgs: 4,
  async run(context, args, options) {
    const report = new Report();
    const flows: JsonValue[] = [];
    const { selection, rest } = takeSelection(args);
    await withOptional(context, report, rest, 1, async (dpif) => {
      const { filter: text, pmd } = selection;
      const filter = text === undefined ? undefined : await readFilter(report, dpif, text);
      if ((text === undefined) !== (filter === undefined)) return;
      if (selectsOurs(report, selection) !== true) return;
      const format = await textOptions(dpif, options);
      const dump = dpif.flowDump();
      try {
        for (;;) {
          const [batch, now] = await Promise.all([dump.next(DUMP_BATCH), dpif.now()]);
          if (batch.length === 0) break;
          for (const flow of batch) {
            if (filter !== undefined && !passes(flow, filter)) continue;
            // Forwarding runs on one thread with the control path here, and that is what Open vSwitch calls its own such thread.
            if (flows.length === 0 && pmd === undefined) report.print('flow-dump from the main thread:\n');
            const { line, json } = describeFlow(flow, now, format);
            report.print(line);
            flows.push(json);
          }
          await breathe();
        }
      } catch (error) {
        report.failWith('dumping flows', toDpifError(error));
      } finally {
        await dump.done();
      }
    });
    return report.result({ flows });
  },
};

export const DUMP_FLOWS_COMMANDS: readonly DpctlCommand[] = [dumpFlows];
