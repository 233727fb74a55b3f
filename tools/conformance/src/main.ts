/**
 * The conformance command: `conformance [DIR] [--report FILE]` holds the packages against the vector files in DIR, by default the
 * project's own. One line per file on standard output, with the first differences below it.
 *
 * Exit status: 0 when every record passes or is a documented deviation, 1 when one does not, 2 when the command cannot
 * run (usage, no vectors, unreadable JSON, report not writable), with one sentence on standard error.
 */

import { statSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { VECTOR_FILES } from './files.js';
import { VectorError } from './record.js';
import { type FileResult, findVectorFile, runVectorFile } from './run.js';

const OWN_VECTORS = fileURLToPath(new URL('../../../vectors', import.meta.url));
/** Failing records of a file that are shown in full; all of them are in the report. */
const SHOWN = 5;

const sum = (numbers: readonly number[]): number => numbers.reduce((total, n) => total + n, 0);

function summary(result: FileResult): string {
  if (result.skipped !== undefined) {
    return `${result.file}: ${result.skipped.records} skipped: ${result.skipped.why}`;
  }
  const line = `${result.file}: ${result.passed} passed, ${result.failures.length} failed`;
  const deviations = sum(Object.values(result.deviations));
  return deviations === 0 ? line : `${line}, ${deviations} deviations`;
}

function print(result: FileResult): void {
  console.log(summary(result));
  for (const failure of result.failures.slice(0, SHOWN)) {
    console.log(`  record ${failure.id} ${failure.group}`.trimEnd());
    for (const difference of failure.differences) console.log(difference.replace(/^/gm, '    '));
  }
  const hidden = result.failures.length - SHOWN;
  if (hidden > 0) console.log(`  ... and ${hidden} more failing records (see --report)`);
}

function writeReport(path: string, directory: string, results: readonly FileResult[]): void {
  try {
    writeFileSync(path, `${JSON.stringify({ directory, files: results }, undefined, 2)}\n`);
  } catch (error) {
    throw new VectorError(
      `cannot write the report: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

/** Runs every vector file in `directory`; true when nothing failed. */
async function conformance(directory: string, report: string | undefined): Promise<boolean> {
  if (!isDirectory(directory)) {
    throw new VectorError(`${directory} is not a directory: give one that holds vector files`);
  }
  const results: FileResult[] = [];
  for (const file of VECTOR_FILES) {
    const path = findVectorFile(directory, file.name);
    if (path === undefined) continue;
    const result = await runVectorFile(file, path);
    print(result);
    results.push(result);
  }
  if (results.length === 0) {
    const names = VECTOR_FILES.map((file) => file.name).join(', ');
    throw new VectorError(`${directory} holds no vector file: expected one of ${names}, plain or with .gz`);
  }
  if (report !== undefined) writeReport(report, directory, results);
  return results.every((result) => result.failures.length === 0);
}

const USAGE = `usage: npm run conformance -- [DIR] [--report FILE]

Holds the packages against the vector files in DIR, by default the project's own vectors.
Transcripts (dpctl.jsonl) are played against switchd through Open vSwitch's ovs-appctl, and skipped where that is not installed.
--report FILE   writes all results as JSON`;

async function main(): Promise<number> {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        report: { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    });
    if (values.help === true) {
      console.log(USAGE);
      return 0;
    }
    if (positionals.length > 1) throw new VectorError(`give one directory, not ${positionals.length}`);
    const passed = await conformance(positionals[0] ?? OWN_VECTORS, values.report);
    return passed ? 0 : 1;
  } catch (error) {
    // VectorError is ours, a TypeError that of parseArgs; both messages are meant for people.
    if (!(error instanceof VectorError) && !(error instanceof TypeError)) throw error;
    console.error(`conformance: ${error.message}`);
    return 2;
  }
}

process.exitCode = await main();
