/** Extraction: what belongs to whom in a row, and that no frame, however hostile, leads outside of itself. */

import { FRAME_WORDS_END, KEY_WORDS, W_NSH, W_PACKET_TYPE, W_TUN_ID } from '@etherloom/odp-codec';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { extractFrame, LAYER_L2_PAD, LAYER_L4, LAYER_WORDS } from '../../src/flow/extract.hot.js';
import { vectorFrames } from './frames.js';
import { readRow } from './rows.js';

interface Extracted {
  readonly words: Int32Array;
  readonly layers: Int32Array;
}

/** Extracts `frame` from the very end of memory that is otherwise `filler`. */
function extract(frame: Uint8Array, packetType = 0, vlanLimit = 2, filler = 0): Extracted {
  const memory = new Uint8Array(64 + frame.length).fill(filler);
  memory.set(frame, 64);
  const words = new Int32Array(KEY_WORDS).fill(filler);
  const layers = new Int32Array(LAYER_WORDS).fill(filler);
  extractFrame(new DataView(memory.buffer), 64, frame.length, packetType, vlanLimit, words, 0, layers, 0);
  return { words, layers };
}

const fromHex = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex.replace(/\s/g, ''), 'hex'));

const isFrameWord = (word: number): boolean =>
  (word >= W_PACKET_TYPE && word < FRAME_WORDS_END) || (word >= W_NSH && word < W_TUN_ID);

const MACS = '101112131415 000102030405';
const IPV4_UDP = '4500001c 00000000 4011 0000 0a000001 0a000002 03e80035 00080000';

describe('extractFrame', () => {
  it('reads tags up to the limit, and the next TPID as the type', () => {
    const frame = fromHex(`${MACS} 88a8 2005 8100 0006 8100 0007 0800 ${IPV4_UDP}`);
    expect(readRow(extract(frame).words)).toMatchObject({
      vlan_tpid: '88a8',
      vlan_tci: '3005',
      vlan1_tpid: '8100',
      vlan1_tci: '1006',
      dl_type: '8100',
    });
    const one = readRow(extract(frame, 0, 1).words);
    expect(one).toMatchObject({ vlan_tpid: '88a8', vlan_tci: '3005', dl_type: '8100' });
    expect(one).not.toHaveProperty('vlan1_tpid');
  });

  it('gives the offsets and the padding of an IPv4 packet in a padded frame', () => {
    const { words, layers } = extract(fromHex(`${MACS} 0800 ${IPV4_UDP} ${'00'.repeat(18)}`));
    expect(readRow(words)).toMatchObject({
      nw_proto: '11',
      tp_src: '03e8',
      tp_dst: '0035',
      nw_src: '0a000001',
    });
    expect([...layers]).toEqual([-1, 14, 34, 18]);
  });

  it('takes a packet without Ethernet header by its packet type', () => {
    const { words, layers } = extract(fromHex(IPV4_UDP), 0x10800);
    expect(readRow(words)).toMatchObject({ packet_type: '00010800', dl_type: '0800', tp_dst: '0035' });
    expect([...layers]).toEqual([-1, 0, 20, 0]);
  });

  it('writes all words of the frame, none of the metadata, and looks at nothing outside', () => {
    fc.assert(
      fc.property(hostileFrame(), packetType(), fc.integer({ min: 0, max: 2 }), (frame, type, limit) => {
        const one = extract(frame, type, limit, 0x55);
        const other = extract(frame, type, limit, 0xaa);
        expect(one.words.filter((_, word) => isFrameWord(word))).toEqual(
          other.words.filter((_, word) => isFrameWord(word)),
        );
        expect(one.words.every((value, word) => isFrameWord(word) || value === 0x55)).toBe(true);
        expect(one.layers).toEqual(other.layers);
        expect(one.layers.subarray(0, LAYER_L4 + 1).every((at) => at >= -1 && at <= frame.length)).toBe(true);
        expect(one.layers[LAYER_L2_PAD]).toBeLessThanOrEqual(frame.length);
      }),
      { numRuns: 5000 },
    );
  });
});

/** Random bytes, and real frames cut short, grown or with a few bytes changed. */
function hostileFrame(): fc.Arbitrary<Uint8Array> {
  const edits = fc.array(fc.tuple(fc.nat(150), fc.nat(255)), { maxLength: 6 });
  const mutated = fc
    .tuple(fc.constantFrom(...vectorFrames()), edits, fc.nat(200), fc.uint8Array({ maxLength: 40 }))
    .map(([frame, changes, length, tail]) => {
      const bytes = Uint8Array.from([...frame.subarray(0, length), ...(length % 3 === 0 ? tail : [])]);
      for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
      return bytes;
    });
  return fc.oneof(
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 2000, size: 'max' }) },
    { weight: 4, arbitrary: mutated },
  );
}

function packetType(): fc.Arbitrary<number> {
  const layer3 = fc.constantFrom(0x0800, 0x86dd, 0x0806, 0x8847, 0x894f, 0x0000).map((id) => 0x10000 | id);
  return fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: layer3 });
}
