/** `npm run bench [-- SCENARIO...]`: runs scenarios and prints their figures, or draws figures of before. */

import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { machine } from './machine.js';
import { type Report, readReport, writePages } from './plot/report.js';
import type { Options, Row, Scenario } from './scenario.js';
import { codec } from './scenarios/codec.js';
import { flows } from './scenarios/flows.js';
import { forward } from './scenarios/forward.js';
import { io } from './scenarios/io.js';
import { latency } from './scenarios/latency.js';
import { masks } from './scenarios/masks.js';
import { rewrite } from './scenarios/rewrite.js';
import { table } from './table.js';

const SCENARIOS: readonly Scenario[] = [forward, masks, rewrite, flows, latency, codec, io];

/** Where figures are published. */
const PAGES = fileURLToPath(new URL('../../docs/performance/', import.meta.url));

const USAGE = `usage: npm run bench -- [SCENARIO...] [--quick] [--peers] [--json FILE]
       npm run bench -- --plot FILE

  --quick      fewer and shorter rounds: indicative only
  --peers      measure other implementations too; as root, install those that are missing
  --json FILE  write the figures to FILE as well
  --plot FILE  measure nothing; draw what --json wrote to FILE, and make tables of it, in docs/performance

Without a SCENARIO all of them:

${SCENARIOS.map(({ name, about }) => `  ${name.padEnd(10)} ${about}`).join('\n')}
`;

/** Runs `chosen` in turn; `done` is told of all figures so far after each. */
async function runAll(
  chosen: readonly Scenario[],
  options: Options,
  done: (report: Report) => void,
): Promise<Report> {
  const rows: Row[] = [];
  const failed: { scenario: string; reason: string }[] = [];
  const report: Report = { machine: machine(), ...options, rows, failed };
  for (const scenario of chosen) {
    const { name } = scenario;
    console.error(`bench: ${name}: ${scenario.about}`);
    const began = performance.now();
    try {
      rows.push(...(await scenario.run(options)));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      failed.push({ scenario: name, reason });
      console.error(`bench: ${name}: no figures: ${reason}`);
    }
    console.error(`bench: ${name}: took ${((performance.now() - began) / 1000).toFixed(0)} s`);
    done(report);
  }
  return report;
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      quick: { type: 'boolean' },
      peers: { type: 'boolean' },
      json: { type: 'string' },
      plot: { type: 'string' },
      help: { type: 'boolean' },
    },
  });
  const unknown = positionals.find((name) => SCENARIOS.every((scenario) => scenario.name !== name));
  if (unknown !== undefined) throw new TypeError(`unknown scenario "${unknown}"\n\n${USAGE}`);
  if (values.help === true) {
    console.log(USAGE);
    return 0;
  }
  if (values.plot !== undefined) {
    if (positionals.length > 0) throw new TypeError('--plot draws all scenarios of its file; name none');
    for (const file of writePages(readReport(values.plot), SCENARIOS, PAGES)) console.log(file);
    return 0;
  }
  const chosen =
    positionals.length === 0 ? SCENARIOS : SCENARIOS.filter(({ name }) => positionals.includes(name));
  const options = { quick: values.quick === true, peers: values.peers === true };
  const began = performance.now();
  const { rows, failed } = await runAll(chosen, options, (report) => {
    // After each scenario: a sitting that is broken off has given what it gave.
    if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`);
  });
  if (rows.length > 0) console.log(table(rows));
  console.error(`bench: took ${((performance.now() - began) / 1000).toFixed(0)} s in all`);
  for (const { scenario, reason } of failed) console.log(`${scenario}: no figures: ${reason}`);
  return failed.length === 0 ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof TypeError)) throw error;
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
}
