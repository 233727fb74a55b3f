/** `npm run bench [-- SCENARIO...] [--quick] [--peers] [--json FILE]`: runs scenarios and prints their figures. */

import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { machine } from './machine.js';
import type { Options, Row, Scenario } from './scenario.js';
import { codec } from './scenarios/codec.js';
import { forward } from './scenarios/forward.js';
import { masks } from './scenarios/masks.js';
import { rewrite } from './scenarios/rewrite.js';
import { threads } from './scenarios/threads.js';
import { table } from './table.js';

const SCENARIOS: readonly Scenario[] = [forward, masks, rewrite, codec, threads];

const USAGE = `usage: npm run bench -- [SCENARIO...] [--quick] [--peers] [--json FILE]

  --quick      fewer and shorter rounds: indicative only
  --peers      measure other implementations too; as root, install those that are missing
  --json FILE  write the figures to FILE as well

Without a SCENARIO all of them:

${SCENARIOS.map(({ name, about }) => `  ${name.padEnd(10)} ${about}`).join('\n')}
`;

/** A scenario that gave no figures. */
interface Failure {
  readonly scenario: string;
  readonly reason: string;
}

/** Runs `chosen` in turn; `done` is told of all figures so far after each. Returns those that failed. */
async function runAll(
  chosen: readonly Scenario[],
  options: Options,
  done: (rows: readonly Row[], failed: readonly Failure[]) => void,
): Promise<readonly Failure[]> {
  const rows: Row[] = [];
  const failed: Failure[] = [];
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
    done(rows, failed);
  }
  if (rows.length > 0) console.log(table(rows));
  for (const { scenario, reason } of failed) console.log(`${scenario}: no figures: ${reason}`);
  return failed;
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
  const options = { quick: values.quick === true, peers: values.peers === true };
  const failed = await runAll(chosen, options, (rows, failures) => {
    // After each scenario: a sitting that is broken off has given what it gave.
    if (values.json === undefined) return;
    const report = { machine: machine(), ...options, rows, failed: failures };
    writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`);
  });
  return failed.length === 0 ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof TypeError)) throw error;
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
}
