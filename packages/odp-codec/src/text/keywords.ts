/** A set of literal texts, of which a parser wants to know which one comes next. */
import type { Scanner } from './scanner.js';

interface Keyword<T> {
  readonly text: string;
  readonly value: T;
}

/**
 * Literals with a value each, found by their first character: trying them one after the other was a third of the time
 * of reading a key. Of two literals that both match, the one given first wins.
 */
export class Keywords<T> {
  /** By character code; a hole where no literal begins. */
  readonly #byFirst: (Keyword<T>[] | undefined)[] = new Array(128).fill(undefined);

  /** Literals are ASCII and not empty. */
  constructor(keywords: Iterable<readonly [text: string, value: T]>) {
    for (const [text, value] of keywords) {
      const first = text.charCodeAt(0);
      const same = this.#byFirst[first] ?? [];
      same.push({ text, value });
      this.#byFirst[first] = same;
    }
  }

  /** Takes the literal that comes next and returns its value; undefined when there is none. */
  take(scan: Scanner): T | undefined {
    const first = scan.code();
    const candidates = first < 128 ? this.#byFirst[first] : undefined;
    if (candidates === undefined) return undefined;
    for (let i = 0; i < candidates.length; i++) {
      if (scan.accept(candidates[i]!.text)) return candidates[i]!.value;
    }
    return undefined;
  }
}
