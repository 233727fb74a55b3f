/** `npm run bench [-- SCENARIO...] [--quick] [--peers] [--json FILE]`: runs scenarios and prints their figures. */

import { writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import type { Row, Scenario } from './scenario.js';
import { codec } from './scenarios/codec.js';
import { forward } from './scenarios/forward.js';
import { masks } from './scenarios/masks.js';
import { rewrite } from './scenarios/rewrite.js';
import { threads } from './scenarios/threads.js';

const SCENARIOS: readonly Scenario[] = [forward, masks, rewrite, codec, threads];

const USAGE = `usage: npm run bench -- [SCENARIO...] [--quick] [--peers] [--json FILE]

  --quick      fewer and shorter rounds: indicative only
  --peers      measure other implementations too; as root, install those that are missing
  --json FILE  write the figures to FILE as well

${SCENARIOS.map(({ name, about }) => `  ${name.padEnd(10)} ${about}`).join('\n')}
`;

function machine(): Record<string, string | number> {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
  };
}

const figure = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));

function print(rows: readonly Row[]): void {
  const peers = [...new Set(rows.flatMap((row) => Object.keys(row.peers ?? {})))];
  const table = new Table({
    head: [
      'scenario',
      'point',
      'metric',
      'ours',
      'spread',
      ...peers,
      ...peers.map((peer) => `ratio ${peer}`),
    ],
    style: { head: [], border: [] },
  });
  for (const row of rows) {
    const theirs = peers.map((peer) => row.peers?.[peer]);
    table.push([
      row.scenario,
      row.point,
      row.metric,
      `${figure(row.ours)} ${row.unit}`,
      `${(row.spread * 100).toFixed(0)} %`,
      ...theirs.map((value) => (value === undefined ? '' : `${figure(value)} ${row.unit}`)),
      ...peers.map((peer) => {
        const ratio = row.ratio?.[peer];
        return ratio === undefined ? '' : `${figure(ratio)} x`;
      }),
    ]);
  }
  console.log(table.toString());
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      quick: { type: 'boolean' },
      peers: { type: 'boolean' },
      json: { type: 'string' },
      help: { type: 'boolean' },
    },
  });
  const unknown = positionals.find((name) => SCENARIOS.every((scenario) => scenario.name !== name));
  if (unknown !== undefined) throw new TypeError(`unknown scenario "${unknown}"\n\n${USAGE}`);
  if (values.help === true) {
    console.log(USAGE);
    return 0;
  }
  const chosen =
    positionals.length === 0 ? SCENARIOS : SCENARIOS.filter(({ name }) => positionals.includes(name));
  const rows: Row[] = [];
  for (const scenario of chosen) {
    console.error(`bench: ${scenario.name}: ${scenario.about}`);
    rows.push(...(await scenario.run({ quick: values.quick === true, peers: values.peers === true })));
  }
  print(rows);
  if (values.json !== undefined) {
    writeFileSync(values.json, `${JSON.stringify({ machine: machine(), rows }, null, 2)}\n`);
  }
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof TypeError)) throw error;
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
}
