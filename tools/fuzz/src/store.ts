/**
 * The files of the fuzzer: vectors and saved corpora are read as seeds, findings are written down and become seeds, so
 * that the next run starts with what failed.
 */

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import type { SequenceFailure } from './sequence.js';
import { describeInput, fromHex, type Input, type Target, toHex, type VectorRecord } from './target.js';

const folder = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const VECTORS = folder('../../../vectors');
const CORPUS = folder('../corpus');
const FINDINGS = folder('../findings');

function readLines(file: string): unknown[] {
  const lines = gunzipSync(readFileSync(file)).toString('utf8').split('\n');
  return lines.filter((line) => line !== '').map((line): unknown => JSON.parse(line));
}

const isRecord = (value: unknown): value is VectorRecord => typeof value === 'object' && value !== null;

/** The records of `vectors/NAME.jsonl.gz`. */
export const readVectors = (name: string): readonly VectorRecord[] =>
  readLines(`${VECTORS}/${name}.jsonl.gz`).filter(isRecord);

/** An input as it is stored: a list of hexadecimal strings, one for each part. */
function inputOf(stored: unknown, parts: number): Input[] {
  const good = Array.isArray(stored) && stored.length === parts;
  return good && stored.every((part) => typeof part === 'string') ? [stored.map(fromHex)] : [];
}

/** Saved inputs and earlier findings of the target `name`. What does not fit its parts any more is left out. */
export function readInputs(name: string, target: Target): Input[] {
  const corpus = `${CORPUS}/${name}.jsonl.gz`;
  const saved = existsSync(corpus) ? readLines(corpus) : [];
  const found = existsSync(FINDINGS)
    ? readdirSync(FINDINGS)
        .filter((file) => file.startsWith(`${name}-`) && file.endsWith('.json'))
        .map((file): unknown => JSON.parse(readFileSync(`${FINDINGS}/${file}`, 'utf8')))
        .map((finding) => (isRecord(finding) ? finding.input : undefined))
    : [];
  return [...found, ...saved].flatMap((stored) => inputOf(stored, target.parts.length));
}

/** Replaces the saved corpus of a target. */
export function writeCorpus(name: string, inputs: readonly Input[]): void {
  mkdirSync(CORPUS, { recursive: true });
  const lines = inputs.map((input) => `${JSON.stringify(input.map(toHex))}\n`);
  writeFileSync(`${CORPUS}/${name}.jsonl.gz`, gzipSync(lines.join(''), { level: 9 }));
}

/** Writes a finding down; returns the file. */
export function writeFinding(
  name: string,
  target: Pick<Target, 'parts'>,
  input: Input,
  stack: string,
): string {
  mkdirSync(FINDINGS, { recursive: true });
  const id = createHash('sha256').update(input.map(toHex).join()).digest('hex').slice(0, 10);
  const file = `${FINDINGS}/${name}-${id}.json`;
  const finding = {
    target: name,
    input: input.map(toHex),
    readable: describeInput(target.parts, input).split('\n'),
    error: stack.split('\n'),
  };
  writeFileSync(file, `${JSON.stringify(finding, undefined, 2)}\n`);
  return file;
}

/** Writes a finding of a sequence down: its numbers repeat it. Returns the file. */
export function writeSequenceFinding(
  name: string,
  seed: number,
  { episode, error, steps }: SequenceFailure,
): string {
  mkdirSync(FINDINGS, { recursive: true });
  const file = `${FINDINGS}/${name}-${seed}-${episode}.txt`;
  writeFileSync(file, `${error.stack}\n\nlast steps:\n${steps.join('\n')}\n`);
  return file;
}
