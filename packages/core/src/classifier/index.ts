/** The classifier's public face. */
export * from './classifier.js';
export * from './counters.hot.js';
export { PACKED_WORDS, packRow, unpackRow } from './packed-row.js';
export * from './search.hot.js';
export { interpreted, Subtable, type SubtableCode } from './subtable.hot.js';
