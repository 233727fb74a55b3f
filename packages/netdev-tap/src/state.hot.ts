/** What the halves of a TAP device tell each other (state.hot.ts of netdev-linux), with the words of this driver. Constants only. */

import { STATE_WORDS } from '@etherloom/netdev-linux/data';

export { STATE_CLOSED, STATE_MTU } from '@etherloom/netdev-linux/data';

/** Why a thread that opened a queue has no io_uring, as an errno; 0 while all have one. */
export const STATE_NO_RING = STATE_WORDS;

/** 32-bit words for a device. */
export const TAP_STATE_WORDS = STATE_WORDS + 1;
