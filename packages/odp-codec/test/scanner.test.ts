/** The cursor under the text parsers: numbers as C reads them, texts cut short, and characters that are not ASCII. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Scanner } from '../src/index.js';

const digits = (alphabet: string, maxLength: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(...alphabet), minLength: 1, maxLength });

/** White space, a sign, and a number as text with its value: decimal, hexadecimal or octal, also of more than 64 bits. */
const number = fc.tuple(
  fc.constantFrom('', ' ', '\t \n'),
  fc.constantFrom('', '+', '-'),
  fc.oneof(
    fc.bigInt(0n, 10n ** 24n).map((value): [string, bigint] => [value.toString(), value]),
    digits('0123456789abcdefABCDEF', 20).map((text): [string, bigint] => [`0x${text}`, BigInt(`0x${text}`)]),
    digits('01234567', 26).map((text): [string, bigint] => [`0${text}`, BigInt(`0o${text}`)]),
  ),
);

test('an integer is what C reads, modulo 2^64, and ends where C ends', () => {
  fc.assert(
    fc.property(
      number,
      // Not x, which makes a prefix of a zero.
      fc.constantFrom('', ',', ')', '/', ' 1', 'g', 'é'),
      ([space, sign, [text, value]], rest) => {
        const scan = new Scanner(`${space}${sign}${text}${rest}`);
        expect(scan.integer()).toBe(true);
        expect(scan.position).toBe(space.length + sign.length + text.length);
        const wanted = BigInt.asUintN(64, sign === '-' ? -value : value);
        expect((BigInt(scan.hi) << 32n) | BigInt(scan.lo)).toBe(wanted);
      },
    ),
    { numRuns: 2000 },
  );
});

test.each(['', ' ', '+', '-', '0x', '0xg', 'x1', 'é', ' -'])('%j is no integer', (text) => {
  const scan = new Scanner(text);
  expect(scan.integer()).toBe(false);
  expect(scan.position).toBe(0);
});

test('a wide number that does not fit is refused, where an integer is cut', () => {
  const most = '18446744073709551615';
  expect(new Scanner(most).wide(16)?.subarray(8)).toEqual(new Uint8Array(8).fill(0xff));
  expect(new Scanner('18446744073709551616').wide(16)).toBeUndefined();
  expect(new Scanner('99999999999999999999999999').wide(16)).toBeUndefined();
  expect(new Scanner('256').wide(1)).toBeUndefined();
});

describe('the end', () => {
  test('hides what follows from everything but errors, and can be put back', () => {
    const scan = new Scanner('12345,abc');
    scan.end = 3;
    expect(scan.integer()).toBe(true);
    expect([scan.lo, scan.position, scan.done]).toEqual([123, 3, true]);
    expect([scan.at('4'), scan.ahead(9), scan.until(','), scan.run('0123456789')]).toEqual([
      false,
      '',
      '',
      undefined,
    ]);
    expect(() => scan.fail('more')).toThrow("expected more at column 4, found '45,abc'");
    scan.end = scan.text.length;
    expect(scan.integer()).toBe(true);
    expect([scan.lo, scan.accept(',abc'), scan.done]).toEqual([45, true, true]);
  });

  test('of a text is not that of the longer one before', () => {
    const scan = new Scanner('in_port(123456)');
    scan.reset('in_port(1');
    expect(scan.accept('in_port(')).toBe(true);
    expect(scan.integer()).toBe(true);
    expect([scan.lo, scan.done, scan.at('2'), scan.at('')]).toEqual([1, true, false, true]);
  });
});

test('characters that are not ASCII count as one each and match nothing', () => {
  // The first has two bytes in UTF-8, and 0x131 ends in the byte of the digit 1.
  for (const text of ['é1,2', 'ı1,2', '\ud8001,2', `${'é'.repeat(3000)}1,2`.slice(-4)]) {
    const scan = new Scanner(text);
    expect(scan.integer()).toBe(false);
    expect(scan.until(',')).toBe(text.slice(0, 2));
    scan.position++;
    expect([scan.integer(), scan.lo, scan.accept(','), scan.integer(), scan.lo, scan.done]).toEqual([
      true,
      1,
      true,
      true,
      2,
      true,
    ]);
  }
});
