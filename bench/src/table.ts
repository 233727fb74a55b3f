/** Rows as a table for the terminal. */

import Table from 'cli-table3';
import type { Row } from './scenario.js';

/** Three digits that count, or the whole part of large ones. */
export const figure = (value: number): string =>
  Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3);

export function table(rows: readonly Row[]): string {
  const measured = [...new Set(rows.flatMap((row) => Object.keys(row.peers ?? {})))];
  // The columns are there without --peers too: whoever reads the table sees what it could tell.
  const peers = measured.length > 0 ? measured : ['peers'];
  const ratios = measured.length > 0 ? peers.map((peer) => `ratio ${peer}`) : ['ratio'];
  const result = new Table({
    head: ['scenario', 'point', 'metric', 'ours', 'spread', ...peers, ...ratios],
    style: { head: [], border: [] },
  });
  for (const row of rows) {
    result.push([
      row.scenario,
      row.point,
      row.metric,
      `${figure(row.ours)} ${row.unit}`,
      `${(row.spread * 100).toFixed(0)} %`,
      ...peers.map((peer) => cell(row.peers?.[peer], row.unit)),
      ...peers.map((peer) => cell(row.ratio?.[peer], 'x')),
    ]);
  }
  return result.toString();
}

const cell = (value: number | undefined, unit: string): string =>
  value === undefined ? '-' : `${figure(value)} ${unit}`;
