/**
 * `npm run fuzz -- [TARGET...] [--minutes N] [--seed N] [--episode N] [--save] [--list]`: coverage-guided fuzzing of
 * the codec, extraction and execution, fuzzing of the control socket, and random sequences for the datapath. Exit status: 0
 * when nothing was found, 1 when something was, 2 for a wrong command line.
 */

import { parseArgs } from 'node:util';
import { selectCorpus } from './corpus.js';
import { Coverage } from './coverage.js';
import { type Failure, Fuzzer, tryInput } from './fuzzer.js';
import { minimize } from './minimize.js';
import { Random } from './random.js';
import { episodeSeed, runSequence, SEQUENCES, type SequenceEntry } from './sequence.js';
import { ServiceFuzzer } from './service/service.js';
import { readInputs, readVectors, writeCorpus, writeFinding, writeSequenceFinding } from './store.js';
import { describeInput, type Target } from './target.js';
import { type ServiceEntry, TARGETS, type TargetEntry } from './targets/index.js';

const PACKAGES = new URL('../../../packages/', import.meta.url).href;
const REPORT_SECONDS = 10;

const NAMES = [...TARGETS, ...SEQUENCES].map(({ name }) => name);

const USAGE = `usage: npm run fuzz -- [TARGET...] [--minutes N] [--seed N] [--episode N] [--save] [--list]

  --minutes N  time for each target, default 1
  --seed N     start of the random numbers, 0..4294967295; default: another one each time, which is printed
  --episode N  begin with this episode of a sequence, as a finding names it
  --save       add to tools/fuzz/corpus what the vectors do not reach
  --list       the targets and what they do

Targets: ${NAMES.join(', ')}; default: all.`;

class UsageError extends Error {}

interface Arguments {
  readonly targets: readonly (TargetEntry | ServiceEntry)[];
  readonly sequences: readonly SequenceEntry[];
  readonly minutes: number;
  readonly seed: number;
  readonly episode: number;
  readonly save: boolean;
}

/** What is to be done; undefined when `--list` or `--help` has done it. */
function readArguments(): Arguments | undefined {
  const { values, positionals } = parse();
  if (values.help === true) {
    console.log(USAGE);
    return undefined;
  }
  if (values.list === true) {
    for (const { name, about } of [...TARGETS, ...SEQUENCES]) console.log(`${name.padEnd(13)} ${about}`);
    return undefined;
  }
  const unknown = positionals.find((name) => !NAMES.includes(name));
  if (unknown !== undefined) throw new UsageError(`there is no target "${unknown}"`);
  const minutes = Number(values.minutes ?? 1);
  if (!(minutes > 0)) throw new UsageError(`--minutes must be a number above 0, not "${values.minutes}"`);
  const seed = values.seed === undefined ? Math.floor(Math.random() * 2 ** 32) : Number(values.seed);
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32) {
    throw new UsageError(`--seed must be a whole number from 0 to 4294967295, not "${values.seed}"`);
  }
  const episode = Number(values.episode ?? 0);
  if (!Number.isInteger(episode) || episode < 0) {
    throw new UsageError(`--episode must be a whole number from 0, not "${values.episode}"`);
  }
  const isWanted = ({ name }: { name: string }): boolean =>
    positionals.length === 0 || positionals.includes(name);
  const [targets, sequences] = [TARGETS.filter(isWanted), SEQUENCES.filter(isWanted)];
  return { targets, sequences, minutes, seed, episode, save: values.save === true };
}

function parse() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        minutes: { type: 'string' },
        seed: { type: 'string' },
        episode: { type: 'string' },
        save: { type: 'boolean' },
        list: { type: 'boolean' },
        help: { type: 'boolean' },
      },
    });
  } catch (error) {
    // parseArgs says what it does not understand as a TypeError.
    throw error instanceof TypeError ? new UsageError(error.message) : error;
  }
}

