/** Rows of one scenario as a picture: lines over an axis where points have one, else one line of marks for each point. */

import type { Row } from '../scenario.js';
import { figure } from '../table.js';
import { element, line, mark, page, type Scale, scaleOf, text, tick } from './svg.js';

const WIDTH = 760;
const LEFT = 64;
const RIGHT = 24;
/** Of a panel: heading, plot, ticks. */
const TOP = 44;
const PLOT = 220;
const BOTTOM = 48;
/** Of a panel of marks: width of the names, height of a point. */
const NAMES = 330;
const STEP = 22;
const VALUES = 90;

const OURS = 'Etherloom';

/** A figure of someone: the mark, and how far its rounds lay apart. */
interface Figure {
  readonly series: number;
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

interface Panel {
  readonly height: number;
  readonly body: string;
}

/** Everything less of which is better, by its unit; of anything else more is. */
const LESS = new Set(['%', 'ns', 'us', 'ms', 's', 'B', 'KiB', 'MiB', 'bytes']);
const better = (unit: string): string => `${LESS.has(unit) ? 'less' : 'more'} is better`;

/** An SVG document of all `rows`, which are of one scenario. */
export function chart(scenario: string, rows: readonly Row[]): string {
  // The same colour for the same peer throughout.
  const names = [OURS, ...new Set(rows.flatMap(({ peers }) => Object.keys(peers ?? {})))];
  const panels = groups(rows).map((group) => (group[0]!.axis === undefined ? marks : lines)(group, names));
  let y = 28;
  const body = [
    legend(names),
    ...panels.map((panel) => {
      const placed = element('g', { transform: `translate(0 ${y})` }, panel.body);
      y += panel.height;
      return placed;
    }),
  ];
  return page(
    WIDTH,
    y,
    `${scenario}: ${[...new Set(rows.map(({ metric }) => metric))].join(', ')}`,
    body.join('\n'),
  );
}

/**
 * Rows that share a panel: the same metric and series on an axis; without one the same metric when it has several points,
 * else the same unit.
 */
function groups(rows: readonly Row[]): Row[][] {
  const found = new Map<string, Row[]>();
  for (const row of rows) {
    const { unit, metric, axis } = row;
    const alone = rows.filter((other) => other.metric === metric && other.unit === unit).length === 1;
    const place = axis === undefined ? [] : [axis.label, axis.series];
    const key = JSON.stringify([unit, axis === undefined && alone ? '' : metric, ...place]);
    found.set(key, [...(found.get(key) ?? []), row]);
  }
  return [...found.values()];
}

function figuresOf(row: Row, names: readonly string[]): Figure[] {
  const spreadBar = (series: number, value: number, spread: number): Figure => ({
    series,
    value,
    low: value * Math.max(0, 1 - spread / 2),
    high: value * (1 + spread / 2),
  });
  return names.flatMap((name, series) => {
    if (series === 0) return [spreadBar(0, row.ours, row.spread)];
    const value = row.peers?.[name];
    return value === undefined ? [] : [spreadBar(series, value, row.peerSpreads?.[name] ?? 0)];
  });
}

function legend(names: readonly string[]): string {
  let x = 16;
  return names
    .map((name, series) => {
      const entry = mark(series, x, 14) + text(x + 10, 18, name);
      x += 34 + name.length * 7;
      return entry;
    })
    .join('');
}

const heading = (what: string): string => text(16, 24, what, { class: 'title' });

const extent = (all: readonly Figure[]): number[] => all.flatMap(({ value, high }) => [value, high]);

function lines(rows: readonly Row[], names: readonly string[]): Panel {
  const sorted = [...rows].sort((a, b) => (a.axis?.value ?? 0) - (b.axis?.value ?? 0));
  const { metric, unit, axis } = sorted[0]!;
  const points = sorted.map((row) => ({ x: row.axis?.value ?? 0, figures: figuresOf(row, names) }));
  const xs = scaleOf(
    points.map(({ x }) => x),
    LEFT,
    WIDTH - RIGHT,
  );
  const ys = scaleOf(extent(points.flatMap(({ figures }) => figures)), TOP + PLOT, TOP);
  const title = axis?.series === undefined ? metric : `${metric}, ${axis.series}`;
  const body = [
    heading(`${title} (${unit}, ${better(unit)})`),
    ...ys.ticks.map(
      (value) =>
        line('grid', LEFT, ys.at(value), WIDTH - RIGHT, ys.at(value)) +
        text(LEFT - 8, ys.at(value) + 4, tick(value), { 'text-anchor': 'end' }),
    ),
    ...xs.ticks.map((value) => text(xs.at(value), TOP + PLOT + 18, tick(value), { 'text-anchor': 'middle' })),
    text((LEFT + WIDTH - RIGHT) / 2, TOP + PLOT + 36, axis?.label ?? '', { 'text-anchor': 'middle' }),
  ];
  for (const series of names.keys()) {
    const mine = points.flatMap(({ x, figures }) =>
      figures.filter((one) => one.series === series).map((one) => ({ ...one, at: xs.at(x) })),
    );
    const path = mine.map(({ at, value }) => `${at.toFixed(1)},${ys.at(value).toFixed(1)}`).join(' ');
    body.push(element('polyline', { class: `l${series}`, points: path }));
    for (const { at, value, low, high } of mine) {
      body.push(line(`l${series}`, at, ys.at(low), at, ys.at(high)), mark(series, at, ys.at(value)));
    }
  }
  return { height: TOP + PLOT + BOTTOM, body: body.join('\n') };
}

function marks(rows: readonly Row[], names: readonly string[]): Panel {
  const { unit } = rows[0]!;
  const all = rows.map((row) => figuresOf(row, names));
  const xs: Scale = scaleOf(extent(all.flat()), NAMES, WIDTH - VALUES);
  const end = TOP + rows.length * STEP;
  const body = [
    heading(
      differ(rows, 'metric') ? `${unit}, ${better(unit)}` : `${rows[0]!.metric} (${unit}, ${better(unit)})`,
    ),
    ...xs.ticks.map(
      (value) =>
        line('grid', xs.at(value), TOP - 6, xs.at(value), end) +
        text(xs.at(value), end + 16, tick(value), { 'text-anchor': 'middle' }),
    ),
  ];
  for (const [i, row] of rows.entries()) {
    const y = TOP + i * STEP + STEP / 2;
    body.push(text(NAMES - 10, y + 4, nameOf(row, rows), { 'text-anchor': 'end' }));
    body.push(text(WIDTH - VALUES + 12, y + 4, figure(row.ours)));
    for (const { series, value, low, high } of all[i]!) {
      body.push(line(`l${series}`, xs.at(low), y, xs.at(high), y), mark(series, xs.at(value), y));
    }
  }
  return { height: end + BOTTOM - 16, body: body.join('\n') };
}

const differ = (rows: readonly Row[], what: 'point' | 'metric'): boolean =>
  new Set(rows.map((row) => row[what])).size > 1;

/** What tells a row from the others of its panel, as far as it fits. */
function nameOf({ point, metric }: Row, rows: readonly Row[]): string {
  const parts = [...(differ(rows, 'point') ? [point] : []), ...(differ(rows, 'metric') ? [metric] : [])];
  const name = parts.length === 0 ? point : parts.join(', ');
  const most = Math.floor((NAMES - 20) / 6.2);
  return name.length <= most ? name : `…${name.slice(1 - most)}`;
}
