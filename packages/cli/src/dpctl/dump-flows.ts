/** dpctl: dump-flows. */

import { type Dpif, type Flow, toDpifError } from '@etherloom/core';
import { formatActions, formatFlow, formatFlowKey, type TextOptions } from '@etherloom/odp-codec';
import { type DpctlCommand, type DpctlOptions, Report } from './command.js';
import { codecStats, statsJson } from './flow-text.js';
import { withOptional } from './open.js';

/** Flows taken from a dump at a time. */
const DUMP_BATCH = 256;

/** Lets whatever else waits on the event loop run: a dump of a full table takes a second or more, packets must not wait for it. */
const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function textOptions(dpif: Dpif, options: DpctlOptions): Promise<TextOptions> {
  const verbose = options.verbosity > 0;
  if (!options.names) return { verbose };
  const names = new Map<number, string>();
  for await (const { name, portNo } of dpif.portDump()) names.set(portNo, name);
  return { verbose, portName: (portNo) => names.get(portNo) };
}

function describe({ key, mask, actions, stats }: Flow, now: number, options: TextOptions) {
  // "ovs" is Open vSwitch's name for the layer that a datapath in user space is.
  const flow = { key, mask, actions, ...codecStats(stats, now), layer: 'ovs' };
  return {
    line: `${formatFlow(flow, options)}\n`,
    json: {
      match: formatFlowKey(key, mask, options),
      ...statsJson(stats, now),
      actions: formatActions(actions, options),
    },
  };
}

const dumpFlows: DpctlCommand = {
  name: 'dump-flows',
  usage: '[-m] [--names] [dp]',
  minArgs: 0,
  maxArgs: 1,
  async run(context, args, options) {
    const report = new Report();
    const flows: ReturnType<typeof describe>['json'][] = [];
    await withOptional(context, report, args, 1, async (dpif) => {
      const format = await textOptions(dpif, options);
      const dump = dpif.flowDump();
      try {
        for (;;) {
          const [batch, now] = await Promise.all([dump.next(DUMP_BATCH), dpif.now()]);
          if (batch.length === 0) break;
          // Forwarding runs on one thread with the control path here, and that is what Open vSwitch calls its own such thread.
          if (flows.length === 0) report.print('flow-dump from the main thread:\n');
          for (const flow of batch) {
            const { line, json } = describe(flow, now, format);
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
