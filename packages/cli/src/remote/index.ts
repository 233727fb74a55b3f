/**
 * The remote provider: datapaths of a running switchd as ordinary `Dpif`s, over its control socket; and what both ends
 * need of the methods that it calls.
 */

export type { Codec } from './codec.js';
export type { RemoteMethod } from './methods.js';
export * as remoteMethods from './methods.js';
export { RemoteSwitch } from './switch.js';
export { ERROR as REMOTE_ERROR } from './values.js';
