/**
 * What the control half of a device tells its queues, in whichever threads they are: an Int32Array in shared memory.
 * Constants only.
 */

/** Layer-3 MTU as last seen: the kernel drops what is longer, but says nothing. */
export const STATE_MTU = 0;
/** Not 0 once the device is closed: descriptors may belong to somebody else by now. */
export const STATE_CLOSED = 1;
/** Not 0 while the device is known to be down; either half may find out. */
export const STATE_DOWN = 2;
/** AF_XDP: 0 until somebody tried to bind in zero-copy mode, then -1 when that worked, else the errno. */
export const STATE_ZEROCOPY = 3;
/** AF_XDP: descriptor + 1 of the socket of queue 0, and so on; 0 for a queue that is not open. */
export const STATE_SOCKETS = 4;

/** 32-bit words for a device of `queues` queues. */
export const stateWords = (queues: number): number => STATE_SOCKETS + queues;
