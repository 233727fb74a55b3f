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
  /** Medians of other implementations, measured in turn with ours. */
  readonly peers?: Readonly<Record<string, number>>;
  /** How many times as good as each of them ours is. */
  readonly ratio?: Readonly<Record<string, number>>;
}

export interface Options {
  /** Fewer and shorter rounds: indicative only. */
  readonly quick: boolean;
  /** Measure other implementations too, and install them when they are missing. */
  readonly peers: boolean;
}

export interface Scenario {
  readonly name: string;
  /** One line for the list of scenarios. */
  readonly about: string;
  run(options: Options): Promise<Row[]>;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function spread(values: readonly number[]): number {
  return (Math.max(...values) - Math.min(...values)) / median(values);
}
