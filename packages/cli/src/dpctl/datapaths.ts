/** dpctl: add-dp, del-dp, dump-dps. */

import { parseName, toDpifError } from '@etherloom/core';
import { type DpctlCommand, Report } from './command.js';
import { datapathNames, withNamed } from './open.js';
import { addInterfaces } from './ports.js';

const addDp: DpctlCommand = {
  name: 'add-dp',
  usage: 'dp [iface...]',
  minArgs: 1,
  maxArgs: Number.POSITIVE_INFINITY,
  async run(context, args, _options) {
    const report = new Report();
    const { type, name } = parseName(args[0]!);
    try {
      const dpif = await context.dpifs.create(name, type);
      try {
        await addInterfaces(context, report, dpif, args.slice(1));
      } finally {
        await dpif.close();
      }
    } catch (error) {
      report.failWith('add_dp', toDpifError(error));
    }
    return report.result({ datapath: `${type}@${name}` });
  },
};

const delDp: DpctlCommand = {
  name: 'del-dp',
  usage: 'dp',
  minArgs: 1,
  maxArgs: 1,
  async run(context, args, _options) {
    const report = new Report();
    await withNamed(context, report, args[0]!, 'opening datapath', async (dpif) => {
      try {
        await dpif.delete();
      } catch (error) {
        report.failWith('del_dp', toDpifError(error));
      }
    });
    return report.result({});
  },
};

const dumpDps: DpctlCommand = {
  name: 'dump-dps',
  usage: '',
  minArgs: 0,
  maxArgs: 0,
  async run(context, _args, _options) {
    const names = await datapathNames(context.dpifs);
    return { text: names.map((name) => `${name}\n`).join(''), json: { datapaths: names } };
  },
};

export const DATAPATH_COMMANDS: readonly DpctlCommand[] = [addDp, delDp];
export const DUMP_DPS_COMMANDS: readonly DpctlCommand[] = [dumpDps];
