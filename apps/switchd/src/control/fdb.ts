/** The `fdb/*` control commands: what the learning switches know. */

import { formatFdb } from '@etherloom/cli';
import type { Datapaths } from '../daemon/datapaths.js';
import { formatMac } from '../learning/mac.js';
import type { ConnectionOptions, ControlCommand } from './command.js';

export function fdbCommands(datapaths: Datapaths): ControlCommand[] {
  const find = (name: string | undefined, { errors }: ConnectionOptions) => {
    const found = datapaths.find(name);
    if (found !== undefined) return found;
    if (errors === 'ovs') throw new Error('no such bridge');
    const names = datapaths.names();
    const there = names.length === 0 ? 'none exists' : `there are ${names.join(', ')}`;
    throw new Error(
      name === undefined
        ? `say which datapath is meant; ${there}`
        : `no datapath is called "${name}"; ${there}`,
    );
  };
  return [
    {
      name: 'fdb/show',
      usage: '[bridge]',
      minArgs: 0,
      maxArgs: 1,
      async run([name], options) {
        const { name: datapath, learning } = find(name, options);
        const entries = learning.stations().map(({ entry, age }) => ({
          port: entry.port,
          name: learning.ports.get(entry.port) ?? String(entry.port),
          vlan: entry.vlan,
          mac: formatMac(entry.mac),
          age: Math.floor(age / 1000),
        }));
        return { text: formatFdb(entries), json: { datapath, entries } };
      },
    },
    {
      name: 'fdb/flush',
      usage: '[bridge]',
      minArgs: 0,
      maxArgs: 1,
      async run([name], options) {
        await find(name, options).learning.flush();
        return { text: 'table successfully flushed\n', json: {} };
      },
    },
  ];
}
