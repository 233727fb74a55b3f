/** Reading actions from text: the state that the handlers of the action table share. */
import type { NlWriter } from '../netlink.js';
import type { ParseOptions } from '../text/options.js';
import type { Scanner } from '../text/scanner.js';
import { ACTIONS_MAX, TEXT_NESTING_MAX } from './attrs.js';

/** Base of the integer that a conversion of a pattern reads. */
const BASES: Readonly<Record<string, 0 | 10 | 16>> = { i: 0, u: 10, x: 16 };

/** A literal text, or the base of an integer. */
type Part = string | 0 | 10 | 16;

const parts = new Map<string, readonly Part[]>();

/** Takes a pattern apart, once: there are some dozens of them, and the taking apart is longer than the reading. */
function partsOf(pattern: string): readonly Part[] {
  const known = parts.get(pattern);
  if (known !== undefined) return known;
  const found = pattern
    .split(/(%[iux])/)
    .filter((part) => part !== '')
    .map((part) => (part.startsWith('%') ? BASES[part.charAt(1)]! : part));
  parts.set(pattern, found);
  return found;
}

/** As many numbers as a pattern has conversions. */
type Integers<P extends string> = P extends `${string}%${infer Rest}` ? [number, ...Integers<Rest>] : [];

export class ActionReader {
  readonly scan: Scanner;
  readonly out: NlWriter;
  readonly options: ParseOptions;
  readonly strict: boolean;
  /** Nesting level of the action being read, 1 at the top. */
  depth = 0;
  readonly #readOne: (reader: ActionReader) => void;

  /** `readOne` reads a single action at the position and appends it to `out`. */
  constructor(scan: Scanner, out: NlWriter, options: ParseOptions, readOne: (reader: ActionReader) => void) {
    this.scan = scan;
    this.out = out;
    this.options = options;
    this.strict = options.strict === true;
    this.#readOne = readOne;
  }

  /** Reads one action, one level deeper. */
  action(): void {
    const start = this.scan.position;
    if (++this.depth > TEXT_NESTING_MAX) {
      this.scan.fail(`at most ${TEXT_NESTING_MAX} levels of nested actions`);
    }
    this.#readOne(this);
    this.checkSize(0, start);
    this.depth--;
  }

  /** Reads actions up to the `)` that ends their list, which stays. No separator is needed between them. */
  list(): void {
    const { scan } = this;
    for (;;) {
      scan.skipDelimiters();
      if (scan.at(')')) return;
      this.action();
    }
  }

  /** Reads a list up to its `)` into attribute `attr`. A lone `drop` is how an empty list prints. */
  nestedList(attr: number): void {
    const mark = this.out.begin(attr);
    if (this.strict || !this.#emptyList()) this.list();
    this.end(mark);
  }

  /** Closes a nested attribute. */
  end(mark: number): void {
    this.checkSize(mark, this.scan.position);
    this.out.end(mark);
  }

  /**
   * Reads `pattern`, in which %i, %u and %x stand for integers (base taken from the text, 10, 16) and everything else
   * for itself, and returns the low 32 bits of each integer.
   */
  pattern<const P extends string>(pattern: P): Integers<P> {
    // One number per conversion, which is what the type counts.
    return this.#read(pattern) as Integers<P>;
  }

  /** Reads a pattern with exactly one conversion. */
  number(pattern: string): number {
    return this.#read(pattern)[0]!;
  }

  /** A datapath port: a number, or a name where the options know it and the reader is not strict. */
  port(): number {
    const { scan } = this;
    const no = scan.u32();
    if (no !== undefined) return no;
    const name = scan.until(', \t\r\n()');
    const found = this.strict || name === '' ? undefined : this.options.portNumber?.(name);
    if (found === undefined) return scan.fail('a port number');
    scan.position += name.length;
    return found >>> 0;
  }

  /** Fails when more than one attribute can hold is written since `mark`; `start` is where the text of it begins. */
  checkSize(mark: number, start: number): void {
    if (this.out.length - mark > ACTIONS_MAX) {
      this.scan.fail(`actions of at most ${ACTIONS_MAX} bytes in all`, 'E2BIG', start);
    }
  }

  #emptyList(): boolean {
    const { scan } = this;
    const start = scan.position;
    scan.skipDelimiters();
    if (scan.accept('drop')) {
      scan.skipDelimiters();
      if (scan.at(')')) return true;
    }
    scan.position = start;
    return false;
  }

  #read(pattern: string): number[] {
    const { scan } = this;
    const values: number[] = [];
    for (const part of partsOf(pattern)) {
      if (typeof part === 'string') {
        this.#literal(part);
      } else {
        if (!scan.integer(part)) scan.fail('a number');
        values.push(scan.lo);
      }
    }
    return values;
  }

  #literal(literal: string): void {
    const { scan } = this;
    if (scan.accept(literal)) return;
    let same = 0;
    while (scan.at(literal.slice(0, same + 1))) same++;
    scan.fail(`'${literal.slice(same)}'`, 'EINVAL', scan.position + same);
  }
}
