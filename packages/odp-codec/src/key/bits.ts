/** Fields of a few bits in a larger number (VLAN TCI, MPLS label stack entry): text, and JSON. */
import { Keywords } from '../text/keywords.js';
import type { Scanner } from '../text/scanner.js';
import { isUint } from './kind.js';
import { bad, isObject, show } from './shape.js';

export interface BitField<N extends string = string> {
  readonly name: N;
  readonly shift: number;
  readonly bits: number;
}

/** All ones in so many bits, not shifted. */
export const maskOf = ({ bits }: { readonly bits: number }): number => 2 ** bits - 1;

export const bitsOf = (word: number, part: BitField): number => (word >>> part.shift) & maskOf(part);

/** The names of the fields, as they are read, with the index of each. */
export const bitNames = (parts: readonly BitField[]): Keywords<number> =>
  new Keywords(parts.map(({ name }, index) => [`${name}=`, index] as const));

/**
 * Reads `value[/mask]` into the bits of `word` and of `wild`; returns both. No mask may follow when `wild` is
 * undefined. The numbers are cut to `width` first, as OVS does; then, unlike a whole field, too many bits are an error.
 */
export function scanBitField(
  scan: Scanner,
  width: number,
  part: BitField,
  word: number,
  wild: number | undefined,
): [word: number, wild: number] {
  const keep = ~(maskOf(part) * 2 ** part.shift);
  const fit = (): number => {
    const bits = (scan.lo & width) >>> 0;
    if (bits > maskOf(part)) scan.fail(`a ${part.bits}-bit number before`);
    return bits << part.shift;
  };
  if (!scan.integer()) scan.fail(`a ${part.bits}-bit number`);
  const found = (word & keep) | fit();
  if (wild === undefined) return [found, 0];
  const slash = scan.position;
  if (scan.accept('/') && scan.integer()) return [found, (wild & keep) | fit()];
  scan.position = slash;
  return [found, wild | ~keep];
}

/** The number that an object of such fields describes. */
export function putBits(model: unknown, parts: readonly BitField[], what: string): number {
  if (!isObject(model)) throw bad(`${what} must be an object, not ${show(model)}`);
  let word = 0;
  for (const part of parts) {
    const bits = model[part.name];
    if (!isUint(bits, maskOf(part))) {
      throw bad(`${what}.${part.name} must be a number 0..${maskOf(part)}, not ${show(bits)}`);
    }
    word |= bits << part.shift;
  }
  return word >>> 0;
}
