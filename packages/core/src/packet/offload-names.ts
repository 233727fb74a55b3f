/** Offload bits by name, for people and JSON: what `show` prints of a port. */

import {
  OFFLOAD_CSUM_PARTIAL,
  OFFLOAD_CSUM_VALID,
  OFFLOAD_GSO_ECN,
  OFFLOAD_GSO_TCP4,
  OFFLOAD_GSO_TCP6,
  OFFLOAD_GSO_UDP,
} from './batch.hot.js';

const NAMES: readonly (readonly [number, string])[] = [
  [OFFLOAD_CSUM_PARTIAL, 'csum'],
  [OFFLOAD_CSUM_VALID, 'csum-valid'],
  [OFFLOAD_GSO_TCP4, 'tso4'],
  [OFFLOAD_GSO_TCP6, 'tso6'],
  [OFFLOAD_GSO_ECN, 'tso-ecn'],
  [OFFLOAD_GSO_UDP, 'uso'],
];

/** Names of the OFFLOAD_* bits set in `offloads`. */
export function offloadNames(offloads: number): string[] {
  return NAMES.filter(([bit]) => (offloads & bit) !== 0).map(([, name]) => name);
}
