/** `dpif/show`, `upcall/show` and `memory/show`: the daemon's datapaths and clients, as bridges of Open vSwitch. */

import { type DpctlContext, datapathNames, openNamed } from '@etherloom/cli';
import { LOCAL_PORT } from '@etherloom/core';
import type { Datapaths } from '../daemon/datapaths.js';
import type { ControlCommand } from './command.js';

/** OpenFlow's number of the local port. */
const OFPP_LOCAL = 65_534;

export function statusCommands(context: DpctlContext, datapaths: Datapaths): ControlCommand[] {
  return [
    {
      name: 'dpif/show',
      usage: '',
      minArgs: 0,
      maxArgs: 0,
      async run() {
        const texts: string[] = [];
        for (const name of await datapathNames(context.dpifs)) texts.push(await showDatapath(context, name));
        return { text: texts.join('') };
      },
    },
    {
      name: 'upcall/show',
      usage: '',
      minArgs: 0,
      maxArgs: 0,
      async run() {
        const texts = datapaths.clients().map(({ name, learning }) => {
          const { flows, average, peak, limit, dumpDuration } = learning.activity;
          return (
            `${name}:\n` +
            `  flows         : (current ${flows}) (avg ${Math.round(average)}) (max ${peak}) (limit ${limit})\n` +
            `  dump duration : ${Math.round(dumpDuration)}ms\n` +
            // UFIDs are made for people; between client and datapath there are keys.
            '  ufid enabled : false\n' +
            `\n  0: (keys ${flows})\n`
          );
        });
        return { text: texts.join('') };
      },
    },
    {
      name: 'memory/show',
      usage: '',
      minArgs: 0,
      maxArgs: 0,
      async run() {
        const usage = await memoryUsage(context, datapaths);
        const used = Object.entries(usage).filter(([, count]) => count > 0);
        return { text: `${used.map(([what, count]) => `${what}:${count}`).join(' ')}\n`, json: usage };
      },
    },
  ];
}

async function showDatapath(context: DpctlContext, name: string): Promise<string> {
  const dpif = await openNamed(context, name);
  try {
    const { hit, missed } = await dpif.getDpStats();
    const ports: string[] = [];
    for await (const { portNo, name: port, type } of dpif.portDump()) {
      const config = (await (await context.netdevs.find(port))?.getConfig()) ?? {};
      const options = Object.keys(config)
        .sort()
        .map((key) => `${key}=${config[key]}`);
      const number = portNo === LOCAL_PORT ? OFPP_LOCAL : portNo;
      const described = [type, ...(options.length === 0 ? [] : [options.join(', ')])].join(': ');
      ports.push(`    ${port} ${number}/${portNo}: (${described})\n`);
    }
    // By name, as Open vSwitch lists them.
    return `${name}: hit:${hit} missed:${missed}\n  ${dpif.baseName}:\n${ports.sort().join('')}`;
  } finally {
    await dpif.close();
  }
}

/** How many of everything that takes memory there are, by name in alphabetical order. */
async function memoryUsage(context: DpctlContext, datapaths: Datapaths): Promise<Record<string, number>> {
  const clients = datapaths.clients();
  const usage = { flows: 0, handlers: clients.length, macs: 0, ports: 0 };
  for (const { learning } of clients) usage.macs += learning.stations().length;
  for (const name of await datapathNames(context.dpifs)) {
    const dpif = await openNamed(context, name);
    try {
      usage.flows += (await dpif.getDpStats()).flows;
      for await (const _port of dpif.portDump()) usage.ports++;
    } finally {
      await dpif.close();
    }
  }
  return usage;
}
