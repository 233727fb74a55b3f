/** As much of SVG as plots need: elements, scales with round ticks, and a page that is legible on light and dark. */

/** Attribute values are text of ours or numbers; text of others goes through `text`. */
export function element(
  name: string,
  attributes: Readonly<Record<string, string | number>>,
  inside = '',
): string {
  const list = Object.entries(attributes).map(([key, value]) => ` ${key}="${short(value)}"`);
  return `<${name}${list.join('')}${inside === '' ? '/>' : `>${inside}</${name}>`}`;
}

const short = (value: string | number): string | number =>
  typeof value === 'number' ? Math.round(value * 10) / 10 : value;

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' };
const escaped = (text: string): string => text.replace(/[&<>]/g, (char) => ENTITIES[char]!);

export function text(
  x: number,
  y: number,
  content: string,
  attributes: Readonly<Record<string, string>> = {},
): string {
  return element('text', { x, y, ...attributes }, escaped(content));
}

/** Positions of values on one axis. */
export interface Scale {
  at(value: number): number;
  readonly ticks: readonly number[];
}

/** Values more than this apart are shown by powers of ten. */
const LOG_FROM = 30;

/** From `low` to `high` (pixels) for `values`, logarithmic when they are far apart; from 0 otherwise. */
export function scaleOf(values: readonly number[], low: number, high: number): Scale {
  // All 0: any axis will do.
  const most = Math.max(...values) || 1;
  const positive = values.filter((value) => value > 0);
  const least = Math.min(...positive);
  if (positive.length > 0 && most / least >= LOG_FROM) return logarithmic(least, most, low, high);
  const step = roundStep(most / 5);
  const top = Math.ceil(most / step - 1e-9) * step;
  const ticks = Array.from({ length: Math.round(top / step) + 1 }, (_, i) => i * step);
  return { at: (value) => low + (value / top) * (high - low), ticks };
}

function logarithmic(least: number, most: number, low: number, high: number): Scale {
  const first = Math.floor(Math.log10(least) + 1e-9);
  const last = Math.max(Math.ceil(Math.log10(most) - 1e-9), first + 1);
  return {
    // What is below the axis, or 0, sits on its end.
    at: (value) =>
      low + ((Math.max(Math.log10(Math.max(value, 1e-300)), first) - first) / (last - first)) * (high - low),
    ticks: Array.from({ length: last - first + 1 }, (_, i) => 10 ** (first + i)),
  };
}

/** The next of 1, 2, 5, 10, 20... */
function roundStep(step: number): number {
  const power = 10 ** Math.floor(Math.log10(step));
  return power * ([1, 2, 5].find((times) => times * power >= step * (1 - 1e-9)) ?? 10);
}

/** 1000 as "1k". */
export function tick(value: number): string {
  if (value >= 1e6) return `${+(value / 1e6).toPrecision(3)}M`;
  if (value >= 1e3) return `${+(value / 1e3).toPrecision(3)}k`;
  return String(+value.toPrecision(3));
}

/** By place in the legend; colours that those who see fewer of them tell apart too (Okabe and Ito), and shapes. */
export const SERIES = 6;
const LIGHT = ['#0072b2', '#d55e00', '#008560', '#b3478f', '#9a6a00', '#555555'];
const DARK = ['#56b4e9', '#ff8c42', '#2fcb9c', '#ee9fcb', '#f0c04a', '#b0b0b0'];
const SHAPES = [
  'M-4 0A4 4 0 1 0 4 0A4 4 0 1 0 -4 0Z',
  'M-4 -4H4V4H-4Z',
  'M0 -5L5 4H-5Z',
  'M0 -5L5 0L0 5L-5 0Z',
  'M0 5L5 -4H-5Z',
  'M-4 -1.5H4V1.5H-4Z',
];

/** The mark of a series at a point. */
export const mark = (series: number, x: number, y: number): string =>
  element('path', {
    class: `f${series % SERIES}`,
    d: SHAPES[series % SERIES]!,
    transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})`,
  });

export const line = (kind: string, x1: number, y1: number, x2: number, y2: number): string =>
  element('line', { class: kind, x1, y1, x2, y2 });

export function page(width: number, height: number, title: string, body: string): string {
  const colours = (of: readonly string[]): string =>
    of.map((colour, i) => `.f${i}{fill:${colour}}.l${i}{stroke:${colour}}`).join('');
  const style =
    `text{font:12px sans-serif;fill:#222}.title{font-weight:bold}.page{fill:#fff}.grid{stroke:#ddd}` +
    `polyline{fill:none;stroke-width:1.5}line{stroke-width:1}${colours(LIGHT)}` +
    `@media(prefers-color-scheme:dark){text{fill:#ddd}.page{fill:#0d1117}.grid{stroke:#333}${colours(DARK)}}`;
  const shape = { xmlns: 'http://www.w3.org/2000/svg', viewBox: `0 0 ${width} ${height}`, width, height };
  const inside = [
    element('title', {}, escaped(title)),
    element('style', {}, style),
    element('rect', { class: 'page', width, height }),
    body,
  ];
  return `${element('svg', { ...shape, role: 'img' }, `\n${inside.join('\n')}\n`)}\n`;
}
