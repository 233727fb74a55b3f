/** What a benchmark is, and the rows that it yields. */

/** One figure: medians of rounds, with the spread between them. */
export interface Row {
  readonly scenario: string;
  /** The setting measured, such as "1 flow" or "64 B". */
  readonly point: string;
  readonly metric: string;
  readonly unit: string;
  /** Median of the rounds. */
  readonly ours: number;
  /** (highest - lowest) / median of the rounds. */
  readonly spread: number;
  /** Medians of other implementations, measured in turn with ours, and the spreads of theirs. */
  readonly peers?: Readonly<Record<string, number>>;
  readonly peerSpreads?: Readonly<Record<string, number>>;
  /** How many times as good as each of them ours is. */
  readonly ratio?: Readonly<Record<string, number>>;
  /** For plots: rows of one scenario, metric and series make a line. Rows without it become bars. */
  readonly axis?: Axis;
}

/** Where a point lies among others like it. */
export interface Axis {
  /** What is counted, such as "five-tuples". */
  readonly label: string;
  readonly value: number;
  /** What the points of one line have in common and others of the scenario have not, such as "flow by port". */
  readonly series?: string;
}

export interface Options {
  /** Fewer and shorter rounds: indicative only. */
  readonly quick: boolean;
  /** Measure other implementations too, and install them when they are missing. */
  readonly peers: boolean;
}

/** One file in scenarios/, and one line in main.ts. */
export interface Scenario {
  readonly name: string;
  /** One line for the list of scenarios. */
  readonly about: string;
  /**
   * Measures. Throws when it cannot: that is reported, and the other scenarios go on. A peer that cannot take part is left
   * out with a line on the standard error; quick runs take ten seconds at most.
   */
  run(options: Options): Promise<Row[]>;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** 0 when the median is 0: there is nothing to compare with. */
export function spread(values: readonly number[]): number {
  const middle = Math.abs(median(values));
  return middle === 0 ? 0 : (Math.max(...values) - Math.min(...values)) / middle;
}
