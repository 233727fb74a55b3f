/** Deviation rules accept what they are for and nothing beside it. */

import { describe, expect, it } from 'vitest';
import { DEVIATIONS } from '../src/deviations.js';
import { difference } from '../src/diff.js';

const MACS = '101112131415000102030405';
const later = '2fff';
const whole = '4000';

/** A UDP packet, or a fragment of one, with `changed` as the bytes 6 and 7 behind its IPv4 header. */
const packet = (fragment: string, changed = '826b', tags = ''): string =>
  `${MACS}${tags}0800450000271234${fragment}40110000${'23080229ac100014'}005119e80013${changed}68656c6c6f20776f726c64`;

function isDeviation(fragment: string, want: string, have: string, field = 'calls[0].packet_hex'): boolean {
  const record = { packet_hex: packet(fragment), calls: [{ call: 'output', packet_hex: want }] };
  const found = difference(field, want, have);
  return DEVIATIONS.some((rule) => rule.explains('execute.jsonl', record, found ?? ''));
}

describe('later-fragment-payload', () => {
  it('takes the two bytes of a checksum in the payload of a later fragment, behind pushed headers too', () => {
    expect(isDeviation(later, packet(later, 'a59a'), packet(later))).toBe(true);
    expect(isDeviation(later, packet(later, '82ff'), packet(later))).toBe(true);
    expect(isDeviation(later, packet(later, 'a59a', '81000005'), packet(later, '826b', '81000005'))).toBe(
      true,
    );
  });

  it('takes no other packet, byte or field', () => {
    expect(isDeviation(whole, packet(whole, 'a59a'), packet(whole))).toBe(false);
    const elsewhere = packet(later).replace('ac100014', 'ac100015');
    expect(isDeviation(later, elsewhere, packet(later))).toBe(false);
    expect(isDeviation(later, packet(later, 'a59a'), packet(later), 'calls[0].md')).toBe(false);
    expect(isDeviation(later, packet(later, 'a59a'), packet(later), 'calls[1].packet_hex')).toBe(false);
  });
});
