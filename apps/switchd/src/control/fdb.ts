/** The `fdb/*` control commands: what the learning switches know, and what they are told. */

import { formatFdb } from '@etherloom/cli';
import type { Datapaths } from '../daemon/datapaths.js';
import type { LearningSwitch } from '../learning/learning-switch.js';
import { formatMac, isGroup, parseMac } from '../learning/mac.js';
import type { Connection, ControlCommand } from './command.js';

const MAX_VLAN = 4095;

export function fdbCommands(datapaths: Datapaths): ControlCommand[] {
  const find = (name: string | undefined, { errors }: Connection) => {
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
      name: 'fdb/add',
      usage: 'bridge port vlan mac',
      minArgs: 4,
      maxArgs: 4,
      async run([name, port = '', vlan = '', mac = ''], options) {
        const { learning } = find(name, options);
        const portNo = [...learning.ports].find(([, portName]) => portName === port)?.[0];
        if (portNo === undefined) throw new Error(`no port named ${port}`);
        await learning.fix(readVlan(vlan), readMac(mac), portNo);
        return { text: '', json: {} };
      },
    },
    {
      name: 'fdb/del',
      usage: 'bridge vlan mac',
      minArgs: 3,
      maxArgs: 3,
      async run([name, vlan = '', mac = ''], options) {
        const { learning } = find(name, options);
        if (!(await learning.remove(readVlan(vlan), readMac(mac)))) {
          throw new Error(`no entry for ${mac} in VLAN ${vlan}`);
        }
        return { text: '', json: {} };
      },
    },
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
          age: entry.fixed ? null : Math.floor(age / 1000),
        }));
        return { text: formatFdb(entries), json: { datapath, entries } };
      },
    },
    {
      name: 'fdb/stats-show',
      usage: '[bridge]',
      minArgs: 0,
      maxArgs: 1,
      async run([name], options) {
        const { name: datapath, learning } = find(name, options);
        return describeTable(datapath, learning);
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

function readVlan(text: string): number {
  const vlan = /^\d{1,4}$/.test(text) ? Number(text) : Number.NaN;
  if (vlan <= MAX_VLAN) return vlan;
  throw new Error(`bad VLAN ${text}; give 0 for untagged, or 1 to ${MAX_VLAN}`);
}

function readMac(text: string): number {
  const mac = parseMac(text);
  if (mac === undefined || isGroup(mac)) throw new Error(`bad MAC address ${text}`);
  return mac;
}

/** Open vSwitch's layout of the table's statistics. */
function describeTable(datapath: string, learning: LearningSwitch) {
  const stations = learning.stations();
  const { limit, counters } = learning.macs;
  const fixed = stations.filter(({ entry }) => entry.fixed).length;
  const { learned, expired, evicted, moved } = counters;
  return {
    text:
      `Statistics for bridge "${datapath.slice(datapath.indexOf('@') + 1)}":\n` +
      `  Current/maximum MAC entries in the table: ${stations.length}/${limit}\n` +
      `  Current static MAC entries in the table : ${fixed}\n` +
      `  Total number of learned MAC entries     : ${learned}\n` +
      `  Total number of expired MAC entries     : ${expired}\n` +
      `  Total number of evicted MAC entries     : ${evicted}\n` +
      `  Total number of port moved MAC entries  : ${moved}\n`,
    json: { datapath, entries: stations.length, limit, static: fixed, learned, expired, evicted, moved },
  };
}
