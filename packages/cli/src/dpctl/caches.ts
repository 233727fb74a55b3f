/** dpctl: cache-get-size and cache-set-size. Caches here have no size to set, as those of Open vSwitch's user-space datapath. */

import { type DpctlCommand, Report } from './command.js';
import { datapathNames, withNamed } from './open.js';

const getSize: DpctlCommand = {
  name: 'cache-get-size',
  usage: '[dp]',
  minArgs: 0,
  maxArgs: 1,
  async run(context, args) {
    const report = new Report();
    const datapaths: string[] = [];
    for (const name of args.length > 0 ? args : await datapathNames(context.dpifs)) {
      await withNamed(context, report, name, `Opening datapath ${name} failed`, async (dpif) => {
        datapaths.push(dpif.name);
        report.print(`${dpif.name}:\n`);
      });
    }
    return report.result({ datapaths: datapaths.map((name) => ({ name, caches: [] })) });
  },
};

const setSize: DpctlCommand = {
  name: 'cache-set-size',
  usage: 'dp cache <size>',
  minArgs: 3,
  maxArgs: 3,
  async run(context, [name = '', cache = '', size = '']) {
    const report = new Report();
    await withNamed(context, report, name, `Opening datapath ${name} failed`, async (dpif) => {
      if (!/^\s*[+-]?\d/.test(size)) {
        report.fail('size is malformed (Invalid argument)', `"${size}" is no size; give a number of entries`);
        return;
      }
      report.fail(
        'Setting caches not supported (Operation not supported)',
        `the cache "${cache}" cannot be set: the caches of ${dpif.name} have no size to choose`,
      );
    });
    return report.result({});
  },
};

export const CACHE_COMMANDS: readonly DpctlCommand[] = [getSize, setSize];
