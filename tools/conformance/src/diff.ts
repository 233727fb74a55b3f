/** Readable differences: what was wanted, what we have, and a mark under the first place where they part. */

const BEFORE = 24;
const AFTER = 64;

/**
 * The difference between two values of `field`, or undefined when they are equal. Strings of hexadecimal digits are
 * compared byte by byte, other strings character by character.
 */
export function difference(field: string, want: unknown, have: unknown): string | undefined {
  if (want === have) return undefined;
  if (typeof want === 'string' && typeof have === 'string') return textDifference(field, want, have);
  const wanted = JSON.stringify(want);
  const had = JSON.stringify(have);
  return wanted === had ? undefined : `${field}: want ${wanted}, have ${had}`;
}

/** Adds the difference of two values to a list, if there is one. */
export function compare(differences: string[], field: string, want: unknown, have: unknown): void {
  const found = difference(field, want, have);
  if (found !== undefined) differences.push(found);
}

function textDifference(field: string, want: string, have: string): string {
  const isHex = /^[0-9a-f]{2,}$/.test(want + have) && want.length % 2 === 0 && have.length % 2 === 0;
  let place = 0;
  while (place < want.length && want[place] === have[place]) place++;
  if (isHex) place &= ~1;
  const from = Math.max(0, place - BEFORE);
  const part = (text: string): string =>
    (from > 0 ? '...' : '') + text.slice(from, place + AFTER) + (text.length > place + AFTER ? '...' : '');
  const mark = ' '.repeat(place - from + (from > 0 ? 3 : 0)) + (isHex ? '^^' : '^');
  const where = isHex ? `byte ${place / 2}` : `character ${place + 1}`;
  return `${field}: differs at ${where}\n  want ${part(want)}\n  have ${part(have)}\n       ${mark}`;
}
