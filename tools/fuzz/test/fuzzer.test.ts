/** The fuzzer finds what it is to find: bugs deep inside, inputs that never end, and the same ones for the same seed. */

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Coverage } from '../src/coverage.js';
import { Fuzzer, TooSlow, tryInput } from '../src/fuzzer.js';
import { minimize } from '../src/minimize.js';
import { Random } from '../src/random.js';
import { bytesOfText, type Input, type Target, textOf, toHex, Violation } from '../src/target.js';

const target = (run: (bytes: Uint8Array) => void, kind: 'bytes' | 'text' | 'netlink' = 'bytes'): Target => ({
  parts: [{ name: 'input', kind, maxLength: 64 }],
  seeds: () => [],
  run: ([bytes]) => run(bytes!),
});

const SEEDS: readonly Input[] = [[new Uint8Array(8)]];

describe('Fuzzer', () => {
  let coverage: Coverage;
  let maze: (bytes: Uint8Array) => number;

  beforeAll(async () => {
    coverage = new Coverage((url) => url.includes('maze'));
    ({ maze } = await import('./fixtures/maze.js'));
  });
  afterAll(() => coverage.stop());

  /** Runs until something is found, at most `runs` inputs. */
  function search(tested: Target, runs: number, seed = 1): Fuzzer & { failure?: Error; input?: Input } {
    coverage.reset();
    const fuzzer = new Fuzzer(tested, SEEDS, coverage, new Random(seed));
    const failure = fuzzer.run(() => fuzzer.runs >= runs);
    return Object.assign(fuzzer, failure && { failure: failure.error, input: failure.input });
  }

  it('finds its way step by step, and makes what it found small', () => {
    const tested = target(maze);
    const { failure, input } = search(tested, 300_000);
    expect(failure?.message).toBe('the end of the maze');
    expect(toHex(minimize(tested, input!, failure!)[0]!)).toBe('4f565321');
  });

  it('keeps the inputs that reached something new, the same for the same seed', () => {
    const harmless = target((bytes) => void maze(bytes.length > 3 ? bytes.with(3, 0) : bytes));
    const found = (seed: number): string[] =>
      search(harmless, 100_000, seed).found.map(([bytes]) => toHex(bytes!));
    const first = found(7);
    expect(first.at(-1)).toMatch(/^4f56/);
    expect(found(7)).toEqual(first);
  });

  it('ends an input that never ends', () => {
    const tested = target((bytes) => {
      while (bytes.includes(0x7f));
    });
    const { failure, input } = search(tested, 100_000);
    expect(failure).toBeInstanceOf(TooSlow);
    expect(input?.[0]).toContain(0x7f);
  });
});

describe('minimize', () => {
  it('keeps to the bug that it was given', () => {
    const tested = target((bytes) => {
      const text = textOf(bytes);
      if (text === '') throw new Violation('another property', '');
      if (/a.*b/.test(text)) throw new Violation('no b after an a', text);
    }, 'text');
    const input = [bytesOfText('xx(yyy,a=12,zz,b=77)tail')];
    expect(textOf(minimize(tested, input, tryInput(tested, input)!)[0]!)).toBe('ab');
  });

  it('takes attributes out of others, with their lengths put right', () => {
    const tested = target((bytes) => {
      // An attribute of type 9, however deep, in a well-formed list.
      const find = (list: Uint8Array): boolean => {
        for (let at = 0; at + 4 <= list.length; ) {
          const length = list[at]! | (list[at + 1]! << 8);
          if (length < 4 || at + length > list.length) return false;
          if (list[at + 2] === 9 || find(list.subarray(at + 4, at + length))) return true;
          at += (length + 3) & ~3;
        }
        return false;
      };
      if (find(bytes)) throw new Violation('no type 9', '');
    }, 'netlink');
    const input = [Uint8Array.of(8, 0, 2, 0, 1, 2, 3, 4, 12, 0, 1, 0, 8, 0, 9, 0, 5, 6, 7, 8)];
    expect([...minimize(tested, input, tryInput(tested, input)!)[0]!]).toEqual([4, 0, 9, 0]);
  });
});
