/**
 * What the control half of a device tells its queues, in whichever threads they are: the first words of an Int32Array in
 * shared memory. A driver's own words follow. Constants only.
 */

/** Layer-3 MTU as last seen: the kernel holds some frames against it silently, others not at all. */
export const STATE_MTU = 0;
/** Not 0 once the device is closed: its descriptors may belong to somebody else by now. */
export const STATE_CLOSED = 1;
/** First word of a driver's own. */
export const STATE_WORDS = 2;
