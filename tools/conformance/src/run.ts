/** Runs vector files: reads them, checks every record and sorts the results into passed, failed and deviations. */

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { DEVIATIONS } from './deviations.js';
import type { VectorFile } from './files.js';
import { parseRecord, VectorError, type VectorRecord } from './record.js';

export interface Failure {
  /** The record's `id` as JSON; its line when it has none. */
  readonly id: string;
  readonly group: string;
  readonly differences: readonly string[];
}

export interface FileResult {
  readonly file: string;
  readonly passed: number;
  readonly failures: readonly Failure[];
  /** Number of records by deviation; by several, joined by " + ", for one whose differences need as many rules. */
  readonly deviations: Readonly<Record<string, number>>;
  /** Records that could not be checked here, and why. */
  readonly skipped?: { readonly records: number; readonly why: string };
}

/** The path of `name` in `directory`, plain or compressed; undefined when there is neither. */
export function findVectorFile(directory: string, name: string): string | undefined {
  return [name, `${name}.gz`].map((file) => join(directory, file)).find((path) => existsSync(path));
}

/**
 * Checks every record of the vector file at `path`. An exception in a check is a failure of that record. Throws a
 * {@link VectorError} when the file cannot be read or a line is not a record.
 */
export async function runVectorFile(
  file: VectorFile,
  path: string,
  deviations = DEVIATIONS,
): Promise<FileResult> {
  const failures: Failure[] = [];
  const counts: Record<string, number> = {};
  const records = readRecords(path);
  const why = file.unavailable?.();
  if (why !== undefined) {
    return {
      file: file.name,
      passed: 0,
      failures,
      deviations: counts,
      skipped: { records: records.length, why },
    };
  }
  let passed = 0;
  for (const { line, record } of records) {
    const differences = await checkRecord(file, record, `${path}, line ${line}`);
    if (differences.length === 0) {
      passed++;
      continue;
    }
    const rules = differences.map((difference) =>
      deviations.find((deviation) => deviation.explains(file.name, record, difference)),
    );
    const unexplained = differences.filter((_, index) => rules[index] === undefined);
    if (unexplained.length > 0) {
      failures.push({ ...nameOf(record, line), differences: unexplained });
      continue;
    }
    const ids = [...new Set(rules.map((rule) => rule?.id))].sort().join(' + ');
    counts[ids] = (counts[ids] ?? 0) + 1;
  }
  return { file: file.name, passed, failures, deviations: counts };
}

async function checkRecord(file: VectorFile, record: VectorRecord, where: string): Promise<string[]> {
  try {
    return await file.check(record);
  } catch (error) {
    if (error instanceof VectorError) throw new VectorError(`${where}: ${error.message}`);
    return [`threw ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`];
  }
}

function nameOf(record: VectorRecord, line: number): { id: string; group: string } {
  const id = record.id === undefined ? `line ${line}` : JSON.stringify(record.id);
  return { id, group: typeof record.group === 'string' ? record.group : '' };
}

function readRecords(path: string): { line: number; record: VectorRecord }[] {
  return readText(path)
    .split('\n')
    .flatMap((text, index) => {
      if (text.trim() === '') return [];
      try {
        return [{ line: index + 1, record: parseRecord(text) }];
      } catch (error) {
        throw new VectorError(`${path}, line ${index + 1}: ${messageOf(error)}`);
      }
    });
}

function readText(path: string): string {
  try {
    const bytes = readFileSync(path);
    return (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('utf8');
  } catch (error) {
    throw new VectorError(`cannot read ${path}: ${messageOf(error)}`);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
