/** What `--json` wrote, read again: pictures and tables in the folder of the documentation. */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Machine } from '../machine.js';
import type { Row, Scenario } from '../scenario.js';
import { figure } from '../table.js';
import { chart } from './charts.js';

/** The document of `--json`. */
export interface Report {
  readonly machine: Machine;
  readonly quick: boolean;
  readonly peers: boolean;
  readonly rows: readonly Row[];
  /** Scenarios that gave no figures, and why. */
  readonly failed: readonly { readonly scenario: string; readonly reason: string }[];
}

/** Throws a TypeError that says what is wrong with `file`. */
export function readReport(file: string): Report {
  let report: unknown;
  try {
    report = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new TypeError(`${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (!isReport(report)) {
    throw new TypeError(`${file} holds no figures of a benchmark; give what --json FILE wrote`);
  }
  return report;
}

/** Writes a picture and a table for each scenario of `report` into `folder`; other scenarios' stay. Returns the files. */
export function writePages(report: Report, scenarios: readonly Scenario[], folder: string): string[] {
  const readme = join(folder, 'README.md');
  let page = existsSync(readme) ? readFileSync(readme, 'utf8') : '# Performance\n';
  const files: string[] = [];
  for (const name of new Set(report.rows.map(({ scenario }) => scenario))) {
    const rows = report.rows.filter(({ scenario }) => scenario === name);
    const file = join(folder, `${name}.svg`);
    writeFileSync(file, chart(name, rows));
    files.push(file);
    const about = scenarios.find((scenario) => scenario.name === name)?.about ?? '';
    page = replaceSection(page, name, section(name, about, rows, report));
  }
  writeFileSync(readme, page);
  return [...files, readme];
}

/** Puts `text` between the marks of section `name`, at the end when there are none. */
export function replaceSection(page: string, name: string, text: string): string {
  const [begin, end] = [`<!-- figures of ${name} -->`, `<!-- end of ${name} -->`];
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  const marked = `${begin}\n\n${text}\n${end}`;
  if (from < 0 || to < from) return `${page.trimEnd()}\n\n${marked}\n`;
  return page.slice(0, from) + marked + page.slice(to + end.length);
}

function section(name: string, about: string, rows: readonly Row[], report: Report): string {
  const { cpu, cores, memoryGiB, kernel, node } = report.machine;
  const command = `npm run bench -- ${name}${report.peers ? ' --peers' : ''}${report.quick ? ' --quick' : ''}`;
  return `## ${name}

${about[0]?.toUpperCase() ?? ''}${about.slice(1)}.

![${name}](${name}.svg)

${markdown(rows)}
\`${command}\` on ${cores} cores of ${cpu}, ${memoryGiB} GiB, ${kernel}, Node ${node}.
`;
}

function markdown(rows: readonly Row[]): string {
  const peers = [...new Set(rows.flatMap((row) => Object.keys(row.peers ?? {})))];
  const head = ['point', 'metric', 'unit', 'ours', 'spread', ...peers.flatMap((peer) => [peer, 'ratio'])];
  const lines = rows.map((row) => [
    row.point,
    row.metric,
    row.unit,
    figure(row.ours),
    percent(row.spread),
    ...peers.flatMap((peer) => [
      cell(row.peers?.[peer]) +
        (row.peers?.[peer] === undefined ? '' : ` ± ${percent((row.peerSpreads?.[peer] ?? 0) / 2)}`),
      cell(row.ratio?.[peer]),
    ]),
  ]);
  const table = [head, head.map((_, i) => (i < 3 ? '---' : '--:')), ...lines];
  return `${table.map((cells) => `| ${cells.map((text) => text.replaceAll('|', '\\|')).join(' | ')} |`).join('\n')}\n`;
}

const cell = (value: number | undefined): string => (value === undefined ? '' : figure(value));
const percent = (value: number): string => `${(value * 100).toFixed(0)} %`;

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;

function isReport(value: unknown): value is Report {
  return (
    isObject(value) &&
    'machine' in value &&
    isMachine(value.machine) &&
    'quick' in value &&
    'peers' in value &&
    'failed' in value &&
    Array.isArray(value.failed) &&
    'rows' in value &&
    Array.isArray(value.rows) &&
    value.rows.every(isRow)
  );
}

const isMachine = (value: unknown): value is Machine =>
  isObject(value) &&
  ['cpu', 'cores', 'memoryGiB', 'kernel', 'node'].every((key) =>
    ['string', 'number'].includes(typeof Reflect.get(value, key)),
  );

const isRow = (value: unknown): value is Row =>
  isObject(value) &&
  ['scenario', 'point', 'metric', 'unit'].every((key) => typeof Reflect.get(value, key) === 'string') &&
  ['ours', 'spread'].every((key) => typeof Reflect.get(value, key) === 'number') &&
  ['peers', 'peerSpreads', 'ratio'].every((key) => {
    const figures: unknown = Reflect.get(value, key);
    return (
      figures === undefined ||
      (isObject(figures) && Object.values(figures).every((one) => typeof one === 'number'))
    );
  }) &&
  (!('axis' in value) || (isObject(value.axis) && typeof Reflect.get(value.axis, 'value') === 'number'));
