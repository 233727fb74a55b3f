/** Flag sets as text, both ways, and the names of those that keys have. */
import type { Scanner } from './scanner.js';

/** Flag names by bit number; a bit without a name is not printed and not read by name. */
export type FlagNames = readonly (string | undefined)[];

/** A value and which of its bits matter. */
export interface Masked {
  value: number;
  mask: number;
}

/** TCP flags by bit; the three reserved bits are named by their value. */
export const TCP_FLAG_NAMES: FlagNames = [
  'fin',
  'syn',
  'rst',
  'psh',
  'ack',
  'urg',
  'ece',
  'cwr',
  'ns',
  '[200]',
  '[400]',
  '[800]',
];

/** Connection state by bit. */
export const CT_STATE_NAMES: FlagNames = ['new', 'est', 'rel', 'rpl', 'inv', 'trk', 'snat', 'dnat'];

/** Tunnel flags by bit. */
export const TUNNEL_FLAG_NAMES: FlagNames = ['oam', 'df', 'csum', 'key'];

/** `a|b`, bits without a name as one hexadecimal number at the end; '0' for none. */
export function printFlags(names: FlagNames, value: number): string {
  let out = '';
  let rest = value >>> 0;
  for (let i = 0; i < names.length; i++) {
    if ((rest & (1 << i)) === 0 || names[i] === undefined) continue;
    out += out === '' ? names[i] : `|${names[i]}`;
    rest = (rest & ~(1 << i)) >>> 0;
  }
  if (rest === 0) return out === '' ? '0' : out;
  return `${out === '' ? '' : `${out}|`}0x${rest.toString(16)}`;
}

/** `+a-b` for a partial mask, `a|b` when the mask is `full`, `0/0` when it is empty. */
export function printMaskedFlags(names: FlagNames, value: number, mask: number, full: number): string {
  if (mask >>> 0 === full) return printFlags(names, value);
  if (mask === 0) return '0/0';
  let out = '';
  for (let i = 0; i < 32; i++) {
    if ((mask & (1 << i)) !== 0) out += `${(value & (1 << i)) === 0 ? '-' : '+'}${names[i] ?? '[Unknown]'}`;
  }
  return out;
}

/**
 * Reads a set of flags up to, not including, the character `end`: `a|b` and numbers joined by bars (then the mask is all
 * ones), and where `masked` also `+a-b` and `value/mask`. Only bits of `allowed` may be given. Undefined, and the
 * position where it was, for anything else.
 */
export function scanFlags(
  scan: Scanner,
  names: FlagNames,
  end: string,
  allowed: number,
  masked: boolean,
): Masked | undefined {
  const start = scan.position;
  const found =
    (masked ? scanNumericFlags(scan, allowed) : undefined) ??
    (masked && (scan.at('+') || scan.at('-'))
      ? scanSignedFlags(scan, names, end, allowed)
      : scanPlainFlags(scan, names, end, allowed));
  if (found === undefined) scan.position = start;
  return found;
}

function scanNumericFlags(scan: Scanner, allowed: number): Masked | undefined {
  const start = scan.position;
  if (scan.integer()) {
    const value = scan.lo;
    if (scan.accept('/') && scan.integer()) {
      const mask = scan.lo;
      if (((value | mask) & ~allowed) === 0) return { value, mask };
    }
  }
  scan.position = start;
  return undefined;
}

function scanSignedFlags(scan: Scanner, names: FlagNames, end: string, allowed: number): Masked | undefined {
  let value = 0;
  let mask = 0;
  while (!scan.at(end)) {
    const set = scan.accept('+');
    if (!set && !scan.accept('-')) return undefined;
    const bit = scanFlagName(scan, names, `+-${end}`);
    if (bit === 0 || (mask & bit) !== 0 || (bit & allowed) === 0) return undefined;
    if (set) value |= bit;
    mask |= bit;
  }
  return { value: value >>> 0, mask: mask >>> 0 };
}

function scanPlainFlags(scan: Scanner, names: FlagNames, end: string, allowed: number): Masked | undefined {
  let value = 0;
  while (!scan.at(end)) {
    if (scan.integer()) {
      if ((scan.lo & ~allowed) !== 0) return undefined;
      value |= scan.lo;
    } else {
      const bit = scanFlagName(scan, names, `|${end}`);
      if (bit === 0 || (bit & allowed) === 0) return undefined;
      value |= bit;
    }
    scan.accept('|');
  }
  return { value: value >>> 0, mask: 0xffff_ffff };
}

/** Takes a flag name that one of `followers` follows; returns its bit, 0 when there is none. */
function scanFlagName(scan: Scanner, names: FlagNames, followers: string): number {
  const start = scan.position;
  for (let i = 0; i < names.length; i++) {
    const name = names[i];
    if (name === undefined || !scan.accept(name)) continue;
    const next = scan.ahead(1);
    if (next !== '' && followers.includes(next)) return 1 << i;
    scan.position = start;
  }
  return 0;
}
