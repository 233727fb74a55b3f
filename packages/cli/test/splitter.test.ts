/** The splitter finds the objects of a stream however it is cut, and stays within its bound whatever comes. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JsonSplitter, UnixctlProtocolError } from '../src/index.js';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Cuts `bytes` at the given places. */
function cut(bytes: Uint8Array, at: readonly number[]): Uint8Array[] {
  const places = [0, ...at.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return places.slice(1).map((end, i) => bytes.subarray(places[i], end));
}

describe('JsonSplitter', () => {
  it('returns the objects that went in, however the stream is cut and spaced', () => {
    const space = fc.stringMatching(/^[ \n\r\t]{0,3}$/);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue()), space), {
          maxLength: 8,
        }),
        fc.array(fc.nat(), { maxLength: 20 }),
        (objects, places) => {
          const stream = objects.map(([object, after]) => JSON.stringify(object) + after).join('');
          const splitter = new JsonSplitter(1 << 20);
          const found = cut(encode(stream), places).flatMap((chunk) => splitter.push(chunk));
          expect(found.map((text) => JSON.parse(text))).toEqual(
            objects.map(([object]) => JSON.parse(JSON.stringify(object))),
          );
          expect(splitter.pending).toBe(0);
        },
      ),
    );
  });

  it('throws nothing but a protocol error for any bytes, and never holds more than its bound', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 40 })), (chunks) => {
        const splitter = new JsonSplitter(64);
        for (const chunk of chunks) {
          try {
            splitter.push(chunk);
          } catch (error) {
            expect(error).toBeInstanceOf(UnixctlProtocolError);
          }
          expect(splitter.pending).toBeLessThanOrEqual(64);
        }
      }),
    );
  });

  it('refuses an object that grows past the bound, for good', () => {
    const splitter = new JsonSplitter(10);
    expect(splitter.push(encode('{"a":1}'))).toEqual(['{"a":1}']);
    expect(() => splitter.push(encode('{"a":"0123456789'))).toThrow('longer than 10 bytes');
    expect(() => splitter.push(encode('{}'))).toThrow('longer than 10 bytes');
  });
});
