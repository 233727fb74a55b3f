/** What the control half of a device tells its queues (state.hot.ts of netdev-linux), with the words of this driver. Constants only. */

import { STATE_WORDS } from '@etherloom/netdev-linux/data';

export { STATE_CLOSED, STATE_MTU } from '@etherloom/netdev-linux/data';

/** Not 0 while the device is known to be down; either half may find out. */
export const STATE_DOWN = STATE_WORDS;
/** AF_XDP: 0 until somebody tried to bind in zero-copy mode, then -1 when that worked, else the errno. */
export const STATE_ZEROCOPY = STATE_WORDS + 1;
/** AF_XDP: descriptor + 1 of the socket of queue 0, and so on; 0 for a queue that is not open. */
export const STATE_SOCKETS = STATE_WORDS + 2;

/** 32-bit words for a device of `queues` queues. */
export const stateWords = (queues: number): number => STATE_SOCKETS + queues;
