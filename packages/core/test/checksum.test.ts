/** Checksums against published values, a byte-wise reference and recomputation after changes. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  crc32c,
  finish,
  fold,
  pseudoSum4,
  pseudoSum6,
  sum,
  update16,
  update32,
  update128,
} from '../src/packet/checksum.hot.js';

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
const bytesOf = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex.replace(/\s/g, ''), 'hex'));

/** The definition in RFC 1071, section 1, word by word with an end-around carry. */
function referenceSum(bytes: Uint8Array): number {
  let total = 0;
  for (let at = 0; at < bytes.length; at += 2) {
    total += (bytes[at]! << 8) | (bytes[at + 1] ?? 0);
    if (total > 0xffff) total -= 0xffff;
  }
  return total;
}

/** CRC32c bit by bit. */
function referenceCrc(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

describe('Internet checksum', () => {
  it('gives the values of RFC 1071 and of a known IPv4 header', () => {
    expect(sum(viewOf(bytesOf('0001f203f4f5f6f7')), 0, 8)).toBe(0xddf2);
    const header = bytesOf('4500003c1c4640004006b1e6ac100a63ac100a0c');
    expect(finish(sum(viewOf(header), 0, 20))).toBe(0);
    header.fill(0, 10, 12);
    expect(finish(sum(viewOf(header), 0, 20))).toBe(0xb1e6);
  });

  it('equals the definition for every length and alignment', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(7), (bytes, shift) => {
        const memory = new Uint8Array(bytes.length + shift + 9).fill(0xa5);
        memory.set(bytes, shift);
        expect(sum(viewOf(memory), shift, bytes.length)).toBe(referenceSum(bytes));
      }),
    );
  });

  it('does not overflow on 128 KiB of ones and folds any sum below 2 ** 32', () => {
    expect(sum(viewOf(new Uint8Array(131072).fill(0xff)), 0, 131072)).toBe(0xffff);
    expect(fold(0xffffffff)).toBe(0xffff);
    expect(fold(0xffff0001)).toBe(1);
    expect(fold(0)).toBe(0);
  });

  it('updates incrementally to what recomputation gives', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 40, maxLength: 80 }),
        fc.uint8Array({ minLength: 16, maxLength: 16 }),
        fc.constantFrom(2, 4, 16),
        fc.nat(5),
        (bytes, replacement, width, slot) => {
          const view = viewOf(bytes);
          const at = slot * 4;
          // A non-zero word outside the change: an all-zero range is the one sum with another representation.
          bytes[36] = 1;
          const before = finish(sum(view, 0, bytes.length));
          const old = bytes.slice(at, at + width);
          bytes.set(replacement.subarray(0, width), at);
          const after = finish(sum(view, 0, bytes.length));
          const o = (word: number): number => viewOf(old).getInt32(word * 4);
          const n = (word: number): number => view.getInt32(at + word * 4);
          const updated =
            width === 2
              ? update16(before, viewOf(old).getUint16(0), view.getUint16(at))
              : width === 4
                ? update32(before, o(0), n(0))
                : update128(before, o(0), o(1), o(2), o(3), n(0), n(1), n(2), n(3));
          expect(updated).toBe(after);
        },
      ),
    );
  });

  it('adds the pseudo headers of IPv4 and IPv6', () => {
    // Header layouts by hand: only addresses, protocol and length may count.
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 40, maxLength: 40 }),
        fc.nat(255),
        fc.nat(0xffff),
        (header, proto, length) => {
          const tail = Uint8Array.of(0, proto, length >>> 8, length & 0xff);
          const four = Uint8Array.from([...header.subarray(12, 20), ...tail]);
          const six = Uint8Array.from([...header.subarray(8, 40), ...tail]);
          expect(fold(pseudoSum4(viewOf(header), 0, proto, length))).toBe(referenceSum(four));
          expect(fold(pseudoSum6(viewOf(header), 0, proto, length))).toBe(referenceSum(six));
        },
      ),
    );
  });
});

describe('CRC32c', () => {
  it('gives the published values', () => {
    expect(crc32c(viewOf(new TextEncoder().encode('123456789')), 0, 9)).toBe(0xe3069283);
    // RFC 3720, appendix B.4.
    expect(crc32c(viewOf(new Uint8Array(32)), 0, 32)).toBe(0x8a9136aa);
    expect(crc32c(viewOf(new Uint8Array(32).fill(0xff)), 0, 32)).toBe(0x62a8ab43);
  });

  it('equals the bit-wise definition', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        expect(crc32c(viewOf(bytes), 0, bytes.length)).toBe(referenceCrc(bytes));
      }),
    );
  });
});
