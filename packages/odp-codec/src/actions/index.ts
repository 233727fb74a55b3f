/** Actions: Netlink bytes, model and text, driven by the table in `table.ts`. */
export * from './attrs.js';
export { decodeActions, encodeActions } from './codec.js';
export { formatActions } from './format.js';
export type { Action, ActionOf, ActionType, Cookie, CookieOrigin, MplsEntry, Nat } from './model.js';
export { parseActions } from './parse.js';
export type { AnyActionRow, ListDecoder, ListEncoder, Printer } from './row.js';
export { ACTIONS, actionTable } from './table.js';