/** Fuzzes one target; true when nothing was found. */
async function fuzz(
  entry: TargetEntry,
  coverage: Coverage,
  { minutes, seed, save }: Arguments,
): Promise<boolean> {
  const { name } = entry;
  const target = await entry.load();
  coverage.reset();
  const vectors = target.seeds(readVectors);
  const saved = readInputs(name, target);
  const seeds = [...vectors, ...saved];
  console.log(`${name}: seed ${seed}, ${seeds.length} inputs to start with`);

  const fuzzer = new Fuzzer(target, seeds, coverage, new Random(seed));
  const start = Date.now();
  const state = (): string => {
    const perSecond = Math.round(fuzzer.runs / ((Date.now() - start) / 1000));
    return `${fuzzer.runs} runs, ${perSecond}/s, ${fuzzer.found.length} new inputs, ${coverage.characters} characters reached`;
  };
  let reported = start;
  const failure = fuzzer.run(() => {
    const now = Date.now();
    if (now - reported >= REPORT_SECONDS * 1000) {
      reported = now;
      console.error(`  ${state()}`);
    }
    return now - start >= minutes * 60_000;
  });
  console.log(`${name}: ${state()}${failure === undefined ? ', nothing found' : ''}`);
  if (failure !== undefined) report(name, target, failure);
  if (save && failure === undefined) {
    const kept = selectCorpus(target, coverage, vectors, [...saved, ...fuzzer.found]);
    writeCorpus(name, kept);
    console.log(`${name}: ${kept.length} inputs saved`);
  }
  return failure === undefined;
}

/** Fuzzes a program from outside; true when nothing was found. */
async function fuzzService(entry: ServiceEntry, { minutes, seed }: Arguments): Promise<boolean> {
  const { name } = entry;
  const service = await entry.loadService();
  console.log(`${name}: seed ${seed}`);
  await service.start();
  try {
    const fuzzer = new ServiceFuzzer(service, new Random(seed));
    const start = Date.now();
    const state = (): string => `${fuzzer.runs} runs, ${fuzzer.answers} kinds of answers`;
    let reported = start;
    const failure = await fuzzer.run(() => {
      const now = Date.now();
      if (now - reported >= REPORT_SECONDS * 1000) {
        reported = now;
        console.error(`  ${state()}`);
      }
      return now - start >= minutes * 60_000;
    });
    console.log(`${name}: ${state()}${failure === undefined ? ', nothing found' : ''}`);
    if (failure === undefined) return true;
    const { input, error } = failure;
    const file = writeFinding(name, service, input, error.stack ?? error.message);
    console.log(
      `${name}: FINDING, written to ${file}\n${describeInput(service.parts, input)}\n${error.stack}`,
    );
    return false;
  } finally {
    await service.stop();
  }
}

function report(name: string, target: Target, { input, error }: Failure): void {
  console.error(`  found something: ${error.message.split('\n', 1)[0]}; making it smaller ...`);
  const small = minimize(target, input, error);
  const { stack } = tryInput(target, small) ?? error;
  const file = writeFinding(name, target, small, stack ?? error.message);
  console.log(`${name}: FINDING, written to ${file}\n${describeInput(target.parts, small)}\n${stack}`);
}

/** Runs episodes of one sequence; true when nothing was found. */
async function tryEpisodes(entry: SequenceEntry, { minutes, seed, episode }: Arguments): Promise<boolean> {
  const { name } = entry;
  const sequence = await entry.load(readVectors);
  console.log(`${name}: seed ${seed}, from episode ${episode}`);
  const end = Date.now() + minutes * 60_000;
  const randomOf = (number: number): Random => new Random(episodeSeed(seed, number));
  const outcome = await runSequence(sequence, randomOf, episode, () => Date.now() >= end);
  if (typeof outcome === 'number') {
    console.log(`${name}: ${outcome} episodes, nothing found`);
    return true;
  }
  const file = writeSequenceFinding(name, seed, outcome);
  const again = `npm run fuzz -- ${name} --seed ${seed} --episode ${outcome.episode}`;
  console.log(`${name}: FINDING, written to ${file}; again: ${again}\n${outcome.error.stack}`);
  return false;
}

async function main(): Promise<number> {
  const todo = readArguments();
  if (todo === undefined) return 0;
  // Before any target is loaded: only what is compiled from now on is counted.
  const coverage = new Coverage((url) => url.startsWith(PACKAGES));
  let found = false;
  for (const entry of todo.targets) {
    const clean = 'load' in entry ? await fuzz(entry, coverage, todo) : await fuzzService(entry, todo);
    if (!clean) found = true;
  }
  coverage.stop();
  for (const entry of todo.sequences) if (!(await tryEpisodes(entry, todo))) found = true;
  return found ? 1 : 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  console.error(`fuzz: ${error.message}\n\n${USAGE}`);
  process.exitCode = 2;
}
