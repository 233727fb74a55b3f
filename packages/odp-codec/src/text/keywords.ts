/** A set of literal texts, of which a parser wants to know which one comes next. */
import type { Scanner } from './scanner.js';

interface Keyword<T> {
  /** The text in ASCII. */
  readonly codes: Uint8Array;
  readonly value: T;
}

/**
 * Literals with a value each, found by their first character rather than by trying all of them. Of two that both match,
 * the one given first wins.
 */
export class Keywords<T> {
  /** By character code; a hole where no literal begins. */
  readonly #byFirst: (Keyword<T>[] | undefined)[] = new Array(256).fill(undefined);

  /** Literals are ASCII and not empty. */
  constructor(keywords: Iterable<readonly [text: string, value: T]>) {
    for (const [text, value] of keywords) {
      const first = text.charCodeAt(0);
      const same = this.#byFirst[first] ?? [];
      same.push({ codes: Uint8Array.from(text, (letter) => letter.charCodeAt(0)), value });
      this.#byFirst[first] = same;
    }
  }

  /** The value of the literal that comes next, undefined when there is none. */
  find(scan: Scanner): T | undefined {
    return this.#next(scan)?.value;
  }

  /** Takes the literal that comes next and returns its value; undefined when there is none. */
  take(scan: Scanner): T | undefined {
    const found = this.#next(scan);
    if (found === undefined) return undefined;
    scan.position += found.codes.length;
    return found.value;
  }

  #next(scan: Scanner): Keyword<T> | undefined {
    const candidates = this.#byFirst[scan.code()];
    if (candidates === undefined) return undefined;
    for (let i = 0; i < candidates.length; i++) {
      if (scan.atCodes(candidates[i]!.codes)) return candidates[i];
    }
    return undefined;
  }
}
