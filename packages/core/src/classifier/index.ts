/** The classifier's public face. */
export { BurstLookup, type PortSubtables, type PortView } from './burst/burst-lookup.hot.js';
export * from './classifier.js';
export * from './counters.hot.js';
export { HashIndex } from './hash-index.js';
export * from './known-mask.js';
export { PACKED_WORDS, packRow, unpackRow } from './packed-row.js';
export { PreparedKey } from './prepared-key.js';
export * from './search.hot.js';
export { Subtable } from './subtable.hot.js';
