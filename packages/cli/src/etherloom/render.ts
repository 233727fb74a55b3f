/** What people see: tables on a terminal, Open vSwitch's plain layout in a pipe. */

import { styleText } from 'node:util';
import { DROP_REASONS } from '@etherloom/core';
import Table from 'cli-table3';
import { type DatapathView, formatDatapath, formatOffloads, type PortView } from '../dpctl/show.js';
import { type FdbEntry, formatFdb } from '../fdb.js';
import type { Screen } from './session.js';

// Whether there are colours was decided already, from where the output goes.
export const styled = (screen: Screen, style: 'bold' | 'red' | 'yellow' | 'green', text: string): string =>
  screen.colour ? styleText(style, text, { validateStream: false }) : text;
const bold = (screen: Screen, text: string): string => styled(screen, 'bold', text);

function table(
  screen: Screen,
  head: string[],
  rows: (string | number)[][],
  numeric: readonly number[],
): string {
  const grid = new Table({
    head: head.map((title) => bold(screen, title)),
    style: { head: [], border: [], compact: true },
    colAligns: head.map((_, column) => (numeric.includes(column) ? 'right' : 'left')),
  });
  grid.push(...rows);
  return `${grid.toString()}\n`;
}

const sentences = new Map(DROP_REASONS.map(({ code, sentence }) => [code, sentence]));

const total = (counters: { readonly [code: string]: number }): number =>
  Object.values(counters).reduce((sum, count) => sum + count, 0);

export function renderShow(views: readonly DatapathView[], statistics: boolean, screen: Screen): string {
  return views
    .map((view) =>
      screen.terminal ? datapathTable(view, statistics, screen) : datapathText(view, statistics),
    )
    .join(screen.terminal ? '\n' : '');
}

/** Open vSwitch's layout, and after each port that dropped packets a line with the reasons. */
function datapathText(view: DatapathView, statistics: boolean): string {
  const head = formatDatapath({ ...view, ports: [] }, statistics);
  const ports = view.ports.map((port) => {
    const whole = formatDatapath({ ...view, ports: [port] }, statistics).slice(head.length);
    const drops = Object.entries(port.drops).map(([code, count]) => `${code}:${count}`);
    return drops.length === 0 ? whole : `${whole}    drops: ${drops.join(' ')}\n`;
  });
  return head + ports.join('');
}

function datapathTable(view: DatapathView, statistics: boolean, screen: Screen): string {
  const { hit, missed, lost } = view.lookups;
  const lines = [
    bold(screen, view.name),
    `  lookups: ${hit} hit, ${missed} missed, ${lost} lost`,
    `  flows: ${view.flows}`,
  ];
  if (view.masks !== undefined) lines.push(`  masks: ${view.masks.total}`);
  const head = ['no', 'port', 'type', 'options', 'rx packets', 'rx bytes', 'tx packets', 'tx bytes', 'drops'];
  const rows = view.ports.map((port) => [
    port.number,
    port.name,
    port.type,
    Object.entries(port.config)
      .map(([key, value]) => `${key}=${value}`)
      .sort()
      .join(' '),
    port.stats.rxPackets ?? '?',
    port.stats.rxBytes ?? '?',
    port.stats.txPackets ?? '?',
    port.stats.txBytes ?? '?',
    total(port.drops) === 0 ? 0 : styled(screen, 'red', String(total(port.drops))),
  ]);
  return `${lines.join('\n')}\n${table(screen, head, rows, [0, 4, 5, 6, 7, 8])}${statusLines(view.ports, statistics)}${dropLines(view.ports, screen)}`;
}

/** What the devices say of themselves, and with statistics the work that is left to them and to us. */
function statusLines(ports: readonly PortView[], statistics: boolean): string {
  return ports
    .flatMap(({ name, status = {}, offloads }) => [
      ...Object.entries(status).map(([what, text]) => `  ${name}: ${what}: ${text}\n`),
      ...(statistics && offloads !== undefined ? [`  ${name}: ${formatOffloads(offloads)}\n`] : []),
    ])
    .join('');
}

function dropLines(ports: readonly PortView[], screen: Screen): string {
  const lines = ports.flatMap((port) =>
    Object.entries(port.drops).map(
      ([code, count]) =>
        `  ${port.name}: ${count} x ${code} (${sentences.get(code) ?? 'reason unknown to this command'})\n`,
    ),
  );
  return lines.length === 0 ? '' : `${styled(screen, 'red', 'dropped packets:')}\n${lines.join('')}`;
}

/** Learned addresses: a table with port names, or the layout of Open vSwitch's fdb/show. */
export function renderFdb(entries: readonly FdbEntry[], screen: Screen): string {
  if (!screen.terminal) return formatFdb(entries);
  const rows = entries.map(({ port, name, vlan, mac, age }) => [
    port,
    name,
    vlan,
    mac,
    age === null ? 'static' : `${age} s`,
  ]);
  return table(screen, ['no', 'port', 'VLAN', 'MAC', 'age'], rows, [0, 2, 4]);
}
