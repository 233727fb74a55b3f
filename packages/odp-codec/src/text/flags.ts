/** Flag sets as text, and the names of those that keys have. Reading is `Scanner.flags`. */
import type { FlagNames } from './scanner.js';

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
