/** Figures become pictures and tables, whatever they are called and however far apart they lie. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { chart } from '../src/plot/charts.js';
import { type Report, readReport, writePages } from '../src/plot/report.js';
import { scaleOf, tick } from '../src/plot/svg.js';
import type { Row, Scenario } from '../src/scenario.js';

const row = (more: Partial<Row>): Row => ({
  scenario: 'forward',
  point: '1 five-tuple',
  metric: 'processor time per packet',
  unit: 'ns',
  ours: 100,
  spread: 0.1,
  ...more,
});
const onAxis = (value: number, ours: number, series?: string): Row =>
  row({
    point: `${value} five-tuples, flow by ${series ?? 'port'}`,
    ours,
    peers: { 'A & B <fast>': ours * 2 },
    peerSpreads: { 'A & B <fast>': 0.2 },
    ratio: { 'A & B <fast>': 2 },
    axis: { label: 'five-tuples', value, ...(series === undefined ? {} : { series }) },
  });
const ROWS = [
  ...[1, 1000, 1_000_000].flatMap((value) => [onAxis(value, 40 + value / 1e5, 'x'), onAxis(value, 30, 'y')]),
  row({ point: 'a | b', metric: 'm', unit: 'lines/s', ours: 123_456 }),
  row({ point: 'nothing', metric: 'm', unit: 'lines/s', ours: 0, spread: 0 }),
];

describe('chart', () => {
  it('has a line for each of ours and the peers in each series, and a mark for each figure', () => {
    const svg = chart('forward', ROWS);
    // Two panels of lines with two lines of three points each; a panel of marks with one each.
    expect(svg.match(/<polyline/g)?.length).toBe(4);
    const [legend, figures] = [2, 2 * 2 * 3 + 2];
    expect(svg.match(/<path class="f/g)?.length).toBe(legend + figures);
    expect(svg).toContain('A &amp; B &lt;fast&gt;');
    expect(svg).toContain('prefers-color-scheme:dark');
    expect(svg).not.toMatch(/NaN|Infinity|undefined/);
    for (const label of ['>1<', '>1k<', '>1M<']) expect(svg).toContain(label);
  });

  it('places points on a logarithmic axis at equal distances for equal ratios', () => {
    const scale = scaleOf([1, 10, 1000], 0, 300);
    expect(scale.ticks).toEqual([1, 10, 100, 1000]);
    expect([1, 10, 1000].map((value) => Math.round(scale.at(value)))).toEqual([0, 100, 300]);
    expect(scale.at(0)).toBe(0);
  });

  it.each([[[0]], [[3]], [[7, 12]], [[0.012]], [[0, 5_000_000]]])(
    'a linear axis begins at 0 and holds all of %j',
    (values) => {
      const { at, ticks } = scaleOf(values, 100, 0);
      expect(ticks[0]).toBe(0);
      expect(ticks.at(-1)).toBeGreaterThanOrEqual(Math.max(...values));
      expect(ticks.length).toBeLessThanOrEqual(7);
      expect(at(0)).toBe(100);
      for (const value of values) expect(at(value)).toBeGreaterThanOrEqual(0);
    },
  );

  it('writes large ticks short', () => {
    expect([1, 1000, 1_500_000, 0.25, 0.30000000000000004].map(tick)).toEqual([
      '1',
      '1k',
      '1.5M',
      '0.25',
      '0.3',
    ]);
  });
});

describe('pages', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'etl-plot-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const report = (rows: readonly Row[]): Report => ({
    machine: { cpu: 'C', cores: 2, memoryGiB: 4, kernel: 'linux 6', node: 'v20' },
    quick: false,
    peers: true,
    rows,
    failed: [],
  });
  const scenarios: Scenario[] = [{ name: 'forward', about: 'from here to there', run: async () => [] }];

  it('replace what they said of a scenario before, and nothing else', () => {
    writeFileSync(join(folder, 'README.md'), '# Title\n\nProse.\n');
    writePages(report([...ROWS, row({ scenario: 'other' })]), scenarios, folder);
    writeFileSync(
      join(folder, 'README.md'),
      `${readFileSync(join(folder, 'README.md'), 'utf8')}\nMore prose.\n`,
    );
    const files = writePages(report([row({ ours: 777 })]), scenarios, folder);
    expect(files).toEqual([join(folder, 'forward.svg'), join(folder, 'README.md')]);
    const page = readFileSync(join(folder, 'README.md'), 'utf8');
    expect(page).toMatch(/^# Title\n\nProse\.\n/);
    expect(page).toMatch(/More prose\.\n$/);
    expect(page.match(/^## /gm)).toEqual(['## ', '## ']);
    expect(page).toContain('From here to there.');
    expect(page).toContain('| 1 five-tuple | processor time per packet | ns | 777 | 10 % |');
    expect(page).not.toContain('a \\| b');
    expect(page).toContain('`npm run bench -- forward --peers` on 2 cores of C, 4 GiB, linux 6, Node v20.');
  });

  it('come from what --json wrote; anything else is refused by name', () => {
    const file = join(folder, 'figures.json');
    writeFileSync(file, JSON.stringify(report(ROWS)));
    expect(readReport(file)).toEqual(report(ROWS));
    for (const text of ['', '{}', JSON.stringify({ ...report([]), rows: [{ scenario: 'x' }] })]) {
      writeFileSync(file, text);
      expect(() => readReport(file)).toThrow(
        expect.objectContaining({ message: expect.stringContaining(file) }),
      );
    }
    expect(() => readReport(join(folder, 'none'))).toThrow(TypeError);
  });
});
